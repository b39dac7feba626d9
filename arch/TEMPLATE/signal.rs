//! Contexts that the kernel made for a signal handler (arch/<isa>/kernel/signal.c, struct rt_sigframe).
//!
//! ```text
//!   uc + ...   what lies behind the kernel's ucontext
//!   uc         the kernel's ucontext
//!   uc - ...   siginfo; where the stack pointer stands at the system call
//! ```
//!
//! What in a frame is a pointer into it.

use core::arch::naked_asm;
use core::mem::size_of;

use libc::ucontext_t;

use super::*;

/// The part of a frame that a program may look at.
pub const KERNEL_UCONTEXT_SIZE: usize = size_of::<ucontext_t>();
/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does.
pub const FRAME_ALIGN: usize = 16;

/// Tells a kernel frame from a context filled in by hand.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(_ucp: *const ucontext_t) -> KernelFrame {
    KernelFrame::No
}

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// `ucp` is a kernel frame.
pub unsafe fn frame_size(_ucp: *const ucontext_t) -> usize {
    KERNEL_UCONTEXT_SIZE
}

/// Makes the pointers inside a copied frame lead to the copy.
///
/// # Safety
/// `frame` is a writable copy of the frame at `original`.
pub unsafe fn relocate_frame(_frame: *mut ucontext_t, _original: *const ucontext_t) {}

/// Takes over what the program wrote into the registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both have eight bytes of mask.
    unsafe { set_field(frame, SIGMASK, field(ucp, SIGMASK)) }
}

/// Restores everything from the kernel frame at `ucp` but the thread pointer: the frame's may be another
/// thread's.
///
/// # Safety
/// `ucp` is a complete frame and all signals are blocked.
#[unsafe(naked)]
pub unsafe extern "C" fn sigreturn(ucp: *mut ucontext_t) -> ! {
    naked_asm!(".error \"sigreturn\"")
}
