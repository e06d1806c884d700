//! Feeds arbitrary bytes through parsing and execution, as a connection would.
//!
//! Run from `server/` with `cargo +nightly fuzz run message`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    aerospike_embedded::replay(data);
});
