//! Digests of keys: RIPEMD-160 of set, type of the user key, and user key. One at a time for single
//! records, and several side by side for batches. The compression function is in `digest_rounds`.

use crate::convert::digest_rounds::{compress, side_by_side, Lanes, START};

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 20;
/// Digests that [`digest_many`] computes at once, at most.
pub const MOST_LANES: usize = 8;

const BLOCK_BYTES: usize = 64;
/// The last block ends with the length of the message in bits.
const LENGTH_BYTES: usize = 8;
/// Messages up to here are a single block: behind them is a bit that ends them, and the length.
const SHORT_BYTES: usize = BLOCK_BYTES - LENGTH_BYTES - 1;
/// A bit behind the last byte of a message.
const END: u8 = 0x80;
/// Below this, computing one after the other is as quick as filling lanes that nobody needs.
const FEWEST_LANES: usize = 3;

/// What identifies a record.
pub type Digest = [u8; DIGEST_BYTES];
type Block = [u8; BLOCK_BYTES];

/// What a digest is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    /// The name of the set.
    pub set: &'a [u8],
    /// The wire's number for the type of the user key.
    pub particle: u8,
    /// The user key.
    pub user_key: &'a [u8],
}

impl Message<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.set.len() + 1 + self.user_key.len()
    }

    /// The only block of a short message; of a longer one it is nothing.
    #[inline]
    fn block(&self) -> Option<Block> {
        let len = self.len();
        if len > SHORT_BYTES {
            return None;
        }
        let mut block = [0; BLOCK_BYTES];
        let (set, rest) = block.split_at_mut(self.set.len());
        set.copy_from_slice(self.set);
        rest[0] = self.particle;
        rest[1..=self.user_key.len()].copy_from_slice(self.user_key);
        block[len] = END;
        block[BLOCK_BYTES - LENGTH_BYTES..].copy_from_slice(&length_in_bits(len));
        Some(block)
    }

    fn digest_of_long(&self) -> Digest {
        let len = self.len();
        let mut bytes = Vec::with_capacity(len + 2 * BLOCK_BYTES);
        bytes.extend_from_slice(self.set);
        bytes.push(self.particle);
        bytes.extend_from_slice(self.user_key);
        bytes.push(END);
        let blocks = (bytes.len() + LENGTH_BYTES).div_ceil(BLOCK_BYTES);
        bytes.resize(blocks * BLOCK_BYTES - LENGTH_BYTES, 0);
        bytes.extend_from_slice(&length_in_bits(len));
        let mut state = START;
        let mut block = [0; BLOCK_BYTES];
        for bytes in bytes.chunks_exact(BLOCK_BYTES) {
            block.copy_from_slice(bytes);
            compress(&mut state, &block);
        }
        digest_of(state)
    }
}

fn length_in_bits(bytes: usize) -> [u8; LENGTH_BYTES] {
    (bytes as u64).wrapping_mul(8).to_le_bytes()
}

fn digest_of(state: [u32; 5]) -> Digest {
    let mut digest = [0; DIGEST_BYTES];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

/// The digest of one message.
pub fn digest(message: Message<'_>) -> Digest {
    let Some(block) = message.block() else {
        return message.digest_of_long();
    };
    let mut state = START;
    compress(&mut state, &block);
    digest_of(state)
}

/// The digests of up to [`MOST_LANES`] messages; those beyond the messages are of no meaning.
pub fn digest_many(messages: &[Message<'_>]) -> [Digest; MOST_LANES] {
    let mut digests = [[0; DIGEST_BYTES]; MOST_LANES];
    let lanes = Lanes::of_this_machine();
    let width = lanes.width();
    let groups = messages.chunks(width).zip(digests.chunks_mut(width));
    for (messages, digests) in groups {
        if width == 1 || messages.len() < FEWEST_LANES {
            for (message, to) in messages.iter().zip(digests) {
                *to = digest(*message);
            }
            continue;
        }
        let mut blocks = [[0; BLOCK_BYTES]; MOST_LANES];
        for (message, block) in messages.iter().zip(&mut blocks) {
            if let Some(short) = message.block() {
                *block = short;
            }
        }
        let states = side_by_side(lanes, &blocks);
        for ((message, state), to) in messages.iter().zip(states).zip(digests) {
            *to = if message.len() > SHORT_BYTES {
                message.digest_of_long()
            } else {
                digest_of(state)
            };
        }
    }
    digests
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
