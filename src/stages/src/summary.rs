//! The result of recording one operation.

use crate::node::NodeId;
use crate::operation::{Lane, Operation, Outcome};
use crate::table::Stage;
use crate::timeline::{Segment, Timeline};

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
    #[expect(clippy::too_many_arguments, reason = "called in one place, by the recorder that owns all of these")]
    pub(crate) fn new(
        id: u64,
        operation: Operation,
        lane: Lane,
        outcome: Outcome,
        failed_in: Option<Stage>,
        attempts: u32,
        segments: Vec<Segment>,
        timeline: &Timeline,
    ) -> Self {
        let mut stages = [0; Stage::COUNT];
        for segment in &segments {
            stages[segment.stage.index()] += segment.end - segment.start;
        }
        let start = timeline.started();
        Summary {
            id,
            operation,
            lane,
            outcome,
            failed_in,
            attempts,
            start,
            wall: timeline.ended() - start,
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
        for segment in self.segments.iter().filter(|segment| segment.node != NodeId::NONE) {
            visit(segment.node, segment.stage, segment.end - segment.start);
        }
    }
}
