//! Blocks of copies: operations that have ended and conversions of their results, owned, so that a recorder can serve the
//! next operation at once. What is copied lies one behind the other in memory, and a block is used over and over again:
//! the processor fetches the next copy while one is being read, and in the long run nothing is allocated.

use aerospike_stages::boundary::Boundary;
use aerospike_stages::recorder::Ending;
use aerospike_stages::{End, Recorder};

use crate::ended::{Branch, Converted, Ended, Head, Kept};

/// A block is full when its copies take more than this.
const MOST_BYTES: usize = 256 << 10;

/// Copies, in the order in which they were made; conversions apart from operations.
#[derive(Debug, Default)]
pub struct Block {
    heads: Vec<Head>,
    boundaries: Vec<Boundary>,
    branches: Vec<Branch>,
    conversions: Vec<Converted>,
}

impl Block {
    /// Copies an operation.
    pub fn add(&mut self, recorder: &Recorder, ending: &Ending, end: &End, kept: Option<Kept>) {
        let lists = (&mut self.boundaries, &mut self.branches);
        let head = Head::copy(recorder, ending, end, kept, lists);
        self.heads.push(head);
    }

    /// Takes a conversion in.
    pub fn add_conversion(&mut self, converted: Converted) {
        self.conversions.push(converted);
    }

    /// The operations.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = Ended<'_>> + Clone {
        self.heads
            .iter()
            .map(|head| Ended::of(head, &self.boundaries, &self.branches))
    }

    /// The conversions.
    #[must_use]
    pub fn conversions(&self) -> &[Converted] {
        &self.conversions
    }

    /// How many operations and conversions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len() + self.conversions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether so many operations are in it, or conversions, or as much as goes into any block.
    #[must_use]
    pub fn is_full(&self, many: usize) -> bool {
        self.heads.len() >= many || self.conversions.len() >= many || self.bytes() >= MOST_BYTES
    }

    /// How much memory the copies take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&self.heads[..])
            + size_of_val(&self.boundaries[..])
            + size_of_val(&self.branches[..])
            + size_of_val(&self.conversions[..])
    }

    /// Whether the block has not grown far beyond what goes into it.
    #[must_use]
    pub fn is_worth_keeping(&self) -> bool {
        let taken = self.heads.capacity() * size_of::<Head>()
            + self.boundaries.capacity() * size_of::<Boundary>()
            + self.branches.capacity() * size_of::<Branch>()
            + self.conversions.capacity() * size_of::<Converted>();
        taken <= 4 * MOST_BYTES
    }

    /// Becomes empty and keeps its memory.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.boundaries.clear();
        self.branches.clear();
        self.conversions.clear();
    }
}

#[cfg(test)]
mod tests {
    use aerospike_stages::{Lane, Operation, Stage};

    use super::*;

    fn ended(block: &mut Block, at: u64) {
        let mut recorder = Recorder::start(Operation::Get, Lane::Sync, at);
        recorder.enter(Stage::Encode, at + 3);
        let end = End::OK;
        let ending = recorder.close(end.outcome, at + 10);
        block.add(&recorder, &ending, &end, None);
    }

    #[test]
    fn every_operation_has_its_own_pieces() {
        let mut block = Block::default();
        for round in 0..2 {
            (0..3).for_each(|place| ended(&mut block, 100 * place));
            assert_eq!(block.len(), 3, "in round {round}");
            for (place, ended) in block.operations().enumerate() {
                let pieces: Vec<_> = ended
                    .pieces()
                    .map(|piece| (piece.stage, piece.duration))
                    .collect();
                assert_eq!(pieces, [(Stage::KeyParse, 3), (Stage::Encode, 7)]);
                assert_eq!(ended.ending.start, 100 * place as u64);
                assert!(ended.branches.is_empty());
            }
            block.clear();
            assert!(block.is_empty());
            assert_eq!(block.bytes(), 0);
        }
    }

    #[test]
    fn a_block_is_full_by_number_or_by_memory() {
        let mut block = Block::default();
        ended(&mut block, 0);
        assert!(block.is_full(1) && !block.is_full(2));
        while !block.is_full(usize::MAX) {
            ended(&mut block, 0);
        }
        assert!(block.bytes() >= MOST_BYTES);
        assert!(block.is_worth_keeping());
        block.heads.reserve(MOST_BYTES);
        assert!(!block.is_worth_keeping());
    }
}
