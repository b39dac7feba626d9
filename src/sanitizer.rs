//! What memory checkers are told.
//!
//! AddressSanitizer marks the gaps between a frame's variables, and the marks stay where the
//! frame was: the frames of another slice would be reported for using what is theirs. So the marks are wiped
//! when a slice is suspended, dropped or put back; the price is that what a frame did before is no longer
//! guarded after a switch.
//!
//! Valgrind takes what lies beyond the stack pointer for free. It follows the stack pointer, but not to another
//! stack, which it tells by the distance: a slice put back from there would be written to free memory.

use core::arch::global_asm;
use core::ffi::c_void;
use core::mem::size_of;

use crate::arch;

// Null in programs without the sanitizer. Rust has no weak references, so a word in the object holds this one.
global_asm!(
    ".weak __asan_unpoison_memory_region",
    ".hidden rctx_private_unpoison",
    ".globl rctx_private_unpoison",
    ".pushsection .data.rel.ro, \"aw\"",
    ".balign {WORD}",
    "rctx_private_unpoison:",
    ".dc.a __asan_unpoison_memory_region",
    ".popsection",
    WORD = const size_of::<usize>(),
);

unsafe extern "C" {
    static rctx_private_unpoison: Option<unsafe extern "C" fn(start: *const c_void, len: usize)>;
}

/// How far from a slice the running frames may be that are wiped with it: the sanitizer's own limit for a
/// `longjmp` (kMaxExpectedCleanupSize).
const FARTHEST: usize = 64 << 20;

/// The default of valgrind's --max-stackframe: it takes a longer step of the stack pointer for a change of stacks.
const FAR_FOR_VALGRIND: usize = 2_000_000;
/// memcheck.h, VG_USERREQ__MAKE_MEM_UNDEFINED: "MC" in the upper bytes.
const MAKE_MEM_UNDEFINED: usize = 0x4d43_0001;

/// Wipes the marks from `near` to `far`, which are on one stack.
#[inline]
pub fn wipe(near: usize, far: usize) {
    // SAFETY: the loader or the linker wrote the word; the function accepts any memory.
    unsafe {
        if let Some(unpoison) = rctx_private_unpoison {
            unpoison(near as *const c_void, far - near);
        }
    }
}

/// Prepares for a slice to be put back from `near` to `far`: wipes its marks, and those of the running frames if
/// they lie nearer on what may be the same stack; tells valgrind of a change of stacks.
#[inline]
pub fn before_resume(near: usize, far: usize) {
    let here = &raw const near as usize;
    if far.wrapping_sub(here) >= FAR_FOR_VALGRIND {
        arch::valgrind_request(&[MAKE_MEM_UNDEFINED, near, far - near, 0, 0, 0]);
    }
    // SAFETY: as in wipe.
    if unsafe { rctx_private_unpoison.is_some() } {
        wipe(if here < near && far - here < FARTHEST { here } else { near }, far);
    }
}
