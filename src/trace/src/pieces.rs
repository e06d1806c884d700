//! Stages that follow each other without a gap, kept as the boundaries between them.

use aerospike_stages::boundary::Boundary;
use aerospike_stages::timeline::Segment;
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

/// Segments that are being appended.
pub struct Adding<'a> {
    boundaries: &'a mut Vec<Boundary>,
    first: usize,
    start: u64,
    end: u64,
    node: NodeId,
}

impl<'a> Adding<'a> {
    /// None yet, of an operation that started at `start`.
    pub fn to(boundaries: &'a mut Vec<Boundary>, start: u64) -> Self {
        Adding {
            first: boundaries.len(),
            boundaries,
            start,
            end: start,
            node: NodeId::NONE,
        }
    }

    /// Appends a segment, which begins where the last one ends.
    #[inline]
    pub fn add(&mut self, segment: Segment) {
        if segment.node != NodeId::NONE {
            self.node = segment.node;
        }
        self.end = segment.end;
        let at = segment.start.saturating_sub(self.start);
        self.boundaries
            .push(Boundary::new(at, segment.stage, segment.node));
    }

    /// Appends the end. Returns where all of them are, and the last node among them.
    pub fn finish(self) -> ((u32, u32), NodeId) {
        let at = self.end.saturating_sub(self.start);
        self.boundaries
            .push(Boundary::new(at, Stage::Unattributed, NodeId::NONE));
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
            start in 0u64..1 << 60,
        ) {
            let mut segments = Vec::new();
            let mut at = start;
            for (stage, node, nanos) in lengths {
                let (stage, node) = (Stage::ALL[stage], NodeId::from_index(node));
                segments.push(Segment { stage, node, start: at, end: at + nanos });
                at += nanos;
            }
            let mut boundaries = Vec::new();
            let (empty, nowhere) = Adding::to(&mut boundaries, start).finish();
            prop_assert_eq!((empty, nowhere), ((0, 1), NodeId::NONE));
            let mut adding = Adding::to(&mut boundaries, start);
            segments.iter().for_each(|segment| adding.add(*segment));
            let (place, last) = adding.finish();
            let here = &boundaries[place.0 as usize..place.1 as usize];
            let found: Vec<Piece> = between(here).collect();
            prop_assert_eq!(found.len(), segments.len());
            for (piece, segment) in found.iter().zip(&segments) {
                prop_assert_eq!(piece.stage, segment.stage);
                prop_assert_eq!(piece.node, segment.node);
                prop_assert_eq!(piece.start, segment.start - start);
                prop_assert_eq!(piece.duration, segment.end - segment.start);
            }
            let named = segments.iter().rev().find(|segment| segment.node != NodeId::NONE);
            prop_assert_eq!(last, named.map_or(NodeId::NONE, |segment| segment.node));
        }
    }
}
