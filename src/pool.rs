//! Released stacks, kept for the next `rctx_stack_alloc`.
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

/// Whether a stack was ever unmapped: an address may lead to nothing since.
static UNMAPPED: AtomicBool = AtomicBool::new(false);

/// The size in bytes of a page, which is also the size of the guard below a stack.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions; the page size is always known.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Takes a kept stack of `size` bytes, whole pages, out of the pool: its lowest address.
pub fn take(size: usize) -> Option<usize> {
    let page = page_size();
    let pages = size >> page.trailing_zeros();
    if size > LARGEST {
        return None;
    }
    let low = POOL.iter().find_map(|slot| {
        let word = slot.load(Ordering::Relaxed);
        let fits = word & (page - 1) == pages;
        (fits && slot.compare_exchange(word, 0, Ordering::Acquire, Ordering::Relaxed).is_ok())
            .then_some(word - pages)
    })?;
    sanitizer::wipe(low, low + size);
    Some(low)
}

/// Keeps the stack of `size` bytes from `low` on, or unmaps it. When all slots are taken, it takes the place of
/// another, so that the pool follows the sizes in use. `EINVAL` for a stack that is kept already, or not mapped.
///
/// # Safety
/// The stack has a guard page, and nobody uses it.
pub unsafe fn put(low: usize, size: usize) -> Result<(), c_int> {
    let page = page_size();
    let mut empty = None;
    for slot in &POOL {
        match slot.load(Ordering::Relaxed) {
            0 => empty = empty.or(Some(slot)),
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
        return unsafe { unmap(low, size) };
    }
    let shift = page.trailing_zeros(); // not a division, which could panic
    let word = low + (size >> shift);
    if let Some(slot) = empty
        && slot.compare_exchange(0, word, Ordering::Release, Ordering::Relaxed).is_ok()
    {
        return Ok(());
    }
    match POOL[(low >> shift) % SLOTS].swap(word, Ordering::AcqRel) {
        0 => Ok(()),
        // SAFETY: the word's stack was kept, and is ours now.
        other => unsafe { unmap(other & !(page - 1), (other & (page - 1)) << shift) },
    }
}

/// Whether there is memory at a page's address.
fn is_mapped(low: usize) -> bool {
    let mut resident = 0;
    // SAFETY: the call writes one byte for one page.
    unsafe {
        libc::mincore(low as *mut _, 1, &mut resident) == 0
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
unsafe fn unmap(low: usize, size: usize) -> Result<(), c_int> {
    let page = page_size();
    UNMAPPED.store(true, Ordering::Relaxed);
    // SAFETY: the mapping is the one that rctx_stack_alloc made, as the caller promises.
    let status = unsafe { libc::munmap((low - page) as *mut _, size + page) };
    if status == 0 { Ok(()) } else { Err(libc::EINVAL) }
}
