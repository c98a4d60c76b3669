//! The allocator: the system's, with a reserve for when that has nothing left.
//!
//! What a peer or a caller makes large is allocated by calls that can fail, and becomes
//! `WS_NO_MEMORY`. All else is small, and there Rust knows no failure: it would end the process.
//! So what is small comes out of the reserve then, and no call begins that might use it up.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Failure;

/// More than any allocation that cannot fail: the largest are heads of handshakes.
const BLOCK: usize = 40 * 1024;
const BLOCKS: usize = u64::BITS as usize;
/// A call begins only if this many blocks are free: more than any one call takes.
const ENOUGH: u32 = BLOCKS as u32 / 2;

#[global_allocator]
static ALLOCATOR: Careful = Careful {
    reserve: Reserve {
        blocks: UnsafeCell::new([[0; BLOCK]; BLOCKS]),
        used: AtomicU64::new(0),
    },
};

/// Whether there is memory to begin a call with.
pub(crate) fn check() -> Result<(), Failure> {
    if ALLOCATOR.reserve.used.load(Ordering::Relaxed).count_zeros() < ENOUGH {
        return Err(Failure::no_memory("another call: the system has none left"));
    }
    Ok(())
}

struct Careful {
    reserve: Reserve,
}

/// Memory that costs nothing until it is touched: the system gives it pages only then.
#[repr(align(4096))]
struct Reserve {
    blocks: UnsafeCell<[[u8; BLOCK]; BLOCKS]>,
    /// A bit for each block.
    used: AtomicU64,
}

// SAFETY: a block belongs to whoever has set its bit, until that clears it.
unsafe impl Sync for Reserve {}

impl Reserve {
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() > BLOCK || layout.align() > 4096 {
            return ptr::null_mut();
        }
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let index = used.trailing_ones();
            if index == u64::BITS {
                return ptr::null_mut();
            }
            let taken = used | 1 << index;
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            match self
                .used
                .compare_exchange_weak(used, taken, success, failure)
            {
                Ok(_) => return self.start().wrapping_add(index as usize * BLOCK),
                Err(now) => used = now,
            }
        }
    }

    /// Takes a block back; false when the memory was none of the reserve's.
    fn give_back(&self, memory: *mut u8) -> bool {
        let offset = memory.addr().wrapping_sub(self.start().addr());
        if offset >= BLOCK * BLOCKS {
            return false;
        }
        let bit = 1 << (offset / BLOCK);
        self.used.fetch_and(!bit, Ordering::Release);
        true
    }

    fn holds(&self, memory: *mut u8) -> bool {
        memory.addr().wrapping_sub(self.start().addr()) < BLOCK * BLOCKS
    }

    fn start(&self) -> *mut u8 {
        self.blocks.get().cast()
    }
}

/// Whether a test wants the system to have no memory for this.
fn is_refused(size: usize) -> bool {
    #[cfg(feature = "testing")]
    return crate::testing::refuses_memory(size);
    #[cfg(not(feature = "testing"))]
    {
        let _ = size;
        false
    }
}

// SAFETY: memory is the system's, whose contract is the same, or a block of the reserve: large
// enough, aligned to a page, and nobody else's until it is given back.
unsafe impl GlobalAlloc for Careful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_refused(layout.size()) {
            // SAFETY: the caller keeps the contract, which is the same.
            let memory = unsafe { System.alloc(layout) };
            if !memory.is_null() {
                return memory;
            }
        }
        self.reserve.take(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_refused(layout.size()) {
            // SAFETY: as above.
            let memory = unsafe { System.alloc_zeroed(layout) };
            if !memory.is_null() {
                return memory;
            }
        }
        let memory = self.reserve.take(layout);
        if !memory.is_null() {
            // SAFETY: a block has at least that many bytes, and is ours.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if !self.reserve.give_back(memory) {
            // SAFETY: not the reserve's, so the system gave it.
            unsafe { System.dealloc(memory, layout) };
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !self.reserve.holds(memory) && !is_refused(new_size) {
            // SAFETY: as for `dealloc`.
            let moved = unsafe { System.realloc(memory, layout, new_size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller promises that the new size makes a layout with this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: as for `alloc`, and `new_size` is not 0.
        let moved = unsafe { self.alloc(new_layout) };
        if !moved.is_null() {
            let length = layout.size().min(new_size);
            // SAFETY: both have that many bytes, and they are different memory.
            unsafe { ptr::copy_nonoverlapping(memory, moved, length) };
            // SAFETY: it came from here, and is not used any more.
            unsafe { self.dealloc(memory, layout) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_has_so_many_blocks_and_takes_them_back() {
        static RESERVE: Reserve = Reserve {
            blocks: UnsafeCell::new([[0; BLOCK]; BLOCKS]),
            used: AtomicU64::new(0),
        };
        let small = Layout::from_size_align(100, 16).unwrap();
        let blocks: Vec<_> = (0..BLOCKS).map(|_| RESERVE.take(small)).collect();
        assert!(blocks.iter().all(|block| block.is_aligned_to_page()));
        assert!(RESERVE.take(small).is_null());
        for block in &blocks {
            assert!(RESERVE.holds(*block) && RESERVE.give_back(*block));
        }
        assert_eq!(RESERVE.used.load(Ordering::Relaxed), 0);
        assert!(!RESERVE.give_back(ptr::dangling_mut()));
        let large = Layout::from_size_align(BLOCK + 1, 16).unwrap();
        assert!(RESERVE.take(large).is_null());
    }

    trait Aligned {
        fn is_aligned_to_page(&self) -> bool;
    }

    impl Aligned for *mut u8 {
        fn is_aligned_to_page(&self) -> bool {
            !self.is_null() && self.addr().is_multiple_of(4096)
        }
    }
}
