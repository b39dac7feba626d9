//! Contexts that the kernel made for a signal handler (arch/x86/kernel/signal_64.c, struct rt_sigframe).
//!
//! ```text
//!   uc + 432 .. 495   FXSAVE or XSAVE area, 64-byte aligned; uc_mcontext.fpregs points to it
//!   uc + 304          siginfo, 128 bytes
//!   uc                the kernel's ucontext, 304 bytes: uc_sigmask is 8 bytes long
//!   uc - 8            return address of the handler: the restorer, which makes the system call
//! ```

use core::arch::naked_asm;

use libc::ucontext_t;

use super::*;

const SIGINFO_SIZE: usize = 128;
/// Where the kernel's ucontext ends: it has a signal set of one word.
pub const KERNEL_UCONTEXT_SIZE: usize = SIGMASK + crate::sigmask::KERNEL_SIGSET_SIZE;
/// The XSAVE area lies at the first address of this alignment behind siginfo.
const XSAVE_ALIGN: usize = 64;
const FIRST_FPREGS: usize = KERNEL_UCONTEXT_SIZE + SIGINFO_SIZE;
const LAST_FPREGS: usize = FIRST_FPREGS + XSAVE_ALIGN - 1;

/// Tells a kernel frame. libc's own area would be nearer than siginfo, and a context filled in by hand has a
/// null pointer. The kernel writes the segment registers and sets a flag; valgrind, which makes frames itself,
/// does neither.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the part that both types share.
    let (fpregs, by_valgrind) = unsafe { (field(ucp, FPREGS), field(ucp, FLAGS) == 0) };
    let distance = fpregs.wrapping_sub(ucp as usize);
    // SAFETY: as above.
    let has_segments = !by_valgrind && unsafe { field(ucp, SEGMENTS) } & 0xffff == USER_CS;
    match distance {
        FIRST_FPREGS..=LAST_FPREGS if has_segments || by_valgrind => KernelFrame::Original,
        _ if has_segments && fpregs != 0 && distance != X87_CONTROL => KernelFrame::Assigned,
        _ => KernelFrame::No,
    }
}

/// The code segment of 64-bit user code (arch/x86/include/asm/segment.h, __USER_CS).
const USER_CS: usize = 0x33;

/// The sw_reserved bytes of the FXSAVE area (arch/x86/include/uapi/asm/sigcontext.h, struct _fpx_sw_bytes).
const SW_RESERVED: usize = 464;
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;

/// The size of the kernel frame that starts at `ucp`, or 0 when it cannot be told.
///
/// # Safety
/// `ucp` is a kernel frame.
pub unsafe fn frame_size(ucp: *const ucontext_t) -> usize {
    // SAFETY: a frame has an FXSAVE area at least, where fpregs points.
    unsafe {
        let fpregs = field(ucp, FPREGS);
        let [magic, size] = ((fpregs + SW_RESERVED) as *const [u32; 2]).read();
        let area = if magic == FP_XSTATE_MAGIC1 { size as usize } else { FXSAVE_SIZE };
        // valgrind's frame goes on behind the area.
        if field(ucp, FLAGS) == 0 { 0 } else { fpregs - ucp as usize + area }
    }
}

/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does.
pub const FRAME_ALIGN: usize = XSAVE_ALIGN;

/// Makes the pointers inside a copied frame lead to the copy.
///
/// # Safety
/// `frame` is a writable copy of the frame at `original`.
pub unsafe fn relocate_frame(frame: *mut ucontext_t, original: *const ucontext_t) {
    // SAFETY: the caller's promise.
    unsafe {
        let distance = field(original, FPREGS) - original as usize;
        set_field(frame, FPREGS, frame as usize + distance);
    }
}

/// Takes over what the program wrote into the general registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both have the registers and eight bytes of mask.
    unsafe {
        for offset in (GREGS..FPREGS).step_by(size_of::<usize>()) {
            set_field(frame, offset, field(ucp, offset));
        }
        set_field(frame, SIGMASK, field(ucp, SIGMASK));
    }
}

/// Restores everything from the kernel frame at `ucp`.
///
/// # Safety
/// `ucp` is a complete frame and all signals are blocked.
#[unsafe(naked)]
pub unsafe extern "C" fn sigreturn(ucp: *mut ucontext_t) -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov rsp, rdi", //                           the kernel looks for the frame 8 bytes below
        "mov eax, {SYS_rt_sigreturn}",
        "syscall",
        "ud2",
        ".cfi_endproc",
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
