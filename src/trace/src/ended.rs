//! An operation that has ended, as exporters see it, and the conversion of its result. They lie in blocks
//! ([`crate::block`]), which say how they get there.

use std::ops::Deref;
use std::sync::Arc;

use aerospike_stages::boundary::Boundary;
use aerospike_stages::caller::{this_thread, Thread};
use aerospike_stages::recorder::Ending;
use aerospike_stages::track::Track;
use aerospike_stages::{Caller, End, Facts, NodeId, Origin, Recorder, Stage};

use crate::pieces::{between, last_node, Piece};

/// Why an operation is exported although it need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was chosen when it began.
    Head,
    /// It failed.
    Failed,
    /// It was slow.
    Slow,
}

impl Kept {
    /// The reason in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kept::Head => "head",
            Kept::Failed => "failed",
            Kept::Slow => "slow",
        }
    }
}

/// Where some of many are: from the first to the one that is no longer among them.
pub(crate) type Range = (u32, u32);

fn within<T>(all: &[T], (first, end): Range) -> &[T] {
    all.get(first as usize..end as usize).unwrap_or_default()
}

/// One task of an operation that asked several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Connections it checked out.
    pub attempts: u32,
    /// Nanoseconds after the operation's start.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// Bytes to the node.
    pub bytes_sent: u64,
    /// Bytes from the node.
    pub bytes_received: u64,
    /// The stage it failed in.
    pub failed_in: Option<Stage>,
    /// Where its boundaries are, which are told after its own start.
    boundaries: Range,
    /// Its pieces tell sums and no order.
    pub folded: bool,
}

impl Branch {
    /// Copies a track of an operation that started at `start`, and its pieces to `boundaries`.
    pub(crate) fn copy(track: &Track, start: u64, boundaries: &mut Vec<Boundary>) -> Self {
        let timeline = track.timeline();
        let began = timeline.started();
        let first = boundaries.len() as u32;
        timeline.append_to(boundaries);
        Branch {
            attempts: track.attempts(),
            start: began.saturating_sub(start),
            duration: timeline.ended().saturating_sub(began),
            bytes_sent: track.facts().bytes_sent,
            bytes_received: track.facts().bytes_received,
            failed_in: track.failed_in(),
            boundaries: (first, boundaries.len() as u32),
            folded: timeline.is_folded(),
        }
    }
}

/// What is known of an operation that has ended, but for lists.
#[derive(Debug, Clone)]
pub struct Head {
    /// Which operation.
    pub origin: Origin,
    /// When, how long, how.
    pub ending: Ending,
    /// With which error.
    pub end: End,
    /// What it was about.
    pub facts: Facts,
    /// The node that it talks to, or has talked to.
    node: NodeId,
    /// Who called.
    pub caller: Option<Caller>,
    /// Why a span is made of it; `None` if none is.
    pub kept: Option<Kept>,
    /// [`Ended::pieces`] tell sums and no order.
    pub folded: bool,
    path: Range,
    branches: Range,
}

impl Head {
    /// Copies an operation, and what there are several of to the ends of lists.
    pub(crate) fn copy(
        recorder: &Recorder,
        ending: &Ending,
        end: &End,
        kept: Option<Kept>,
        (boundaries, branches): (&mut Vec<Boundary>, &mut Vec<Branch>),
    ) -> Self {
        let before = boundaries.len() as u32;
        recorder.append_boundaries_to(boundaries);
        let path = (before, boundaries.len() as u32);
        let first = branches.len() as u32;
        for track in recorder.tracks() {
            branches.push(Branch::copy(track, ending.start, boundaries));
        }
        Head {
            origin: recorder.origin(),
            ending: *ending,
            end: *end,
            facts: recorder.facts,
            node: recorder.node(),
            caller: recorder.caller.as_deref().cloned(),
            kept,
            folded: recorder.is_folded(),
            path,
            branches: (first, branches.len() as u32),
        }
    }
}

/// An operation that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    head: &'a Head,
    /// Of this operation and of others.
    boundaries: &'a [Boundary],
    /// What ran beside the critical path.
    pub branches: &'a [Branch],
}

impl Deref for Ended<'_> {
    type Target = Head;

    fn deref(&self) -> &Head {
        self.head
    }
}

impl<'a> Ended<'a> {
    pub(crate) fn of(head: &'a Head, boundaries: &'a [Boundary], branches: &'a [Branch]) -> Self {
        Ended {
            head,
            boundaries,
            branches: within(branches, head.branches),
        }
    }

    /// Who called.
    #[must_use]
    pub fn caller(self) -> Option<&'a Caller> {
        self.head.caller.as_ref()
    }

    /// The critical path, in order.
    pub fn pieces(self) -> impl DoubleEndedIterator<Item = Piece> + Clone + 'a {
        between(within(self.boundaries, self.head.path), 0)
    }

    /// The pieces of one branch.
    pub fn pieces_of(self, branch: &Branch) -> impl DoubleEndedIterator<Item = Piece> + Clone + 'a {
        between(within(self.boundaries, branch.boundaries), branch.start)
    }

    /// The node that it talked to last.
    #[must_use]
    pub fn node(self) -> NodeId {
        last_node(self.pieces()).unwrap_or(self.head.node)
    }

    /// The node that a branch talked to.
    #[must_use]
    pub fn node_of(self, branch: &Branch) -> NodeId {
        last_node(self.pieces_of(branch)).unwrap_or(NodeId::NONE)
    }

    /// Those of the critical path and of all branches, one after the other.
    pub fn all_pieces(self) -> impl Iterator<Item = Piece> + 'a {
        let of_branches = self
            .branches
            .iter()
            .flat_map(move |branch| self.pieces_of(branch));
        self.pieces().chain(of_branches)
    }
}

/// The result of an operation was converted to Python objects after its end.
#[derive(Debug, Clone)]
pub struct Converted {
    /// Of which operation.
    pub origin: Origin,
    /// When that began.
    pub start: u64,
    /// How long it took.
    pub nanos: u64,
    /// Where.
    pub thread: Option<Arc<Thread>>,
}

impl Converted {
    /// A conversion that has ended on this thread.
    #[must_use]
    pub fn here(origin: Origin, start: u64, nanos: u64) -> Self {
        Converted {
            origin,
            start,
            nanos,
            thread: this_thread(),
        }
    }
}
