//! Levels of the `tracing` crate as numbers of Python's `logging`, and the one below which nothing is kept.

use std::sync::atomic::{AtomicU32, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::Level;

/// Higher than all of Python's.
pub const OFF: u32 = 60;
/// Python has no name for it.
pub const TRACE: u32 = 5;

static LEAST: AtomicU32 = AtomicU32::new(OFF);

/// Python's number of a level.
pub fn number_of(level: Level) -> u32 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => TRACE,
    }
}

/// What is let through where Python lets through what has this number or more.
pub fn filter_of(number: u32) -> LevelFilter {
    match number {
        0..=5 => LevelFilter::TRACE,
        6..=10 => LevelFilter::DEBUG,
        11..=20 => LevelFilter::INFO,
        21..=30 => LevelFilter::WARN,
        31..=40 => LevelFilter::ERROR,
        _ => LevelFilter::OFF,
    }
}

/// Whether records of this level are wanted: one relaxed load.
#[inline]
pub fn is_wanted(level: Level) -> bool {
    number_of(level) >= LEAST.load(Ordering::Relaxed)
}

/// The number from which on records are wanted.
pub fn least() -> u32 {
    LEAST.load(Ordering::Relaxed)
}

/// Lets through what has this number or more from now on.
pub fn set_least(number: u32) {
    if LEAST.swap(number, Ordering::Relaxed) != number {
        log::set_max_level(as_log(filter_of(number)));
        tracing::callsite::rebuild_interest_cache();
    }
}

fn as_log(filter: LevelFilter) -> log::LevelFilter {
    match filter.into_level() {
        None => log::LevelFilter::Off,
        Some(Level::ERROR) => log::LevelFilter::Error,
        Some(Level::WARN) => log::LevelFilter::Warn,
        Some(Level::INFO) => log::LevelFilter::Info,
        Some(Level::DEBUG) => log::LevelFilter::Debug,
        Some(Level::TRACE) => log::LevelFilter::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_let_through_what_python_would() {
        let levels = [
            Level::ERROR,
            Level::WARN,
            Level::INFO,
            Level::DEBUG,
            Level::TRACE,
        ];
        for number in 0..=70 {
            for level in levels {
                let python = number_of(level) >= number.clamp(TRACE, OFF);
                assert_eq!(level <= filter_of(number), python, "{level} at {number}");
            }
        }
    }
}
