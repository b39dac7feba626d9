//! Contexts that the kernel made for a signal handler (arch/arm64/kernel/signal.c, struct rt_sigframe).
//!
//! ```text
//!   uc + 464          __reserved, 4,096 bytes: the FPSIMD record first, then those of what else is in use (SVE,
//!                     ZA ...), then the empty record. What does not fit is in more records behind that,
//!                     which an EXTRA record points to: they may go on behind __reserved
//!   uc                the kernel's ucontext, as libc's
//!   uc - 128 = sp     siginfo
//! ```
//!
//! All is relative but the pointer of the EXTRA record. So an assigned copy of a frame is as good as the
//! original as long as there is no such record, and the kernel refuses it when there is.

use core::arch::naked_asm;
use core::mem::{offset_of, size_of};

use libc::ucontext_t;

use super::*;

/// The kernel's ucontext is as large as libc's.
pub const KERNEL_UCONTEXT_SIZE: usize = size_of::<ucontext_t>();
/// Between the stack pointer of a frame and its ucontext.
const SIGINFO_SIZE: usize = size_of::<libc::siginfo_t>();

/// The head of each record (arch/arm64/include/uapi/asm/sigcontext.h, struct _aarch64_ctx).
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    magic: u32,
    size: u32,
}

/// struct extra_context of the same file.
#[repr(C)]
struct Extra {
    head: Head,
    data: usize,
    size: u32,
    reserved: [u32; 3],
}

const EXTRA_MAGIC: u32 = 0x4558_5401;
/// The empty record follows an EXTRA record.
const LAST_EXTRA: usize = KERNEL_UCONTEXT_SIZE - size_of::<Extra>() - RECORD_ALIGN;

/// The EXTRA record of the frame at `ucp`: its offset; none; or not even a list of records.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
unsafe fn find_extra(ucp: *const ucontext_t) -> Result<Option<usize>, ()> {
    let mut offset = RESERVED;
    while offset + RECORD_ALIGN <= KERNEL_UCONTEXT_SIZE {
        // SAFETY: the head lies inside the context; it may be uninitialised for Rust's rules, hence volatile.
        let Head { magic, size } = unsafe { ucp.byte_add(offset).cast::<Head>().read_volatile() };
        match magic {
            _ if offset == RESERVED && FPSIMD_HEAD != magic as usize | (size as usize) << 32 => break,
            0 => return if size == 0 { Ok(None) } else { Err(()) },
            EXTRA_MAGIC if size as usize == size_of::<Extra>() && offset <= LAST_EXTRA => {
                return Ok(Some(offset));
            }
            _ if size == 0 || size as usize % RECORD_ALIGN != 0 => break,
            _ => offset += size as usize,
        }
    }
    Err(())
}

/// The EXTRA record at `offset`: where its data lie, and how many bytes they are.
///
/// # Safety
/// [`find_extra`] returned `offset`, and the whole of an EXTRA record is inside the structure.
unsafe fn extra_data(ucp: *const ucontext_t, offset: usize) -> (usize, usize) {
    // SAFETY: the caller's promise.
    let extra = unsafe { ucp.byte_add(offset).cast::<Extra>().read_volatile() };
    (extra.data, extra.size as usize)
}

/// Tells a kernel frame: the kernel leaves `uc_flags` 0 and begins a list of records with that of the
/// floating-point registers. Other implementations do the same when the memory was zeroed, and the kernel
/// resumes those contexts as well as any.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the structure.
    unsafe {
        if field(ucp, FLAGS) != 0 {
            return KernelFrame::No;
        }
        match find_extra(ucp) {
            Err(()) => KernelFrame::No,
            Ok(None) => KernelFrame::Original,
            Ok(Some(offset)) => {
                // The data begin behind the empty record that follows, which qemu 7.2 does not pad.
                let end = ucp as usize + offset + size_of::<Extra>();
                let data = end + size_of::<Head>()..=end + RECORD_ALIGN;
                if data.contains(&extra_data(ucp, offset).0) {
                    KernelFrame::Original
                } else {
                    KernelFrame::Assigned
                }
            }
        }
    }
}

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// `ucp` is a kernel frame.
pub unsafe fn frame_size(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let end = find_extra(ucp).ok().flatten().map_or(0, |offset| {
            let (data, size) = extra_data(ucp, offset);
            data - ucp as usize + size
        });
        end.max(KERNEL_UCONTEXT_SIZE)
    }
}

/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does.
pub const FRAME_ALIGN: usize = RECORD_ALIGN;

/// Makes the pointers inside a copied frame lead to the copy.
///
/// # Safety
/// `frame` is a writable copy of the frame at `original`.
pub unsafe fn relocate_frame(frame: *mut ucontext_t, original: *const ucontext_t) {
    // SAFETY: the caller's promise; the record lies inside the copy.
    unsafe {
        if let Ok(Some(offset)) = find_extra(frame) {
            let distance = extra_data(frame, offset).0 - original as usize;
            set_field(frame, offset + offset_of!(Extra, data), frame as usize + distance);
        }
    }
}

/// Takes over what the program wrote into the general registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both are whole contexts.
    unsafe {
        for offset in (X0..RESERVED).step_by(size_of::<usize>()) {
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
        ".cfi_undefined x30",
        "sub x0, x0, #{SIGINFO_SIZE}",
        "mov sp, x0",
        "mov x8, #{SYS_rt_sigreturn}",
        "svc #0",
        "brk #1",
        ".cfi_endproc",
        SIGINFO_SIZE = const SIGINFO_SIZE,
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
