//! Numbers for traces and spans: drawn per thread, without a lock and without a system call. A child process starts over
//! with a seed of its own, so that it does not draw its parent's numbers.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use crate::fork;

thread_local! {
    static STATE: Cell<(u64, u64)> = const { Cell::new((0, u64::MAX)) };
}

/// The next number; never zero.
#[must_use]
pub fn next() -> u64 {
    let draw = |state: &Cell<(u64, u64)>| {
        let (mut at, generation) = state.get();
        if generation != fork::generation() {
            at = seed();
        }
        // SplitMix64: the state counts, the output is its hash.
        at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set((at, fork::generation()));
        let mut mixed = at;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    STATE.try_with(draw).unwrap_or_else(|_| seed()).max(1)
}

/// From the system's source of random numbers.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is as long as is said.
    let got =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if got == bytes.len() as isize {
        return u64::from_ne_bytes(bytes);
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos());
    RandomState::new().hash_one((now, std::process::id(), std::thread::current().id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_comes_twice() {
        let mut all: Vec<u64> = (0..4)
            .map(|_| std::thread::spawn(|| (0..10_000).map(|_| next()).collect::<Vec<_>>()))
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40_000);
        assert!(!all.contains(&0));
    }
}
