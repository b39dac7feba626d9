//! Contexts that the kernel made for a signal handler (arch/s390/kernel/signal.c, struct rt_sigframe).
//!
//! ```text
//!   uc + 512          vector registers, 512 bytes, if uc_flags has UC_VXRS
//!   uc                the kernel's ucontext: as the libc's, of whose signal set 8 bytes are used
//!   uc - 128          siginfo
//!   uc - 136          a system call instruction, for want of a restorer, and padding
//!   uc - 296          register save area of the handler: r15 at its entry
//! ```

use core::arch::naked_asm;

use libc::ucontext_t;

use super::*;

/// Where the kernel's ucontext has its last field in use: a signal set of one word.
pub const KERNEL_UCONTEXT_SIZE: usize = SIGMASK + crate::sigmask::KERNEL_SIGSET_SIZE;
const SIGINFO_SIZE: usize = 128;
const SVC_INSN_SIZE: usize = 8;
/// From the frame, which is the handler's r15, to the ucontext.
const UC_IN_FRAME: usize = CALLEE_AREA + SVC_INSN_SIZE + SIGINFO_SIZE;
/// struct ucontext, whose signal set is as long as glibc's.
const UCONTEXT_SIZE: usize = SIGMASK + 128;
/// _sigregs_ext: v0-v15's right halves, v16-v31, 128 bytes reserved.
const VECTORS_SIZE: usize = 16 * 8 + 16 * 16 + 128;
/// In uc_flags: the vector registers are there (arch/s390/include/uapi/asm/ucontext.h).
const UC_VXRS: usize = 2;
/// PSW_MASK_EA | PSW_MASK_BA: 64-bit addressing, which is how all our code runs.
const PSW_64_BIT: usize = 1 << 32 | 1 << 31;

/// Tells a kernel frame: it has the whole PSW, which glibc leaves alone, and lies where the kernel's
/// get_sigframe puts it, below the interrupted r15 or at the top of the alternate stack.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the part that both types share.
    let (mask, r15, stack) =
        unsafe { (field(ucp, PSW_MASK), field(ucp, R15), (&raw const (*ucp).uc_stack).read_volatile()) };
    if mask & PSW_64_BIT != PSW_64_BIT {
        return KernelFrame::No;
    }
    let alternate = (stack.ss_sp as usize).wrapping_add(stack.ss_size);
    let lies_below = |sp: usize| {
        [0, VECTORS_SIZE].iter().any(|vectors| {
            let frame = sp.wrapping_sub(UC_IN_FRAME + UCONTEXT_SIZE + vectors) & !7;
            frame.wrapping_add(UC_IN_FRAME) == ucp as usize
        })
    };
    if lies_below(r15) || lies_below(alternate) { KernelFrame::Original } else { KernelFrame::Assigned }
}

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// `ucp` is a kernel frame.
pub unsafe fn frame_size(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    let has_vectors = unsafe { field(ucp, FLAGS) } & UC_VXRS != 0;
    UCONTEXT_SIZE + if has_vectors { VECTORS_SIZE } else { 0 }
}

/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does.
pub const FRAME_ALIGN: usize = size_of::<u64>();

/// Nothing in a frame points into it.
///
/// # Safety
/// None here; other ports write to `frame`.
pub unsafe fn relocate_frame(_frame: *mut ucontext_t, _original: *const ucontext_t) {}

/// Takes over what the program wrote into the registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both have the registers and eight bytes of mask.
    unsafe {
        (*frame).uc_mcontext = (*ucp).uc_mcontext;
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
        cfi_start!(),
        ".cfi_undefined %r14",
        "stam %a0, %a1, {OWNER}(%r2)", //            the kernel installs the frame's thread pointer
        "lay %r15, -{UC_IN_FRAME}(%r2)",
        "svc {SYS_rt_sigreturn}",
        "j .+2",
        ".cfi_endproc",
        OWNER = const OWNER,
        UC_IN_FRAME = const UC_IN_FRAME,
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
