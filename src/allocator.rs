//! The extension's allocator: mimalloc, asked for what it gives fastest.
//!
//! Every block of mimalloc's is aligned to a word. Asking for that expressly, as the `mimalloc` crate does, takes twice
//! the instructions of not asking.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_malloc, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;

/// The alignment of every block.
const NATURAL: usize = align_of::<u64>();

/// mimalloc, without a check for alignments that every block has.
pub struct Allocator;

#[inline]
fn is_natural(layout: Layout) -> bool {
    layout.align() <= NATURAL
}

// SAFETY: every block comes from mimalloc and goes back to it, whichever of its functions it came from; blocks that need
// more than the natural alignment are asked for with theirs.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_natural(layout) {
            // SAFETY: any size can be asked for.
            unsafe { mi_malloc(layout.size()).cast() }
        } else {
            // SAFETY: the caller keeps to the contract, which is the same.
            unsafe { MiMalloc.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_natural(layout) {
            // SAFETY: any size can be asked for.
            unsafe { mi_zalloc(layout.size()).cast() }
        } else {
            // SAFETY: the caller keeps to the contract, which is the same.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_natural(layout) {
            // SAFETY: the caller says that the block is one of mimalloc's.
            unsafe { mi_realloc(block.cast(), size).cast() }
        } else {
            // SAFETY: the caller keeps to the contract, which is the same.
            unsafe { MiMalloc.realloc(block, layout, size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block that has been written to from end to end keeps what it has when it grows and shrinks.
    fn come_and_go(size: usize, align: usize) {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the layouts are valid and not empty, nothing is touched beyond them or after it was given back.
        unsafe {
            let zeroed = Allocator.alloc_zeroed(layout);
            assert_eq!(zeroed.align_offset(align), 0, "{layout:?}");
            assert!((0..size).all(|place| zeroed.add(place).read() == 0));
            let block = Allocator.alloc(layout);
            assert_eq!(block.align_offset(align), 0, "{layout:?}");
            (0..size).for_each(|place| block.add(place).write(place as u8));
            let larger = Allocator.realloc(block, layout, 3 * size + 1);
            assert_eq!(larger.align_offset(align), 0, "{layout:?}");
            assert!((0..size).all(|place| larger.add(place).read() == place as u8));
            let layout_of = |size| Layout::from_size_align(size, align).unwrap();
            let smaller = Allocator.realloc(larger, layout_of(3 * size + 1), size.div_ceil(2));
            assert_eq!(smaller.align_offset(align), 0, "{layout:?}");
            assert!((0..size.div_ceil(2)).all(|place| smaller.add(place).read() == place as u8));
            Allocator.dealloc(smaller, layout_of(size.div_ceil(2)));
            Allocator.dealloc(zeroed, layout);
        }
    }

    #[test]
    fn blocks_are_aligned_and_keep_what_they_have() {
        for align in [1, 2, 4, 8, 16, 64, 4096] {
            for size in (1..=80).chain([1000, 1025, 5000, 70_000, 3_000_000]) {
                come_and_go(size, align);
            }
        }
    }
}
