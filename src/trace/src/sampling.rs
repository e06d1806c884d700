//! Which operations become spans. The head decides when an operation begins: the application's decision stands, and
//! where there is none the sampler decides. The tail decides when it has ended, about those that the head left out.

use std::sync::atomic::{AtomicU64, Ordering};

use aerospike_stages::caller::{Parent, Span};
use aerospike_stages::{Lane, Operation, Outcome};

use crate::ended::Kept;
use crate::random;
use crate::slow::Percentiles;

/// Decides about operations that the application has no span around.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// All of them.
    AlwaysOn,
    /// None of them.
    AlwaysOff,
    /// This share, chosen by the trace's number as OpenTelemetry's samplers choose.
    Ratio(f64),
}

impl Sampler {
    /// Whether a trace is sampled.
    #[must_use]
    pub fn samples(self, trace_id: u128) -> bool {
        match self {
            Sampler::AlwaysOn => true,
            Sampler::AlwaysOff => false,
            Sampler::Ratio(ratio) if ratio >= 1.0 => true,
            Sampler::Ratio(ratio) => {
                let bound = (ratio.max(0.0) * (1_u64 << 63) as f64) as u64;
                ((trace_id as u64) >> 1) < bound
            }
        }
    }

    /// The span of an operation that begins.
    #[must_use]
    pub fn begin(self, parent: Option<&Parent>) -> Span {
        let span_id = random::next();
        match parent {
            Some(parent) => Span {
                trace_id: parent.trace_id,
                span_id,
                sampled: parent.sampled,
            },
            None => {
                let trace_id = u128::from(random::next()) << 64 | u128::from(random::next());
                Span {
                    trace_id,
                    span_id,
                    sampled: self.samples(trace_id),
                }
            }
        }
    }
}

/// At most so many in each second.
pub struct Limit {
    per_second: u32,
    /// The second, and how many it has had.
    used: AtomicU64,
}

impl Limit {
    /// A limit.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Limit {
            per_second,
            used: AtomicU64::new(0),
        }
    }

    /// Whether one more is within the limit, at that many nanoseconds.
    pub fn admits(&self, now: u64) -> bool {
        let second = (now / 1_000_000_000) << 32;
        let next = |used: u64| {
            let count = if used >> 32 == second >> 32 {
                used as u32
            } else {
                0
            };
            (count < self.per_second).then_some(second | u64::from(count + 1))
        };
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

/// What an operation has come to, as far as the tail is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Result {
    /// Which operation.
    pub operation: Operation,
    /// Who drove it.
    pub lane: Lane,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub wall: u64,
    /// When it ended.
    pub ended: u64,
}

/// Keeps failures and what was slow.
pub struct Tail {
    /// Slower than so many nanoseconds.
    pub slow_ns: Option<u64>,
    /// Slower than a percentile of what has been seen.
    pub percentiles: Option<Percentiles>,
    /// At most so many.
    pub limit: Limit,
    /// Also where the application decided against its trace.
    pub overrides_parent: bool,
    /// How many were over the limit.
    pub over_limit: AtomicU64,
}

impl Tail {
    /// Why an operation is kept that the head did not choose.
    pub fn keeps(&self, result: &Result, has_parent: bool) -> Option<Kept> {
        let reason = self.reason(result)?;
        if has_parent && !self.overrides_parent {
            return None;
        }
        if !self.limit.admits(result.ended) {
            self.over_limit.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(reason)
    }

    /// Has the percentiles see an operation that is kept anyway.
    pub fn sees(&self, result: &Result) {
        if let Some(percentiles) = &self.percentiles {
            percentiles.is_slow(result.operation, result.lane, result.wall);
        }
    }

    fn reason(&self, result: &Result) -> Option<Kept> {
        let slow = |slow: &Percentiles| slow.is_slow(result.operation, result.lane, result.wall);
        let by_percentile = self.percentiles.as_ref().is_some_and(slow);
        if result.outcome.is_error() {
            Some(Kept::Failed)
        } else if by_percentile || self.slow_ns.is_some_and(|limit| result.wall > limit) {
            Some(Kept::Slow)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanKind, TraceId};
    use opentelemetry_sdk::trace::{Sampler as Reference, SamplingDecision, ShouldSample};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_ratio_chooses_as_the_sdk_does(trace_id: u128, ratio in 0.0..=1.0_f64) {
            let reference = Reference::TraceIdRatioBased(ratio).should_sample(
                None,
                TraceId::from_bytes(trace_id.to_be_bytes()),
                "get",
                &SpanKind::Client,
                &[],
                &[],
            );
            let chosen = reference.decision == SamplingDecision::RecordAndSample;
            prop_assert_eq!(Sampler::Ratio(ratio).samples(trace_id), chosen);
        }
    }

    #[test]
    fn the_applications_decision_stands() {
        for sampled in [true, false] {
            let parent = Parent {
                trace_id: 7,
                span_id: 8,
                sampled,
                remote: false,
            };
            for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff, Sampler::Ratio(0.5)] {
                let span = sampler.begin(Some(&parent));
                assert_eq!((span.trace_id, span.sampled), (7, sampled));
            }
        }
        assert!(Sampler::AlwaysOn.begin(None).sampled);
        assert!(!Sampler::AlwaysOff.begin(None).sampled);
    }

    #[test]
    fn a_limit_holds_in_every_second() {
        let limit = Limit::new(3);
        let admitted = |from: u64| (0..10).filter(|n| limit.admits(from + n * 1000)).count();
        assert_eq!(admitted(5_000_000_000), 3);
        assert_eq!(admitted(5_900_000_000), 0);
        assert_eq!(admitted(6_000_000_000), 3);
        assert!(!Limit::new(0).admits(1));
    }

    #[test]
    fn the_tail_keeps_failures_and_what_is_slow() {
        let tail = Tail {
            slow_ns: Some(1_000_000),
            percentiles: None,
            limit: Limit::new(3),
            overrides_parent: false,
            over_limit: AtomicU64::new(0),
        };
        let result = |outcome, wall| Result {
            operation: Operation::Get,
            lane: Lane::Sync,
            outcome,
            wall,
            ended: 9_000_000_000,
        };
        let keeps = |outcome, wall| tail.keeps(&result(outcome, wall), false);
        assert_eq!(keeps(Outcome::Ok, 1_000_000), None);
        assert_eq!(keeps(Outcome::NotFound, 10), None);
        assert_eq!(tail.keeps(&result(Outcome::Timeout, 10), true), None);
        assert_eq!(keeps(Outcome::Ok, 1_000_001), Some(Kept::Slow));
        assert_eq!(keeps(Outcome::NotFound, 2_000_000), Some(Kept::Slow));
        assert_eq!(keeps(Outcome::Timeout, 10), Some(Kept::Failed));
        assert_eq!(keeps(Outcome::Timeout, 10), None);
        assert_eq!(tail.over_limit.load(Ordering::Relaxed), 1);
    }
}
