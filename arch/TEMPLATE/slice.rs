//! Moving stack bytes, and the bodies of the sliced family.
//!
//! # Why the copy back is safe
//!
//! Where the stack pointer stands at each step, so that a signal's frame lands on nothing that is still needed or
//! already restored.

use core::arch::naked_asm;

use libc::ucontext_t;

/// `sliced::suspend` is told the near end; then as the slow path of `swapcontext`.
macro_rules! swapcontext_sliced {
    (masked) => {
        core::arch::naked_asm!(
            ".error \"swapcontext_sliced: call {suspend}, save, {resume}\"",
            suspend = sym $crate::sliced::suspend,
            resume = sym $crate::context::resume,
        )
    };
    (maskless) => {
        core::arch::naked_asm!(".error \"rctx_swapcontext_sliced\"")
    };
}

/// `sliced::capture` is told the near end.
macro_rules! getcontext_sliced {
    () => {
        core::arch::naked_asm!(
            ".error \"rctx_getcontext_sliced: call {capture}, save\"",
            capture = sym $crate::sliced::capture,
        )
    };
}

/// Pushes the registers, copies them and the stack into the block of `*from`, puts the target's bytes back, and
/// takes its registers back.
macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            ".error \"rctx_slice_swap: call {swap}\"",
            swap = sym $crate::slice::swap,
        )
    };
}

/// Pushes the registers, and goes on at the base.
macro_rules! slice_start {
    () => {
        core::arch::naked_asm!(
            ".error \"rctx_slice_start: call {start}, the function, {returned}\"",
            start = sym $crate::slice::start,
            returned = sym $crate::slice::returned,
        )
    };
}

pub(crate) use {getcontext_sliced, slice_start, slice_swap, swapcontext_sliced};

/// Copies `len` bytes from `source` to `target`, which do not overlap. Not `memcpy`, which a sanitizer
/// replaces by one that objects to other people's frames.
///
/// # Safety
/// Both are `len` bytes long; `target` is writable.
pub unsafe fn copy(_target: *mut u8, _source: *const u8, _len: usize) {
    unimplemented!()
}

/// Puts `len` bytes back at `near` and resumes `ucp`.
///
/// # Safety
/// The bytes belong to `ucp`; what lies between `near` and `near + len` is not needed any more, or saved.
#[unsafe(naked)]
pub unsafe extern "C" fn restore(
    ucp: *const ucontext_t,
    near: usize,
    bytes: *const u8,
    len: usize,
) -> ! {
    naked_asm!(".error \"restore\"")
}
