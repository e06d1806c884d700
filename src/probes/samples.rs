//! What probes measure, one by one, for whoever writes it down: a bounded queue that takes samples only
//! while somebody has subscribed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use crate::probes::table::Probe;
use crate::queue::Queue;

/// Samples that wait to be taken; at full rate more than half a minute of them.
const CAPACITY: usize = 8192;

static SUBSCRIBED: AtomicBool = AtomicBool::new(false);
static QUEUE: Queue<Sample> = Queue::new(CAPACITY);

/// One look of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Which probe.
    pub probe: Probe,
    /// The loop or thread that it is about.
    pub subject: Option<u64>,
    /// A callback or coroutine, a thread, a cause.
    pub name: Option<Arc<str>>,
    /// When, or since when, on the recorder's clock.
    pub start_ns: u64,
    /// How long it took or waited.
    pub duration_ns: Option<u64>,
    /// The total or level at that time.
    pub value: Option<f64>,
}

/// Has samples kept from now on, or not any more.
pub fn subscribe(wanted: bool) {
    SUBSCRIBED.store(wanted, Ordering::Release);
    if !wanted {
        while QUEUE.pop().is_some() {}
    }
}

/// Whether somebody takes samples: one relaxed load.
#[inline]
pub fn is_subscribed() -> bool {
    SUBSCRIBED.load(Ordering::Relaxed)
}

/// Keeps a sample, if somebody takes them.
pub fn push(sample: impl FnOnce() -> Sample) {
    if is_subscribed() {
        QUEUE.push(sample());
    }
}

/// Appends everything that is there, oldest first.
pub fn drain(into: &mut Vec<Sample>) {
    // No more than fit at once, or a fast writer would keep the reader for ever.
    into.extend(std::iter::from_fn(|| QUEUE.pop()).take(CAPACITY));
}

/// Samples that were lost because nobody took them in time.
pub fn dropped() -> u64 {
    QUEUE.dropped()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(start_ns: u64) -> Sample {
        Sample {
            probe: Probe::GilDelay,
            subject: None,
            name: Some("here".into()),
            start_ns,
            duration_ns: Some(5),
            value: None,
        }
    }

    #[test]
    fn samples_are_kept_for_subscribers_only() {
        let mut taken = Vec::new();
        push(|| unreachable!("nobody has subscribed"));
        drain(&mut taken);
        assert_eq!(taken, []);
        subscribe(true);
        push(|| sample(1));
        push(|| sample(2));
        drain(&mut taken);
        assert_eq!(taken, [sample(1), sample(2)]);
        for start in 0..CAPACITY as u64 + 3 {
            push(|| sample(start));
        }
        assert_eq!(dropped(), 3);
        subscribe(false);
        taken.clear();
        drain(&mut taken);
        assert_eq!(taken, []);
    }
}
