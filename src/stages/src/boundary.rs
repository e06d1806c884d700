//! From a moment on, a stage runs, in eight bytes: an operation is written on one processor and read on another, and
//! every line of memory that it takes has to travel between them.

use crate::node::NodeId;
use crate::table::Stage;

/// When a stage begins, and on which node: 48 bits of time, eight each of the two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary(u64);

impl Boundary {
    /// The longest time after the start that can be told: 78 hours of nanoseconds. What is longer is told as this.
    pub const LONGEST: u64 = (1 << 48) - 1;

    /// `stage` begins `since_start` nanoseconds after the operation's start.
    #[inline]
    #[must_use]
    pub fn new(since_start: u64, stage: Stage, node: NodeId) -> Self {
        let time = since_start.min(Self::LONGEST) << 16;
        Boundary(time | ((stage as u64) << 8) | node.index() as u64)
    }

    /// Nothing begins any more.
    #[inline]
    #[must_use]
    pub fn end(since_start: u64) -> Self {
        Self::new(since_start, Stage::Unattributed, NodeId::NONE)
    }

    /// The same stage on the same node, beginning at another time.
    #[inline]
    #[must_use]
    pub fn moved_to(self, since_start: u64) -> Self {
        let time = since_start.min(Self::LONGEST) << 16;
        Boundary(time | (self.0 & 0xffff))
    }

    /// The same so much later, which must not be later than can be told.
    #[inline]
    #[must_use]
    pub(crate) fn later_by(self, nanos: u64) -> Self {
        Boundary(self.0.wrapping_add(nanos << 16))
    }

    /// Nanoseconds after the operation's start.
    #[inline]
    #[must_use]
    pub fn since_start(self) -> u64 {
        self.0 >> 16
    }

    /// The number of the stage.
    #[inline]
    #[must_use]
    pub fn stage_index(self) -> usize {
        (self.0 >> 8) as usize & 0xff
    }

    /// The stage.
    #[inline]
    #[must_use]
    pub fn stage(self) -> Stage {
        Stage::ALL[self.stage_index()]
    }

    /// The node it is spent on.
    #[inline]
    #[must_use]
    pub fn node(self) -> NodeId {
        NodeId::from_index(self.0 as usize & 0xff)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            since_start in 0..=Boundary::LONGEST,
            stage in 0..Stage::COUNT,
            node in 0..NodeId::COUNT,
        ) {
            let (stage, node) = (Stage::ALL[stage], NodeId::from_index(node));
            let boundary = Boundary::new(since_start, stage, node);
            prop_assert_eq!(boundary.since_start(), since_start);
            prop_assert_eq!(boundary.stage_index(), stage.index());
            prop_assert_eq!((boundary.stage(), boundary.node()), (stage, node));
            let moved = boundary.moved_to(since_start / 2);
            prop_assert_eq!(moved, Boundary::new(since_start / 2, stage, node));
            prop_assert_eq!(moved.later_by(since_start - since_start / 2), boundary);
        }
    }

    #[test]
    fn what_takes_longer_than_can_be_told_leaves_stage_and_node_alone() {
        let boundary = Boundary::new(u64::MAX, Stage::ToDict, NodeId::OVERFLOW);
        assert_eq!(boundary.since_start(), Boundary::LONGEST);
        assert_eq!(
            (boundary.stage(), boundary.node()),
            (Stage::ToDict, NodeId::OVERFLOW)
        );
    }
}
