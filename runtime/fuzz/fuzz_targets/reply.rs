//! Feeds arbitrary bytes to an exchange in pieces, as a socket would, and reads every bin that is kept.
//!
//! Run from `runtime/` with `cargo +nightly fuzz run reply`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = aerospike_rt::replies::replay(data);
});
