//! Time as records know it: counted from 2010-01-01T00:00:00Z.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The Aerospike epoch in seconds after the Unix epoch.
pub(crate) const EPOCH_OFFSET: u64 = 1_262_304_000;

/// Milliseconds since the Aerospike epoch.
pub(crate) fn now_millis() -> u64 {
    let since_unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    (since_unix.as_millis() as u64).saturating_sub(EPOCH_OFFSET * 1000)
}

/// Seconds since the Aerospike epoch.
pub(crate) fn now_seconds() -> u32 {
    seconds(now_millis())
}

/// Whole seconds of a time in milliseconds.
pub(crate) fn seconds(millis: u64) -> u32 {
    u32::try_from(millis / 1000).unwrap_or(u32::MAX)
}
