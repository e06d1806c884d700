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
    fn between(boundary: Boundary, next: Boundary) -> Self {
        let start = boundary.since_start();
        Piece {
            stage: boundary.stage(),
            node: boundary.node(),
            start,
            duration: next.since_start().saturating_sub(start),
        }
    }
}

/// Pieces that are being appended.
pub struct Adding<'a> {
    boundaries: &'a mut Vec<Boundary>,
    first: usize,
    /// What the pieces are told after begins so long after the operation.
    offset: u64,
    end: u64,
    node: NodeId,
}

impl<'a> Adding<'a> {
    /// None yet. They are told after something that began `offset` after the operation.
    pub fn to(boundaries: &'a mut Vec<Boundary>, offset: u64) -> Self {
        Adding {
            first: boundaries.len(),
            boundaries,
            offset,
            end: offset,
            node: NodeId::NONE,
        }
    }

    /// Appends a piece, which begins where the last one ends.
    #[inline]
    pub fn add(&mut self, from: Boundary, until: u64) {
        if from.node() != NodeId::NONE {
            self.node = from.node();
        }
        self.end = self.offset + until;
        let at = self.offset + from.since_start();
        self.boundaries.push(from.moved_to(at));
    }

    /// Appends the end. Returns where all of them are, and the last node among them.
    pub fn finish(self) -> ((u32, u32), NodeId) {
        self.boundaries.push(Boundary::end(self.end));
        ((self.first as u32, self.boundaries.len() as u32), self.node)
    }
}

/// What lies between boundaries.
pub fn between(boundaries: &[Boundary]) -> impl Iterator<Item = Piece> + Clone + '_ {
    boundaries
        .windows(2)
        .map(|pair| Piece::between(pair[0], pair[1]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_appended_comes_out_again(
            lengths in prop::collection::vec((0..Stage::COUNT, 0..NodeId::COUNT, 1u64..1 << 40), 0..100),
            offset in 0u64..1 << 47,
        ) {
            let mut pieces = Vec::new();
            let mut at = 0;
            for (stage, node, nanos) in lengths {
                let (stage, node) = (Stage::ALL[stage], NodeId::from_index(node));
                pieces.push((Boundary::new(at, stage, node), at + nanos));
                at += nanos;
            }
            let mut boundaries = Vec::new();
            let (empty, nowhere) = Adding::to(&mut boundaries, offset).finish();
            prop_assert_eq!((empty, nowhere), ((0, 1), NodeId::NONE));
            let mut adding = Adding::to(&mut boundaries, offset);
            pieces.iter().for_each(|(from, until)| adding.add(*from, *until));
            let (place, last) = adding.finish();
            let here = &boundaries[place.0 as usize..place.1 as usize];
            let found: Vec<Piece> = between(here).collect();
            prop_assert_eq!(found.len(), pieces.len());
            for (piece, (from, until)) in found.iter().zip(&pieces) {
                prop_assert_eq!(piece.stage, from.stage());
                prop_assert_eq!(piece.node, from.node());
                prop_assert_eq!(piece.start, offset + from.since_start());
                prop_assert_eq!(piece.duration, until - from.since_start());
            }
            let nodes = pieces.iter().rev().map(|(from, _)| from.node());
            let named = nodes.clone().find(|node| *node != NodeId::NONE);
            prop_assert_eq!(last, named.unwrap_or(NodeId::NONE));
        }
    }
}
