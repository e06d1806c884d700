//! Faults on demand: what they are. Their text form is in `spec`, which of them fire in `table`, exact time in `timer`.

mod spec;
pub(crate) mod table;
pub(crate) mod timer;

use std::fmt;
use std::time::Duration;

/// The longest delay, gap or cap a fault may have.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// A way in which a node misbehaves.
///
/// The text form, used by [`str::parse`], is `action[=arguments][@probability][xTIMES]`:
///
/// ```
/// use aerospike_embedded::Fault;
/// let slow: Fault = "delay=5ms".parse().unwrap();
/// let jitter: Fault = "delay=1ms..10ms".parse().unwrap();
/// let tail: Fault = "delay=heavy:1ms,50ms".parse().unwrap();
/// let trickle: Fault = "dribble=16,1ms".parse().unwrap();
/// let timeouts: Fault = "error=9@0.1".parse().unwrap();
/// let twice: Fault = "delay=5ms@0.5x2".parse().unwrap();
/// assert_eq!(twice.times, Some(2));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What happens.
    pub action: Action,
    /// How likely it happens to a request it could happen to, above 0 and up to 1.
    pub probability: f64,
    /// How often it happens in all; for ever if absent.
    pub times: Option<u64>,
}

impl Fault {
    /// A fault that always happens.
    pub fn always(action: Action) -> Self {
        Fault {
            action,
            probability: 1.0,
            times: None,
        }
    }

    /// The same fault happening with a probability.
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// The same fault happening only this often.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    pub(crate) fn check(&self) -> Result<(), FaultError> {
        if !(self.probability > 0.0 && self.probability <= 1.0) {
            return Err(FaultError::new(format!(
                "probability {} is out of range: give a number above 0 and at most 1",
                self.probability
            )));
        }
        if self.times == Some(0) {
            return Err(FaultError::new(
                "a fault that happens 0 times never happens: give at least 1",
            ));
        }
        self.action.check()
    }
}

/// What a fault does to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The command runs, the reply waits.
    Delay(DelayShape),
    /// The reply is sent in pieces with a gap between them.
    Dribble {
        /// Bytes per piece, at least one.
        piece: usize,
        /// Time between two pieces.
        gap: Duration,
    },
    /// No reply until the fault is cleared or the client gives up.
    Stall,
    /// The command runs, then the connection is reset instead of a reply.
    Reset,
    /// The command runs and half of the reply is sent, then the connection is reset.
    ResetMidReply,
    /// The request is not run and its connection is closed; aimed at [`CommandKind::Any`](crate::CommandKind::Any),
    /// new connections are closed as soon as they are accepted too.
    Refuse,
    /// The command does not run and is answered with this result code.
    Error(u8),
}

impl Action {
    fn check(&self) -> Result<(), FaultError> {
        let bounded = |what: &str, duration: Duration| {
            if duration > MAX_DURATION {
                return Err(FaultError::new(format!(
                    "{what} is above one hour: give a shorter one"
                )));
            }
            Ok(())
        };
        match *self {
            Action::Delay(DelayShape::Fixed(delay)) => bounded("the delay", delay),
            Action::Delay(DelayShape::Uniform { min, max }) => {
                if min > max {
                    return Err(FaultError::new(
                        "the shortest delay is above the longest: give them the other way round",
                    ));
                }
                bounded("the longest delay", max)
            }
            Action::Delay(DelayShape::HeavyTail { median, p99, cap }) => {
                if median.is_zero() || median > p99 || p99 > cap {
                    return Err(FaultError::new(
                        "a heavy tail needs a median above 0, a p99 not below it and a cap not below the p99",
                    ));
                }
                bounded("the cap", cap)
            }
            Action::Dribble { piece: 0, .. } => Err(FaultError::new(
                "pieces of 0 bytes never end: give at least 1",
            )),
            Action::Dribble { gap, .. } => bounded("the gap", gap),
            Action::Error(0) => Err(FaultError::new(
                "result code 0 is success: give a code from 1 to 255",
            )),
            Action::Error(_)
            | Action::Stall
            | Action::Reset
            | Action::ResetMidReply
            | Action::Refuse => Ok(()),
        }
    }
}

/// How delays are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DelayShape {
    /// Always the same.
    Fixed(Duration),
    /// Anything between two bounds, equally likely.
    Uniform {
        /// Shortest delay.
        min: Duration,
        /// Longest delay.
        max: Duration,
    },
    /// Log-normal: mostly near the median, sometimes far above it.
    HeavyTail {
        /// Half of the delays are shorter.
        median: Duration,
        /// One delay in a hundred is longer.
        p99: Duration,
        /// No delay is longer.
        cap: Duration,
    },
}

/// The standard normal's 99th percentile.
const Z99: f64 = 2.326_347_874_040_841;

impl DelayShape {
    /// The delay for two random numbers in `[0, 1)`.
    fn sample(self, first: f64, second: f64) -> Duration {
        match self {
            DelayShape::Fixed(delay) => delay,
            DelayShape::Uniform { min, max } => min + (max - min).mul_f64(first),
            DelayShape::HeavyTail { median, p99, cap } => {
                let normal =
                    (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos();
                let spread = (p99.as_secs_f64() / median.as_secs_f64()).ln() / Z99;
                let seconds = median.as_secs_f64() * (spread * normal).exp();
                Duration::from_secs_f64(seconds.min(cap.as_secs_f64()))
            }
        }
    }
}

/// Names one fault that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(pub(crate) u64);

impl FaultId {
    /// The id as a number, for callers that cannot hold the type.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The id with this number.
    pub fn from_number(number: u64) -> Self {
        FaultId(number)
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fault that cannot be: the message says what to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultError {
    message: String,
}

impl FaultError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        FaultError {
            message: message.into(),
        }
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FaultError {}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Delays for a grid of random numbers, sorted.
    fn grid(shape: DelayShape) -> Vec<Duration> {
        let steps = 200;
        let mut delays: Vec<Duration> = (0..steps * steps)
            .map(|cell| {
                let at = |step: usize| (step as f64 + 0.5) / steps as f64;
                shape.sample(at(cell / steps), at(cell % steps))
            })
            .collect();
        delays.sort_unstable();
        delays
    }

    #[test]
    fn a_heavy_tail_has_the_median_and_p99_asked_for_and_respects_its_cap() {
        let delays = grid(DelayShape::HeavyTail {
            median: MS,
            p99: MS * 50,
            cap: MS * 200,
        });
        let at =
            |quantile: f64| delays[(delays.len() as f64 * quantile) as usize].as_secs_f64() * 1e3;
        assert!((0.9..1.1).contains(&at(0.5)), "median {}", at(0.5));
        assert!((40.0..60.0).contains(&at(0.99)), "p99 {}", at(0.99));
        assert_eq!(delays.last(), Some(&(MS * 200)));
    }

    #[test]
    fn a_uniform_delay_covers_its_bounds() {
        let delays = grid(DelayShape::Uniform {
            min: MS,
            max: MS * 10,
        });
        assert!(delays[0] < MS * 2 && delays[0] >= MS);
        assert!(delays[delays.len() - 1] > MS * 9 && delays[delays.len() - 1] <= MS * 10);
    }

    #[test]
    fn impossible_faults_are_refused_with_advice() {
        let refused = [
            Fault::always(Action::Stall).with_probability(0.0),
            Fault::always(Action::Stall).with_probability(f64::NAN),
            Fault::always(Action::Stall).times(0),
            Fault::always(Action::Error(0)),
            Fault::always(Action::Dribble { piece: 0, gap: MS }),
            Fault::always(Action::Delay(DelayShape::Uniform {
                min: MS * 2,
                max: MS,
            })),
            Fault::always(Action::Delay(DelayShape::HeavyTail {
                median: MS,
                p99: MS * 5,
                cap: MS * 4,
            })),
            Fault::always(Action::Delay(DelayShape::Fixed(MAX_DURATION + MS))),
        ];
        for fault in refused {
            assert!(fault.check().is_err(), "{fault:?}");
        }
    }
}
