//! Contexts that the kernel made for a signal handler (arch/loongarch/kernel/signal.c, struct rt_sigframe).
//!
//! ```text
//!   uc + 448          records, each with its size: floating-point or vector registers, LBT; then an empty one
//!   uc                the kernel's ucontext, laid out as the C library's
//!   uc - 128          siginfo; sp of the handler, and of the system call
//! ```
//!
//! The kernel stores uc_flags and uc_link as 0, and every register, tp too. Nothing in a frame points into it.

use core::arch::naked_asm;

use libc::siginfo_t;

use super::*;

/// The kernel's ucontext and the C library's are of one size.
pub const KERNEL_UCONTEXT_SIZE: usize = size_of::<ucontext_t>();

/// The head of a record (arch/loongarch/include/uapi/asm/sigcontext.h, struct sctx_info).
#[repr(C)]
struct Record {
    magic: u32,
    size: u32,
    padding: u64,
}

/// FPU, LSX, LASX and LBT of the same file.
const MAGICS: [u32; 4] = [0x4650_5501, 0x5358_0001, 0x4158_5301, 0x4254_4201];
/// More than any record takes: LASX has 32 registers of 32 bytes.
const MAX_RECORD: usize = 4096;

/// Tells a kernel frame: no other writer of a context stores the thread pointer in its slot.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the part that both types share; what is behind a frame is a frame's.
    unsafe {
        if field(ucp, FLAGS) != 0 || field(ucp, LINK) != 0 || field(ucp, TP) == 0 {
            KernelFrame::No
        } else if records_end(ucp).is_none() {
            KernelFrame::Assigned
        } else {
            KernelFrame::Original
        }
    }
}

/// Where the records of the frame at `ucp` end, if there are any.
///
/// # Safety
/// `ucp` is a kernel frame or a copy.
unsafe fn records_end(ucp: *const ucontext_t) -> Option<usize> {
    let mut end = KERNEL_UCONTEXT_SIZE;
    loop {
        // SAFETY: each record leads to the next, up to the empty one.
        let Record { magic, size, .. } = unsafe { ucp.byte_add(end).cast::<Record>().read_volatile() };
        let size = size as usize;
        if magic == 0 {
            return Some(end + size_of::<Record>());
        }
        if !MAGICS.contains(&magic) || size < size_of::<Record>() || size > MAX_RECORD {
            return None;
        }
        end += size;
    }
}

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// `ucp` is a kernel frame.
pub unsafe fn frame_size(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    unsafe { records_end(ucp) }.unwrap_or(KERNEL_UCONTEXT_SIZE)
}

/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does: LASX's.
pub const FRAME_ALIGN: usize = 32;

/// Nothing in a frame points into it.
///
/// # Safety
/// None here; other ports write to `frame`.
pub unsafe fn relocate_frame(_frame: *mut ucontext_t, _original: *const ucontext_t) {}

/// Takes over what the program wrote into the program counter, the general registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both have the registers and eight bytes of mask.
    unsafe {
        set_field(frame, PC, field(ucp, PC));
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
        ".cfi_undefined 1",
        "st.d $tp, $a0, {TP}",
        "addi.d $sp, $a0, -{SIGINFO_SIZE}",
        "li.d $a7, {SYS_rt_sigreturn}",
        "syscall 0",
        "break 0",
        ".cfi_endproc",
        TP = const TP,
        SIGINFO_SIZE = const size_of::<siginfo_t>(),
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
