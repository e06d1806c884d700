//! Pauses between attempts: exponential, with full jitter, so that clients do not retry in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The longest the first pause can be.
const BASE_MS: u64 = 10;
/// The longest any pause can be.
const CAP_MS: u64 = 500;

/// The pause after attempt number `attempt`, counted from zero.
pub fn pause(attempt: u32) -> Duration {
    let limit = limit_ms(attempt);
    Duration::from_millis(random() % (limit + 1))
}

fn limit_ms(attempt: u32) -> u64 {
    1u64.checked_shl(attempt)
        .map_or(CAP_MS, |factor| factor.saturating_mul(BASE_MS))
        .min(CAP_MS)
}

/// Hashers of the standard library are seeded at random, and each differently.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_double_up_to_the_cap() {
        let limits: Vec<u64> = (0..8).map(limit_ms).collect();
        assert_eq!(limits, [10, 20, 40, 80, 160, 320, 500, 500]);
        assert_eq!(limit_ms(63), CAP_MS);
        assert_eq!(limit_ms(u32::MAX), CAP_MS);
    }

    #[test]
    fn pauses_spread_over_their_range() {
        let pauses: Vec<Duration> = (0..200).map(|_| pause(6)).collect();
        assert!(pauses
            .iter()
            .all(|pause| pause.as_millis() <= u128::from(CAP_MS)));
        assert!(pauses.iter().any(|pause| pause.as_millis() < 200));
        assert!(pauses.iter().any(|pause| pause.as_millis() > 300));
    }
}
