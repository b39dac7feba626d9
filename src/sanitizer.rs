//! What AddressSanitizer is told. It marks the gaps between a frame's variables, and the marks stay where the
//! frame was: the frames of another slice would be reported for using what is theirs. So the marks are wiped
//! when a slice is suspended, dropped or put back; the price is that what a frame did before is no longer
//! guarded after a switch.

use core::arch::global_asm;
use core::ffi::c_void;
use core::mem::size_of;

use crate::switch::getstacktop;

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

/// Wipes the marks of a slice that is put back, and of the running frames if they lie nearer on what may be
/// the same stack.
#[inline]
pub fn wipe_for_resume(near: usize, far: usize) {
    // SAFETY: as in wipe.
    if unsafe { rctx_private_unpoison.is_some() } {
        let here = getstacktop() as usize;
        wipe(if here < near && far - here < FARTHEST { here } else { near }, far);
    }
}
