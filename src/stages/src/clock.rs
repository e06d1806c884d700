//! The clock of the recorder: nanoseconds since the process's first look at it.
//!
//! Where the kernel itself trusts the processor's time-stamp counter, reading that counter
//! costs half of a call into the kernel's clock page; everywhere else the standard monotonic
//! clock serves. The choice is made once, before the first operation is recorded.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A reading of both clocks at the same moment.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    instant: Instant,
    ticks: u64,
}

/// How ticks become nanoseconds: `(ticks - base) * multiplier >> SHIFT`.
#[derive(Debug, Clone, Copy)]
struct Scale {
    base: u64,
    multiplier: u64,
}

const SHIFT: u32 = 32;
/// Two anchors this far apart fix the counter's rate to about ten parts per million.
const CALIBRATION: Duration = Duration::from_millis(10);

static ORIGIN: OnceLock<Anchor> = OnceLock::new();
static SCALE: OnceLock<Option<Scale>> = OnceLock::new();
/// Held while the clock is chosen. The thread that forks takes it, too: a `SCALE` that is just being
/// set by a thread which the child does not have could never be set there.
static CHOOSING: Mutex<()> = Mutex::new(());

/// Takes the first anchor. Calling it early (at import) makes a later [`calibrate`] instant.
pub fn warm_up() {
    ORIGIN.get_or_init(anchor);
}

/// Decides which clock serves, once. May sleep for a few milliseconds the first time.
pub fn calibrate() {
    let _choosing = lock_choice();
    SCALE.get_or_init(|| {
        let origin = *ORIGIN.get_or_init(anchor);
        if !counter_is_trusted() {
            return None;
        }
        let elapsed = origin.instant.elapsed();
        if elapsed < CALIBRATION {
            std::thread::sleep(CALIBRATION - elapsed);
        }
        let later = anchor();
        scale_between(origin, later)
    });
}

/// Keeps everybody else from choosing the clock.
pub(crate) fn lock_choice() -> MutexGuard<'static, ()> {
    CHOOSING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nanoseconds since the process's first look at the clock.
#[inline]
#[must_use]
pub fn now_ns() -> u64 {
    match SCALE.get() {
        Some(Some(scale)) => to_ns(ticks(), *scale),
        _ => {
            let origin = ORIGIN.get_or_init(anchor);
            u64::try_from(origin.instant.elapsed().as_nanos()).unwrap_or(u64::MAX)
        }
    }
}

fn to_ns(ticks: u64, scale: Scale) -> u64 {
    let since = u128::from(ticks.saturating_sub(scale.base));
    ((since * u128::from(scale.multiplier)) >> SHIFT) as u64
}

fn scale_between(first: Anchor, second: Anchor) -> Option<Scale> {
    let ticks = second
        .ticks
        .checked_sub(first.ticks)
        .filter(|ticks| *ticks > 0)?;
    let nanos = second.instant.duration_since(first.instant).as_nanos();
    let multiplier = u64::try_from((nanos << SHIFT) / u128::from(ticks)).ok()?;
    (multiplier > 0).then_some(Scale {
        base: first.ticks,
        multiplier,
    })
}

/// The tightest of a few paired readings, so that a preemption between the two does not skew it.
fn anchor() -> Anchor {
    let read = || {
        let before = ticks();
        let instant = Instant::now();
        let after = ticks();
        (
            after.saturating_sub(before),
            Anchor {
                instant,
                ticks: before + after.saturating_sub(before) / 2,
            },
        )
    };
    let mut best = read();
    for _ in 0..16 {
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn counter_is_trusted() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|source| source.trim() == "tsc")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn counter_is_trusted() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn ticks() -> u64 {
    // SAFETY: RDTSC reads a register that every x86-64 processor has; it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn ticks() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_monotonic_clock() {
        warm_up();
        calibrate();
        let (started, first) = (Instant::now(), now_ns());
        std::thread::sleep(Duration::from_millis(30));
        let (elapsed, measured) = (
            started.elapsed().as_nanos() as f64,
            (now_ns() - first) as f64,
        );
        assert!(
            (measured / elapsed - 1.0).abs() < 0.02,
            "{measured} against {elapsed}"
        );
    }

    #[test]
    fn never_runs_backwards() {
        calibrate();
        let mut last = now_ns();
        for _ in 0..10_000 {
            let next = now_ns();
            assert!(next >= last);
            last = next;
        }
    }

    #[test]
    fn a_known_rate_converts_exactly() {
        let instant = Instant::now();
        let first = Anchor {
            instant,
            ticks: 1_000,
        };
        let second = Anchor {
            instant: instant + Duration::from_nanos(1_000_000),
            ticks: 1_000 + 2_500_000,
        };
        let scale = scale_between(first, second).unwrap();
        assert_eq!(to_ns(1_000, scale), 0);
        let converted = to_ns(1_000 + 25_000_000, scale);
        assert!(converted.abs_diff(10_000_000) <= 1, "{converted}");
        assert!(scale_between(second, first).is_none());
    }
}
