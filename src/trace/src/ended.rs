//! A compact copy of an operation that has ended: all that exporters need, owned, so that its recorder can serve the
//! next operation at once. Copies are used again, so that in the long run copying allocates nothing.

use std::sync::Arc;

use aerospike_stages::boundary::Boundary;
use aerospike_stages::caller::{this_thread, Thread};
use aerospike_stages::recorder::Ending;
use aerospike_stages::track::Track;
use aerospike_stages::{
    Caller, End, Facts, Lane, NodeId, Operation, Origin, Outcome, Recorder, Stage,
};

use crate::pieces::{between, Adding, Piece};

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

/// One task of an operation that asked several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Where it went.
    pub node: NodeId,
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
    /// Where its pieces are among those of the operation.
    pieces: (u32, u32),
    /// Its pieces tell sums and no order.
    pub folded: bool,
}

impl Branch {
    /// Copies a track of an operation that started at `start`, and its pieces to `boundaries`.
    fn copy(track: &Track, start: u64, boundaries: &mut Vec<Boundary>) -> Self {
        let timeline = track.timeline();
        let began = timeline.started();
        let mut adding = Adding::to(boundaries, began.saturating_sub(start));
        timeline.pieces(|from, until| adding.add(from, until));
        let (pieces, node) = adding.finish();
        Branch {
            node,
            attempts: track.attempts(),
            start: began.saturating_sub(start),
            duration: timeline.ended().saturating_sub(began),
            bytes_sent: track.facts().bytes_sent,
            bytes_received: track.facts().bytes_received,
            failed_in: track.failed_in(),
            pieces,
            folded: timeline.is_folded(),
        }
    }
}

/// An operation that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Which operation.
    pub origin: Origin,
    /// When, how long, how.
    pub ending: Ending,
    /// With which error.
    pub end: End,
    /// What it was about.
    pub facts: Facts,
    /// The node that it talked to last.
    pub node: NodeId,
    /// Who called.
    pub caller: Option<Caller>,
    /// Why a span is made of it; `None` if none is.
    pub kept: Option<Kept>,
    /// [`Ended::pieces`] tell sums and no order.
    pub folded: bool,
    /// What ran beside the critical path.
    pub branches: Vec<Branch>,
    /// Of the critical path, and of all branches.
    boundaries: Vec<Boundary>,
    /// Where those of the critical path are.
    path: (u32, u32),
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

/// What is left for exporters.
#[derive(Debug)]
pub enum Item {
    /// An operation has ended.
    Operation(Box<Ended>),
    /// Its result was converted.
    Conversion(Box<Converted>),
}

impl Item {
    /// How much memory it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Item::Operation(ended) => ended.bytes(),
            Item::Conversion(_) => size_of::<Converted>(),
        }
    }
}

impl Default for Ended {
    fn default() -> Self {
        Ended {
            origin: Origin {
                id: 0,
                operation: Operation::Ping,
                lane: Lane::Sync,
            },
            ending: Ending {
                outcome: Outcome::Ok,
                failed_in: None,
                start: 0,
                wall: 0,
                attempts: 0,
            },
            end: End::OK,
            facts: Facts::default(),
            node: NodeId::NONE,
            caller: None,
            kept: None,
            folded: false,
            branches: Vec::new(),
            boundaries: Vec::new(),
            path: (0, 0),
        }
    }
}

impl Ended {
    /// Copies an operation.
    pub fn copy(&mut self, recorder: &Recorder, ending: &Ending, end: &End, kept: Option<Kept>) {
        self.origin = recorder.origin();
        self.ending = *ending;
        self.end = *end;
        self.facts = recorder.facts;
        self.caller = recorder.caller.as_deref().cloned();
        self.kept = kept;
        self.folded = recorder.is_folded();
        self.clear();
        let mut adding = Adding::to(&mut self.boundaries, 0);
        recorder.pieces(|from, until| adding.add(from, until));
        let (path, node) = adding.finish();
        self.path = path;
        self.node = match node {
            NodeId::NONE => recorder.node(),
            node => node,
        };
        for track in recorder.tracks() {
            self.branches
                .push(Branch::copy(track, ending.start, &mut self.boundaries));
        }
    }

    /// Becomes what rows show of a conversion: an operation with one stage and little else.
    pub fn become_conversion(&mut self, converted: &Converted) {
        let Converted {
            origin,
            start,
            nanos,
            ref thread,
        } = *converted;
        self.clear();
        self.origin = origin;
        self.ending.start = start;
        self.ending.wall = nanos;
        self.caller = Some(Caller {
            thread: thread.clone(),
            ..Caller::default()
        });
        let mut adding = Adding::to(&mut self.boundaries, 0);
        adding.add(Boundary::new(0, Stage::ToDict, NodeId::NONE), nanos);
        (self.path, _) = adding.finish();
    }

    fn clear(&mut self) {
        self.branches.clear();
        self.boundaries.clear();
    }

    /// The critical path, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + Clone + '_ {
        self.pieces_at(self.path)
    }

    /// The pieces of one branch.
    pub fn pieces_of(&self, branch: &Branch) -> impl Iterator<Item = Piece> + Clone + '_ {
        self.pieces_at(branch.pieces)
    }

    /// Those of the critical path and of all branches, one after the other.
    pub fn all_pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let of_branches = self
            .branches
            .iter()
            .flat_map(|branch| self.pieces_of(branch));
        self.pieces().chain(of_branches)
    }

    fn pieces_at(&self, (first, end): (u32, u32)) -> impl Iterator<Item = Piece> + Clone + '_ {
        let here = self.boundaries.get(first as usize..end as usize);
        between(here.unwrap_or_default())
    }

    /// Time by stage on the critical path.
    #[must_use]
    pub fn sums(&self) -> [u64; Stage::COUNT] {
        let mut sums = [0; Stage::COUNT];
        for piece in self.pieces() {
            sums[piece.stage.index()] += piece.duration;
        }
        sums
    }

    /// How much memory the copy takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Ended>()
            + self.boundaries.capacity() * size_of::<Boundary>()
            + self.branches.capacity() * size_of::<Branch>()
    }
}
