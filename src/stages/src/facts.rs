//! What is known of an operation besides its time: what it was about, how much went over the wire,
//! how it ended.

use crate::node::NodeId;
use crate::operation::Outcome;
use crate::target::Target;

/// How an operation ended, in detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// The name of the exception that it ended with.
    pub error: Option<&'static str>,
    /// The server's result code, if it answered with another one than success.
    pub code: Option<i32>,
}

impl End {
    /// With a result.
    pub const OK: End = End::of(Outcome::Ok);
    /// The caller stopped waiting.
    pub const CANCELLED: End = End::of(Outcome::Cancelled);

    /// Without anything to add.
    #[must_use]
    pub const fn of(outcome: Outcome) -> End {
        End {
            outcome,
            error: None,
            code: None,
        }
    }
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subject {
    /// Namespace and set.
    pub target: Target,
    /// How many sets its keys are in.
    pub sets: u16,
    /// How many keys it has.
    pub keys: u32,
}

/// What a recorder knows of its operation besides times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// What it is about.
    pub subject: Subject,
    /// The node that all its attempts went to; none if it was several, or is not known.
    pub node: NodeId,
    /// Bytes that went to the cluster.
    pub bytes_sent: u64,
    /// Bytes that came back.
    pub bytes_received: u64,
    /// Which client it was asked of; zero if that is not known.
    pub client: u32,
    /// Operations of the client in flight when it started, itself included; zero if that is not known.
    pub in_flight: u32,
}
