//! A compact copy of an operation that has ended: all that exporters need, owned, so that its recorder can serve the
//! next operation at once. Copies are used again, so that in the long run copying allocates nothing.

use aerospike_stages::recorder::Ending;
use aerospike_stages::timeline::Segment;
use aerospike_stages::{
    Caller, End, Facts, Lane, NodeId, Operation, Origin, Outcome, Recorder, Stage,
};

/// What a copy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// An operation.
    #[default]
    Operation,
    /// Its result was converted to Python objects after its end.
    Conversion,
}

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

/// A stage with its boundaries, relative to the operation's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The stage.
    pub stage: Stage,
    /// The node it was spent on.
    pub node: NodeId,
    /// Nanoseconds after the operation's start.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
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
    /// Where its pieces are among those of all branches.
    pub pieces: (u32, u32),
    /// Its pieces tell sums and no order.
    pub folded: bool,
}

/// An operation that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// What this is a copy of.
    pub kind: Kind,
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
    /// The critical path, in order.
    pub pieces: Vec<Piece>,
    /// What ran beside it.
    pub branches: Vec<Branch>,
    /// Pieces of all branches.
    pub branch_pieces: Vec<Piece>,
}

impl Default for Ended {
    fn default() -> Self {
        Ended {
            kind: Kind::Operation,
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
            pieces: Vec::new(),
            branches: Vec::new(),
            branch_pieces: Vec::new(),
        }
    }
}

impl Ended {
    /// Copies an operation.
    pub fn copy(&mut self, recorder: &Recorder, ending: &Ending, end: &End, kept: Option<Kept>) {
        self.kind = Kind::Operation;
        self.origin = recorder.origin();
        self.ending = *ending;
        self.end = *end;
        self.facts = recorder.facts;
        self.caller = recorder.caller.as_deref().cloned();
        self.kept = kept;
        self.folded = recorder.is_folded();
        self.clear();
        let start = ending.start;
        let mut node = recorder.node();
        recorder.visit(|segment| {
            if segment.node != NodeId::NONE {
                node = segment.node;
            }
            self.pieces.push(piece(segment, start));
        });
        self.node = node;
        for track in recorder.tracks() {
            let first = self.branch_pieces.len() as u32;
            let mut node = NodeId::NONE;
            track.timeline.visit(|segment| {
                if segment.node != NodeId::NONE {
                    node = segment.node;
                }
                self.branch_pieces.push(piece(segment, start));
            });
            let began = track.timeline.started();
            self.branches.push(Branch {
                node,
                attempts: track.attempts,
                start: began.saturating_sub(start),
                duration: track.timeline.ended().saturating_sub(began),
                bytes_sent: track.bytes_sent,
                bytes_received: track.bytes_received,
                failed_in: track.failed_in,
                pieces: (first, self.branch_pieces.len() as u32),
                folded: track.timeline.is_folded(),
            });
        }
    }

    /// Says that the result of an operation was converted after its end.
    pub fn converted(&mut self, origin: Origin, start: u64, nanos: u64) {
        *self = Ended {
            kind: Kind::Conversion,
            origin,
            caller: Some(Caller {
                thread: aerospike_stages::caller::this_thread(),
                ..Caller::default()
            }),
            pieces: std::mem::take(&mut self.pieces),
            branches: std::mem::take(&mut self.branches),
            branch_pieces: std::mem::take(&mut self.branch_pieces),
            ..Ended::default()
        };
        self.ending.start = start;
        self.ending.wall = nanos;
        self.clear();
        self.pieces.push(Piece {
            stage: Stage::ToDict,
            node: NodeId::NONE,
            start: 0,
            duration: nanos,
        });
    }

    fn clear(&mut self) {
        self.pieces.clear();
        self.branches.clear();
        self.branch_pieces.clear();
    }

    /// The pieces of one branch.
    #[must_use]
    pub fn pieces_of(&self, branch: &Branch) -> &[Piece] {
        self.branch_pieces
            .get(branch.pieces.0 as usize..branch.pieces.1 as usize)
            .unwrap_or_default()
    }

    /// Time by stage on the critical path.
    #[must_use]
    pub fn sums(&self) -> [u64; Stage::COUNT] {
        let mut sums = [0; Stage::COUNT];
        for piece in &self.pieces {
            sums[piece.stage.index()] += piece.duration;
        }
        sums
    }

    /// How much memory the copy takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Ended>()
            + (self.pieces.capacity() + self.branch_pieces.capacity()) * size_of::<Piece>()
            + self.branches.capacity() * size_of::<Branch>()
    }
}

fn piece(segment: Segment, start: u64) -> Piece {
    Piece {
        stage: segment.stage,
        node: segment.node,
        start: segment.start.saturating_sub(start),
        duration: segment.end - segment.start,
    }
}
