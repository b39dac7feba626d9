//! Contexts that the kernel made for a signal handler (arch/riscv/kernel/signal.c, struct rt_sigframe).
//!
//! ```text
//!   uc + 960          with the vector extension: its state, whose pointer datap leads to the registers
//!                     right behind it, and the headers of further extensions, closed by an empty one
//!   uc + 952          magic number and size of the first extension; 0 without one
//!   uc                the kernel's ucontext, laid out as the C library's
//!   uc - 128          siginfo; sp of the handler, and of the system call
//! ```
//!
//! The kernel stores uc_flags and uc_link as 0, and every register, tp too. qemu-user 7.2 ends the frame
//! behind fcsr; what lies there at uc + 952 is the interrupted function's.

use core::arch::naked_asm;

use libc::{siginfo_t, ucontext_t};

use super::*;

/// The kernel's ucontext and the C library's are of one size.
pub const KERNEL_UCONTEXT_SIZE: usize = size_of::<ucontext_t>();

/// Headers of extensions (arch/riscv/include/uapi/asm/ptrace.h, struct __riscv_ctx_hdr): magic and size.
type Header = [u32; 2];
const FIRST_HEADER: usize = KERNEL_UCONTEXT_SIZE - size_of::<Header>();
/// arch/riscv/include/uapi/asm/sigcontext.h, RISCV_V_MAGIC.
const VECTOR_MAGIC: u32 = 0x5346_5457;
const END: Header = [0; 2];
/// struct __sc_riscv_v_state: datap is its last word; the one before it until vlenb was added in Linux 6.8.
const DATAP: [usize; 2] = [KERNEL_UCONTEXT_SIZE + 40, KERNEL_UCONTEXT_SIZE + 32];
/// Behind that structure, which is 48 bytes long: where the kernel puts the vector registers.
const VECTOR_DATA: usize = KERNEL_UCONTEXT_SIZE + 48;

/// Tells a kernel frame: no other writer of a context stores the thread pointer in its slot. Without vector
/// registers an assigned copy is as good as the frame.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the part that both types share, and a vector header has its state behind.
    unsafe {
        if field(ucp, FLAGS) != 0 || field(ucp, LINK) != 0 || field(ucp, TP) == 0 {
            KernelFrame::No
        } else if has_vectors(ucp) && datap(ucp, ucp).is_none() {
            KernelFrame::Assigned
        } else {
            KernelFrame::Original
        }
    }
}

/// # Safety
/// `ucp` is a kernel frame or a copy.
unsafe fn has_vectors(ucp: *const ucontext_t) -> bool {
    // SAFETY: the header is read only where the frame reaches so far.
    unsafe { room(ucp) >= KERNEL_UCONTEXT_SIZE && header(ucp, FIRST_HEADER)[0] == VECTOR_MAGIC }
}

/// # Safety
/// There is a header at `offset`.
unsafe fn header(ucp: *const ucontext_t, offset: usize) -> Header {
    // SAFETY: the caller's promise.
    unsafe { ucp.byte_add(offset).cast::<Header>().read_volatile() }
}

/// Where in `frame` the pointer is that leads to the vector registers of `original`.
///
/// # Safety
/// `frame` has vector state behind it.
unsafe fn datap(frame: *const ucontext_t, original: *const ucontext_t) -> Option<usize> {
    let data = original as usize + VECTOR_DATA;
    // SAFETY: the caller's promise.
    DATAP.into_iter().find(|&offset| unsafe { field(frame, offset) } == data)
}

/// How far a frame can reach: to the end of the alternate stack, where it lies on one.
///
/// # Safety
/// `ucp` is a kernel frame or a copy.
unsafe fn room(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    let stack = unsafe { (*ucp).uc_stack };
    let (low, end) = (stack.ss_sp as usize, (stack.ss_sp as usize).wrapping_add(stack.ss_size));
    if (low..end).contains(&(ucp as usize)) { end - ucp as usize } else { usize::MAX }
}

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// `ucp` is a kernel frame.
pub unsafe fn frame_size(ucp: *const ucontext_t) -> usize {
    // SAFETY: the headers of a frame with vectors lead from one to the next, up to the empty one.
    unsafe {
        if !has_vectors(ucp) {
            return room(ucp).min(KERNEL_UCONTEXT_SIZE);
        }
        let mut end = FIRST_HEADER;
        while header(ucp, end) != END {
            end += header(ucp, end)[1] as usize;
        }
        end + size_of::<Header>()
    }
}

/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does.
pub const FRAME_ALIGN: usize = STACK_ALIGN;

/// Makes the pointers inside a copied frame lead to the copy.
///
/// # Safety
/// `frame` is a writable copy of the frame at `original`.
pub unsafe fn relocate_frame(frame: *mut ucontext_t, original: *const ucontext_t) {
    // SAFETY: the caller's promise.
    unsafe {
        if has_vectors(original)
            && let Some(offset) = datap(frame, original)
        {
            set_field(frame, offset, frame as usize + VECTOR_DATA);
        }
    }
}

/// Takes over what the program wrote into the general registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both have the registers and eight bytes of mask.
    unsafe {
        for number in 0..32 {
            set_field(frame, greg(number), field(ucp, greg(number)));
        }
        set_field(frame, SIGMASK, field(ucp, SIGMASK));
    }
}

/// Restores everything from the kernel frame at `ucp` but the thread pointer: the frame's may be another
/// thread's.
///
/// # Safety
/// `ucp` is a complete frame and all signals are blocked.
#[unsafe(naked)]
pub unsafe extern "C" fn sigreturn(ucp: *mut ucontext_t) -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined ra",
        "sd tp, {TP}(a0)",
        "addi sp, a0, -{SIGINFO_SIZE}",
        "li a7, {SYS_rt_sigreturn}",
        "ecall",
        "unimp",
        ".cfi_endproc",
        TP = const TP,
        SIGINFO_SIZE = const size_of::<siginfo_t>(),
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
