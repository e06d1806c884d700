//! The result of recording one operation.

use crate::node::NodeId;
use crate::operation::{Lane, Operation, Outcome};
use crate::recorder::{Ending, Origin};
use crate::table::Stage;
use crate::timeline::Segment;

/// A finished operation: its partition and what the partition adds up to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The operation's number.
    pub id: u64,
    /// Which method.
    pub operation: Operation,
    /// Who drove it.
    pub lane: Lane,
    /// How it ended.
    pub outcome: Outcome,
    /// For anything but success: the stage it was in.
    pub failed_in: Option<Stage>,
    /// Connections checked out, over all tracks.
    pub attempts: u32,
    /// First nanosecond on the recorder's clock.
    pub start: u64,
    /// Wall time in nanoseconds.
    pub wall: u64,
    /// Nanoseconds by stage, on the critical path.
    pub stages: [u64; Stage::COUNT],
    /// The partition itself.
    pub segments: Vec<Segment>,
}

impl Summary {
    pub(crate) fn new(origin: Origin, ending: Ending, segments: Vec<Segment>) -> Self {
        let mut stages = [0; Stage::COUNT];
        for segment in &segments {
            stages[segment.stage.index()] += segment.end - segment.start;
        }
        Summary {
            id: origin.id,
            operation: origin.operation,
            lane: origin.lane,
            outcome: ending.outcome,
            failed_in: ending.failed_in,
            attempts: ending.attempts,
            start: ending.start,
            wall: ending.wall,
            stages,
            segments,
        }
    }

    /// Nanoseconds of one stage.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> u64 {
        self.stages[stage.index()]
    }

    /// Calls `visit` with every node, stage and time that belongs to a node.
    pub fn per_node(&self, mut visit: impl FnMut(NodeId, Stage, u64)) {
        for segment in self
            .segments
            .iter()
            .filter(|segment| segment.node != NodeId::NONE)
        {
            visit(segment.node, segment.stage, segment.end - segment.start);
        }
    }
}
