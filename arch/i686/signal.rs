//! Contexts that the kernel made for an SA_SIGINFO handler (arch/x86/kernel/signal_32.c, struct rt_sigframe_ia32).
//! A handler without SA_SIGINFO gets another frame and no context.
//!
//! ```text
//!   uc + 116 ...   retcode; FNSAVE's image, behind it a 64-byte aligned FXSAVE or XSAVE area;
//!                  uc_mcontext.fpregs points to the first
//!   uc             the kernel's ucontext, 116 bytes: uc_sigmask is 8 bytes long
//!   uc - 128       siginfo, 128 bytes
//!   uc - 140       the handler's three arguments
//!   uc - 144       return address of the handler: the restorer, which makes the system call
//! ```

use core::arch::naked_asm;

use libc::ucontext_t;

use super::*;

const SIGINFO_SIZE: usize = 128;
/// From the handler's first argument to the context; the kernel looks for the frame one word further down.
const ARGUMENTS_TO_UCONTEXT: usize = 3 * size_of::<usize>() + SIGINFO_SIZE;
/// Where the kernel's ucontext ends: it has a signal set of eight bytes.
pub const KERNEL_UCONTEXT_SIZE: usize = SIGMASK + crate::sigmask::KERNEL_SIGSET_SIZE;
/// Nearer than libc's own area, at whatever address the alignment of the other one asks for.
const FIRST_FPREGS: usize = KERNEL_UCONTEXT_SIZE;
const LAST_FPREGS: usize = X87_CONTROL - 1;

/// Tells a kernel frame. libc's own area would be further up, and a context filled in by hand has a null pointer.
/// Only the kernel writes the code segment.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the part that both types share.
    let fpregs = unsafe { field(ucp, FPREGS) };
    let distance = fpregs.wrapping_sub(ucp as usize);
    if fpregs == 0 || distance == X87_CONTROL {
        return KernelFrame::No;
    }
    // SAFETY: as above.
    let has_segment = unsafe { field(ucp, CS) } & 0xffff != 0;
    match distance {
        _ if !has_segment => KernelFrame::No,
        FIRST_FPREGS..=LAST_FPREGS => KernelFrame::Original,
        _ => KernelFrame::Assigned,
    }
}

/// In the status word of FNSAVE's image (arch/x86/include/uapi/asm/sigcontext.h, struct _fpstate_32): the upper
/// half is 0 when an FXSAVE area follows.
const FXSR_MAGIC_SHIFT: u32 = 16;
const FXSAVE_SIZE: usize = 512;
/// The sw_reserved bytes of the FXSAVE area (as above, struct _fpx_sw_bytes). The size there counts both areas.
const SW_RESERVED: usize = 464;
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
const XSAVE_ALIGN: usize = 64;

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// `ucp` is a kernel frame.
pub unsafe fn frame_size(ucp: *const ucontext_t) -> usize {
    // SAFETY: a frame has what its status word says, where fpregs points.
    unsafe {
        let fpregs = field(ucp, FPREGS);
        let fxsave = fpregs + FPREGS_SIZE;
        let state = if ((fpregs + FSAVE_SIZE) as *const u32).read() >> FXSR_MAGIC_SHIFT != 0 {
            FPREGS_SIZE
        } else {
            let [magic, size] = ((fxsave + SW_RESERVED) as *const [u32; 2]).read();
            if magic == FP_XSTATE_MAGIC1 { size as usize } else { FPREGS_SIZE + FXSAVE_SIZE }
        };
        fpregs - ucp as usize + state
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
    let mask = SIGMASK..KERNEL_UCONTEXT_SIZE;
    // SAFETY: both have the registers and eight bytes of mask.
    unsafe {
        for offset in (GREGS..FPREGS).chain(mask).step_by(size_of::<usize>()) {
            set_field(frame, offset, field(ucp, offset));
        }
    }
}

/// Restores everything from the kernel frame at `ucp`. The thread pointer is not in it: gs is a selector, the
/// same one in every thread, for what each thread has a descriptor of its own.
///
/// # Safety
/// `ucp` is a complete frame and all signals are blocked.
#[unsafe(naked)]
pub unsafe extern "C" fn sigreturn(ucp: *mut ucontext_t) -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined eip",
        "mov eax, [esp + 4]",
        "lea esp, [eax - {ARGUMENTS}]",
        "mov eax, {SYS_rt_sigreturn}",
        "int 0x80",
        "ud2",
        ".cfi_endproc",
        ARGUMENTS = const ARGUMENTS_TO_UCONTEXT,
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
