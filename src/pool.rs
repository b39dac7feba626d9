//! Released stacks, kept for the next `rctx_stack_alloc`. `page` is the size of a page in bytes, and of the guard below
//! a stack.
//!
//! A slot holds one stack: its lowest address, with the number of its pages in the bits that are zero there. Whoever
//! exchanges the word of a slot for another owns the stack that it named. So there is no lock that a signal handler
//! or a child of `fork` could find taken.

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::sanitizer;

/// How many stacks are kept.
const SLOTS: usize = 64;
/// The size in bytes of the largest stack that is kept: the address space that the slots can hold is bounded.
const LARGEST: usize = 1 << 20;
/// How much of a kept stack, from its top down, stays in memory: the memory that the slots can hold is bounded.
const RESIDENT: usize = 64 << 10;

static POOL: [AtomicUsize; SLOTS] = [const { AtomicUsize::new(0) }; SLOTS];

/// How many slots were ever used: the others need no look.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Whether a stack was ever unmapped: an address may lead to nothing since.
static UNMAPPED: AtomicBool = AtomicBool::new(false);

/// Takes a kept stack of `size` bytes, whole pages, out of the pool: its lowest address.
pub fn take(page: usize, size: usize) -> Option<usize> {
    let pages = size >> page.trailing_zeros();
    if size > LARGEST {
        return None;
    }
    let low = POOL.iter().take(USED.load(Ordering::Relaxed)).find_map(|slot| {
        let word = slot.load(Ordering::Relaxed);
        let fits = word & (page - 1) == pages;
        (fits && slot.compare_exchange(word, 0, Ordering::Acquire, Ordering::Relaxed).is_ok())
            .then(|| word - pages)
    })?;
    sanitizer::wipe(low, low + size);
    Some(low)
}

/// Keeps the stack of `size` bytes from `low` on, or unmaps it. When all slots are taken, it takes the place of
/// another, so that the pool follows the sizes in use. `EINVAL` for a stack that is kept already, or not mapped.
///
/// # Safety
/// The stack has a guard page, and nobody uses it.
pub unsafe fn put(page: usize, low: usize, size: usize) -> Result<(), c_int> {
    let shift = page.trailing_zeros(); // not a division, which could panic
    let used = USED.load(Ordering::Relaxed);
    let mut place = if used < SLOTS { used } else { low >> shift };
    for (index, slot) in POOL.iter().enumerate().take(used).rev() {
        match slot.load(Ordering::Relaxed) {
            0 => place = index,
            word if word & !(page - 1) == low => return Err(libc::EINVAL),
            _ => (),
        }
    }
    if UNMAPPED.load(Ordering::Relaxed) && !is_mapped(low) {
        return Err(libc::EINVAL);
    }
    // SAFETY: the caller's promise.
    if size > LARGEST || !unsafe { hand_back(low, size) } {
        // SAFETY: as above.
        return unsafe { unmap(page, low, size) };
    }
    let word = low + (size >> shift);
    let keep = |index: usize| {
        let slot = &POOL[index % SLOTS];
        if slot.load(Ordering::Relaxed) != 0 {
            return false;
        }
        if index >= used {
            USED.fetch_max(index + 1, Ordering::Relaxed);
        }
        slot.compare_exchange(0, word, Ordering::Release, Ordering::Relaxed).is_ok()
    };
    let place = place % SLOTS;
    if keep(place) || (0..SLOTS).any(keep) {
        return Ok(());
    }
    match POOL[place].swap(word, Ordering::AcqRel) {
        0 => Ok(()),
        // SAFETY: the word's stack was kept, and is ours now.
        other => unsafe { unmap(page, other & !(page - 1), (other & (page - 1)) << shift) },
    }
}

/// Whether there is memory at a page's address.
fn is_mapped(low: usize) -> bool {
    // SAFETY: the call does nothing to memory that is no file's, and says so where there is none.
    unsafe {
        libc::msync(low as *mut _, 1, libc::MS_ASYNC) == 0
            || *libc::__errno_location() != libc::ENOMEM
    }
}

/// Hands back the memory of a stack but for the part at its top. False when the kernel will not have it, because
/// the program has locked its memory.
///
/// # Safety
/// As [`put`].
unsafe fn hand_back(low: usize, size: usize) -> bool {
    // SAFETY: the caller's promise; nobody needs what the stack holds.
    size <= RESIDENT
        || unsafe { libc::madvise(low as *mut _, size - RESIDENT, libc::MADV_DONTNEED) == 0 }
}

/// # Safety
/// As [`put`].
unsafe fn unmap(page: usize, low: usize, size: usize) -> Result<(), c_int> {
    UNMAPPED.store(true, Ordering::Relaxed);
    // SAFETY: the mapping is the one that rctx_stack_alloc made, as the caller promises.
    let status = unsafe { libc::munmap((low - page) as *mut _, size + page) };
    if status == 0 { Ok(()) } else { Err(libc::EINVAL) }
}
