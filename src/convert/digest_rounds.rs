//! The rounds of RIPEMD-160, for one message or for several side by side. What the messages are made
//! of is the business of `digest`.
//!
//! A block is worked on twice, in two lines of five rounds that only meet at the end. Their steps
//! alternate here: a processor that waits for the last step of one line computes the other. One line
//! after the other takes almost twice as long.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128i, __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_or_si256,
    _mm256_set1_epi32, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_sub_epi32, _mm256_xor_si256,
    _mm_add_epi32, _mm_and_si128, _mm_andnot_si128, _mm_or_si128, _mm_set1_epi32, _mm_slli_epi32,
    _mm_srli_epi32, _mm_sub_epi32, _mm_xor_si128,
};

use crate::convert::digest::MOST_LANES;

/// What a digest starts from.
pub const START: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

const BLOCK_BYTES: usize = 64;
const BLOCK_WORDS: usize = 16;

/// How many messages are computed at once, and with which instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lanes {
    /// One after the other.
    #[cfg(not(target_arch = "x86_64"))]
    One,
    /// Four, with instructions that every processor of the kind has.
    #[cfg(target_arch = "x86_64")]
    Four,
    /// Eight, with AVX2.
    #[cfg(target_arch = "x86_64")]
    Eight(Avx2),
}

/// The proof that the processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

impl Lanes {
    /// The widest that this machine has.
    #[inline]
    pub fn of_this_machine() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                return Lanes::Eight(Avx2(()));
            }
            Lanes::Four
        }
        #[cfg(not(target_arch = "x86_64"))]
        Lanes::One
    }

    /// Messages at once.
    #[inline]
    pub fn width(self) -> usize {
        match self {
            #[cfg(not(target_arch = "x86_64"))]
            Lanes::One => 1,
            #[cfg(target_arch = "x86_64")]
            Lanes::Four => 4,
            #[cfg(target_arch = "x86_64")]
            Lanes::Eight(_) => 8,
        }
    }
}

/// The same word of one message or of several, and what the rounds do with it.
trait Words: Copy {
    fn all(word: u32) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    /// What is in the other but not in this one.
    fn not_and(self, other: Self) -> Self;
    /// `RIGHT` is 32 less `LEFT`.
    fn rotated<const LEFT: i32, const RIGHT: i32>(self) -> Self;
}

impl Words for u32 {
    #[inline(always)]
    fn all(word: u32) -> Self {
        word
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }
    #[inline(always)]
    fn not_and(self, other: Self) -> Self {
        !self & other
    }
    #[inline(always)]
    fn rotated<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        self.rotate_left(LEFT.cast_unsigned())
    }
}

/// Words of several messages in one register.
#[cfg(target_arch = "x86_64")]
macro_rules! register {
    ($name:ident, $register:ty, $lanes:literal, $set:ident, $add:ident, $sub:ident, $xor:ident, $and:ident,
     $andnot:ident, $or:ident, $left:ident, $right:ident) => {
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        struct $name($register);

        impl $name {
            #[inline(always)]
            fn of(words: [u32; $lanes]) -> Self {
                // SAFETY: both are as many bytes, and any bytes are valid for both.
                $name(unsafe { std::mem::transmute::<[u32; $lanes], $register>(words) })
            }

            #[inline(always)]
            fn lanes(self) -> [u32; $lanes] {
                // SAFETY: both are as many bytes, and any bytes are valid for both.
                unsafe { std::mem::transmute::<$register, [u32; $lanes]>(self.0) }
            }
        }

        // SAFETY, for all of them: pure arithmetic on registers. That the processor has the instructions
        // is up to the functions into which these are inlined, the only users of the type.
        #[allow(clippy::undocumented_unsafe_blocks, unused_unsafe)]
        impl Words for $name {
            #[inline(always)]
            fn all(word: u32) -> Self {
                $name(unsafe { $set(word.cast_signed()) })
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                $name(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                $name(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                $name(unsafe { $xor(self.0, other.0) })
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                $name(unsafe { $and(self.0, other.0) })
            }
            #[inline(always)]
            fn not_and(self, other: Self) -> Self {
                $name(unsafe { $andnot(self.0, other.0) })
            }
            #[inline(always)]
            fn rotated<const LEFT: i32, const RIGHT: i32>(self) -> Self {
                $name(unsafe { $or($left::<LEFT>(self.0), $right::<RIGHT>(self.0)) })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
register!(
    FourWords,
    __m128i,
    4,
    _mm_set1_epi32,
    _mm_add_epi32,
    _mm_sub_epi32,
    _mm_xor_si128,
    _mm_and_si128,
    _mm_andnot_si128,
    _mm_or_si128,
    _mm_slli_epi32,
    _mm_srli_epi32
);
#[cfg(target_arch = "x86_64")]
register!(
    EightWords,
    __m256i,
    8,
    _mm256_set1_epi32,
    _mm256_add_epi32,
    _mm256_sub_epi32,
    _mm256_xor_si256,
    _mm256_and_si256,
    _mm256_andnot_si256,
    _mm256_or_si256,
    _mm256_slli_epi32,
    _mm256_srli_epi32
);

// The functions of the rounds, each added to `sum`. Two of them end with a negation; instead of
// that, what they negate is subtracted, and one more: `sum + !f == sum - f - 1`.

#[inline(always)]
fn parity<W: Words>(sum: W, x: W, y: W, z: W) -> W {
    sum.plus(x.xor(y).xor(z))
}

#[inline(always)]
fn choose<W: Words>(sum: W, x: W, y: W, z: W) -> W {
    sum.plus(z.xor(x.and(y.xor(z))))
}

#[inline(always)]
fn or_not<W: Words>(sum: W, x: W, y: W, z: W) -> W {
    sum.minus(x.not_and(y).xor(z))
}

#[inline(always)]
fn choose_by_last<W: Words>(sum: W, x: W, y: W, z: W) -> W {
    // The two never have a bit in common; added one by one, only the newest waits for the last step.
    sum.plus(z.not_and(y)).plus(x.and(z))
}

#[inline(always)]
fn parity_or_not<W: Words>(sum: W, x: W, y: W, z: W) -> W {
    sum.minus(x.xor(y.not_and(z)))
}

macro_rules! constant {
    (or_not, $k:literal) => {
        ($k as u32).wrapping_sub(1)
    };
    (parity_or_not, $k:literal) => {
        ($k as u32).wrapping_sub(1)
    };
    ($f:ident, $k:literal) => {
        $k as u32
    };
}

macro_rules! step {
    ($line:ident, $f:ident, $k:expr, $word:expr, $by:literal) => {
        let [a, b, c, d, e] = $line;
        let sum = $f(a.plus($word.plus(W::all($k))), b, c, d);
        let sum = sum.rotated::<$by, { 32 - $by }>().plus(e);
        $line = [e, sum, b, c.rotated::<10, 22>(), d];
    };
}

/// Sixteen steps of either line: word and rotation of the left one, word and rotation of the right one.
macro_rules! round {
    ($left:ident, $right:ident, $words:ident, ($f:ident, $k:tt), ($g:ident, $l:tt),
     $(($i:literal $s:literal $j:literal $t:literal))*) => {
        $(
            step!($left, $f, constant!($f, $k), $words[$i], $s);
            step!($right, $g, constant!($g, $l), $words[$j], $t);
        )*
    };
}

#[inline(always)]
fn rounds<W: Words>(state: [W; 5], words: &[W; BLOCK_WORDS]) -> [W; 5] {
    let mut left = state;
    let mut right = state;
    round!(
        left, right, words, (parity, 0), (parity_or_not, 0x50a2_8be6),
        (0 11 5 8) (1 14 14 9) (2 15 7 9) (3 12 0 11) (4 5 9 13) (5 8 2 15) (6 7 11 15) (7 9 4 5)
        (8 11 13 7) (9 13 6 7) (10 14 15 8) (11 15 8 11) (12 6 1 14) (13 7 10 14) (14 9 3 12) (15 8 12 6)
    );
    round!(
        left, right, words, (choose, 0x5a82_7999), (choose_by_last, 0x5c4d_d124),
        (7 7 6 9) (4 6 11 13) (13 8 3 15) (1 13 7 7) (10 11 0 12) (6 9 13 8) (15 7 5 9) (3 15 10 11)
        (12 7 14 7) (0 12 15 7) (9 15 8 12) (5 9 12 7) (2 11 4 6) (14 7 9 15) (11 13 1 13) (8 12 2 11)
    );
    round!(
        left, right, words, (or_not, 0x6ed9_eba1), (or_not, 0x6d70_3ef3),
        (3 11 15 9) (10 13 5 7) (14 6 1 15) (4 7 3 11) (9 14 7 8) (15 9 14 6) (8 13 6 6) (1 15 9 14)
        (2 14 11 12) (7 8 8 13) (0 13 12 5) (6 6 2 14) (13 5 10 13) (11 12 0 13) (5 7 4 7) (12 5 13 5)
    );
    round!(
        left, right, words, (choose_by_last, 0x8f1b_bcdc), (choose, 0x7a6d_76e9),
        (1 11 8 15) (9 12 6 5) (11 14 4 8) (10 15 1 11) (0 14 3 14) (8 15 11 14) (12 9 15 6) (4 8 0 14)
        (13 9 5 6) (3 14 12 9) (7 5 2 12) (15 6 13 9) (14 8 9 12) (5 6 7 5) (6 5 10 15) (2 12 14 8)
    );
    round!(
        left, right, words, (parity_or_not, 0xa953_fd4e), (parity, 0),
        (4 9 12 8) (0 15 15 5) (5 5 10 12) (9 11 4 9) (7 6 1 12) (12 8 5 5) (2 13 8 14) (10 12 7 6)
        (14 5 6 8) (1 12 2 13) (3 13 13 6) (8 14 14 5) (11 11 0 15) (6 8 3 13) (15 5 9 11) (13 6 11 11)
    );
    [
        state[1].plus(left[2]).plus(right[3]),
        state[2].plus(left[3]).plus(right[4]),
        state[3].plus(left[4]).plus(right[0]),
        state[4].plus(left[0]).plus(right[1]),
        state[0].plus(left[1]).plus(right[2]),
    ]
}

#[inline(always)]
fn word(block: &[u8; BLOCK_BYTES], place: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&block[4 * place..4 * place + 4]);
    u32::from_le_bytes(bytes)
}

/// Takes a block into a state.
pub fn compress(state: &mut [u32; 5], block: &[u8; BLOCK_BYTES]) {
    let words = std::array::from_fn(|place| word(block, place));
    *state = rounds(*state, &words);
}

/// The states after one block each; as many as there are lanes are of meaning.
pub fn side_by_side(
    lanes: Lanes,
    blocks: &[[u8; BLOCK_BYTES]; MOST_LANES],
) -> [[u32; 5]; MOST_LANES] {
    let mut states = [START; MOST_LANES];
    match lanes {
        #[cfg(not(target_arch = "x86_64"))]
        Lanes::One => compress(&mut states[0], &blocks[0]),
        #[cfg(target_arch = "x86_64")]
        Lanes::Four => four(blocks, &mut states),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is no `Avx2` where the processor lacks it.
        Lanes::Eight(_) => unsafe { eight(blocks, &mut states) },
    }
    states
}

#[cfg(target_arch = "x86_64")]
fn four(blocks: &[[u8; BLOCK_BYTES]; MOST_LANES], states: &mut [[u32; 5]; MOST_LANES]) {
    let words = std::array::from_fn(|place| {
        FourWords::of(std::array::from_fn(|lane| word(&blocks[lane], place)))
    });
    let ended = rounds(START.map(FourWords::all), &words).map(FourWords::lanes);
    scatter(&ended, states);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn eight(blocks: &[[u8; BLOCK_BYTES]; MOST_LANES], states: &mut [[u32; 5]; MOST_LANES]) {
    let words = std::array::from_fn(|place| {
        EightWords::of(std::array::from_fn(|lane| word(&blocks[lane], place)))
    });
    let ended = rounds(START.map(EightWords::all), &words).map(EightWords::lanes);
    scatter(&ended, states);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn scatter<const LANES: usize>(ended: &[[u32; LANES]; 5], states: &mut [[u32; 5]; MOST_LANES]) {
    for (lane, state) in states.iter_mut().take(LANES).enumerate() {
        *state = ended.map(|words| words[lane]);
    }
}
