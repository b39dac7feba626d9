//! Contexts that the kernel made for an SA_SIGINFO handler (arch/arm/kernel/signal.c, struct rt_sigframe).
//! A handler without SA_SIGINFO gets another frame and no context.
//!
//! ```text
//!   uc + 744          retcode
//!   uc + 232          uc_regspace: the VFP record, behind one of iWMMXt where the kernel knows that
//!   uc                the kernel's ucontext, as libc's
//!   uc - 128 = sp     siginfo
//! ```
//!
//! Nothing in it points anywhere, so an assigned copy of a frame is as good as the original.

use core::arch::naked_asm;
use core::mem::size_of;

use libc::ucontext_t;

use super::*;

/// The kernel's ucontext is as large as libc's.
pub const KERNEL_UCONTEXT_SIZE: usize = size_of::<ucontext_t>();
/// Between the stack pointer of a frame and its ucontext.
const SIGINFO_SIZE: usize = size_of::<libc::siginfo_t>();

/// Tells a kernel frame: the kernel leaves `uc_flags` and `uc_link` 0, and the processor's mode is never 0.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the structure.
    unsafe {
        if field(ucp, FLAGS) == 0 && field(ucp, LINK) == 0 && field(ucp, CPSR) != 0 {
            KernelFrame::Original
        } else {
            KernelFrame::No
        }
    }
}

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// None here; other ports read `ucp`.
pub unsafe fn frame_size(_ucp: *const ucontext_t) -> usize {
    KERNEL_UCONTEXT_SIZE
}

/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does.
pub const FRAME_ALIGN: usize = STACK_ALIGN;

/// Nothing in a frame points into it.
///
/// # Safety
/// None here; other ports write to `frame`.
pub unsafe fn relocate_frame(_frame: *mut ucontext_t, _original: *const ucontext_t) {}

/// Takes over what the program wrote into the general registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both are whole contexts.
    unsafe {
        for offset in (R0..OWNER).step_by(size_of::<usize>()) {
            set_field(frame, offset, field(ucp, offset));
        }
        for offset in (SIGMASK..SIGMASK + crate::sigmask::KERNEL_SIGSET_SIZE).step_by(size_of::<usize>()) {
            set_field(frame, offset, field(ucp, offset));
        }
    }
}

/// Restores everything from the kernel frame at `ucp`.
///
/// # Safety
/// `ucp` is a complete frame and all signals are blocked.
#[unsafe(naked)]
pub unsafe extern "C" fn sigreturn(ucp: *mut ucontext_t) -> ! {
    naked_asm!(
        ".fnstart",
        ".cantunwind",
        "sub sp, r0, #{SIGINFO_SIZE}",
        "mov r7, #{SYS_rt_sigreturn}",
        "svc #0",
        "udf #0",
        ".fnend",
        SIGINFO_SIZE = const SIGINFO_SIZE,
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
