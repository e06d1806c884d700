//! Feeds arbitrary bytes through parsing and execution, as a connection would.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    aerospike_embedded::replay(data);
});
