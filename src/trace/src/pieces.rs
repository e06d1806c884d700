//! Stages that follow each other without a gap, kept as the boundaries between them.

use aerospike_stages::boundary::Boundary;
use aerospike_stages::{NodeId, Stage};

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

impl Piece {
    fn between(boundary: Boundary, next: Boundary, offset: u64) -> Self {
        let start = boundary.since_start();
        Piece {
            stage: boundary.stage(),
            node: boundary.node(),
            start: offset + start,
            duration: next.since_start().saturating_sub(start),
        }
    }
}

/// What lies between boundaries that are told after something that began `offset` after the operation. What takes no time is
/// left out.
pub fn between(
    boundaries: &[Boundary],
    offset: u64,
) -> impl DoubleEndedIterator<Item = Piece> + Clone + '_ {
    let pieces = boundaries
        .windows(2)
        .map(move |pair| Piece::between(pair[0], pair[1], offset));
    pieces.filter(|piece| piece.duration > 0)
}

/// The last node among them.
pub fn last_node(pieces: impl DoubleEndedIterator<Item = Piece>) -> Option<NodeId> {
    let mut nodes = pieces.rev().map(|piece| piece.node);
    nodes.find(|node| *node != NodeId::NONE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_follow_each_other(
            lengths in prop::collection::vec((0..Stage::COUNT, 0..NodeId::COUNT, 0u64..1 << 40), 0..100),
            offset in 0u64..1 << 47,
        ) {
            let mut boundaries = Vec::new();
            let mut expected = Vec::new();
            let mut at = 0;
            for (stage, node, duration) in lengths {
                let (stage, node) = (Stage::ALL[stage], NodeId::from_index(node));
                boundaries.push(Boundary::new(at, stage, node));
                let start = offset + at;
                expected.push(Piece { stage, node, start, duration });
                at += duration;
            }
            boundaries.push(Boundary::end(at));
            expected.retain(|piece| piece.duration > 0);
            let found: Vec<Piece> = between(&boundaries, offset).collect();
            prop_assert_eq!(&found, &expected);
            let last = last_node(between(&boundaries, offset));
            let named = expected.iter().rev().find(|piece| piece.node != NodeId::NONE);
            prop_assert_eq!(last, named.map(|piece| piece.node));
        }
    }
}
