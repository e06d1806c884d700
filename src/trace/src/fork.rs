//! What a fork means here: a child has none of the threads, so whatever has one starts it anew when it is next used.

use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// How many forks lie behind this process, as far as it was told.
#[inline]
#[must_use]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// This process is the child of a fork. Called on its only thread, before anything else runs.
pub fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
