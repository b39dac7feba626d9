//! Contexts that the kernel made for a signal handler (arch/powerpc/kernel/signal_64.c, struct rt_sigframe).
//!
//! ```text
//!   uc + 1696         trampoline, siginfo
//!   uc                the kernel's ucontext: as the libc's, of whose signal set 8 bytes are used; v_regs leads
//!                     into vmx_reserve, where the VSX halves follow
//!   uc - 128          r1 of the handler at its entry
//! ```
//!
//! sigreturn wants r1 at the ucontext. qemu-user, whose frames are alike otherwise, wants it where the handler
//! had it: 144 bytes below up to version 9, then 128 (linux-user/ppc/signal.c).

use core::arch::naked_asm;

use super::*;

/// Where the kernel's ucontext has its last field that every libc's has: the vectors follow.
pub const KERNEL_UCONTEXT_SIZE: usize = V_REGS + size_of::<usize>();
/// struct ucontext: vmx_reserve is two vector areas' worth of words, one for alignment, and 32 for VSX.
const FRAME_SIZE: usize = KERNEL_UCONTEXT_SIZE + (34 + 34 + 1 + 32) * size_of::<u64>();

/// Tells a kernel frame: it has a machine state, where glibc writes 0, and a pointer to its own registers.
///
/// # Safety
/// `ucp` points to a `ucontext_t` or a kernel frame.
pub unsafe fn kernel_frame(ucp: *const ucontext_t) -> KernelFrame {
    // SAFETY: the fields lie in the part that both types share.
    let (state, registers) = unsafe { (field(ucp, MSR), field(ucp, REGS)) };
    match registers.wrapping_sub(ucp as usize) {
        _ if state == 0 => KernelFrame::No,
        R0 => KernelFrame::Original,
        _ => KernelFrame::Assigned,
    }
}

/// The size of the kernel frame that starts at `ucp`.
///
/// # Safety
/// None here; other ports read `ucp`.
pub unsafe fn frame_size(_ucp: *const ucontext_t) -> usize {
    FRAME_SIZE
}

/// The alignment, in bytes, at which a copy of a kernel frame must lie as the original does.
pub const FRAME_ALIGN: usize = 16;

/// Makes the pointers inside a copied frame lead to the copy.
///
/// # Safety
/// `frame` is a writable copy of the frame at `original`.
pub unsafe fn relocate_frame(frame: *mut ucontext_t, original: *const ucontext_t) {
    // SAFETY: the caller's promise.
    unsafe {
        let moved = |address: usize| address.wrapping_sub(original as usize).wrapping_add(frame as usize);
        for offset in [REGS, V_REGS] {
            set_field(frame, offset, moved(field(original, offset)));
        }
        set_field(frame, SOFTE, moved(stack_for_sigreturn(original)));
    }
}

/// Takes over what the program wrote into the registers and the mask of `ucp`.
///
/// # Safety
/// `frame` is a writable kernel frame, `ucp` the context that was made from it.
pub unsafe fn edit_frame(frame: *mut ucontext_t, ucp: *const ucontext_t) {
    // SAFETY: both have the registers and eight bytes of mask.
    unsafe {
        for offset in (R0..SOFTE).chain(F0..V_REGS).step_by(size_of::<usize>()) {
            set_field(frame, offset, field(ucp, offset));
        }
        set_field(frame, SIGMASK, field(ucp, SIGMASK));
    }
}

/// The bits of MSR that say that addresses are translated: set in every process of the kernel's, never in qemu-user's.
const TRANSLATED: usize = 0x30;
/// How far below the ucontext qemu-user puts r1.
const DISTANCES: [usize; 2] = [144, 128];

/// Where r1 stands for sigreturn to find the frame at `ucp`. In one of qemu-user's that is where its back chain is;
/// a copy, which has nothing below it, keeps the place in SOFTE, which neither kernel nor emulator reads.
///
/// # Safety
/// `ucp` is a kernel frame, or a copy that [`relocate_frame`] made.
unsafe fn stack_for_sigreturn(ucp: *const ucontext_t) -> usize {
    let original_has_chain = |r1: usize| {
        // SAFETY: the caller's promise; below an original lies the frame of the handler's caller, below a copy the
        // header of its allocation and what comes before it.
        unsafe { (r1 as *const usize).read() == field(ucp, R1) }
    };
    let address = ucp as usize;
    // SAFETY: the caller's promise.
    let (state, kept) = unsafe { (field(ucp, MSR), field(ucp, SOFTE)) };
    if state & TRANSLATED != 0 {
        return address;
    }
    let mut places = DISTANCES.map(|distance| address - distance).into_iter();
    places.clone().find(|&r1| kept == r1).or_else(|| places.find(|&r1| original_has_chain(r1))).unwrap_or(address)
}

/// Restores everything from the kernel frame at `ucp`.
///
/// # Safety
/// `ucp` is a complete frame and all signals are blocked.
pub unsafe fn sigreturn(ucp: *mut ucontext_t) -> ! {
    // SAFETY: the caller's promise. The kernel installs the frame's thread pointer.
    unsafe {
        set_field(ucp, R13, thread_pointer());
        sigreturn_at(stack_for_sigreturn(ucp))
    }
}

/// Makes the system call with r1 as given.
///
/// # Safety
/// As [`sigreturn`].
#[unsafe(naked)]
unsafe extern "C" fn sigreturn_at(r1: usize) -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined 65",
        "mr 1, 3",
        "li 0, {SYS_rt_sigreturn}",
        "sc",
        "trap",
        ".cfi_endproc",
        SYS_rt_sigreturn = const libc::SYS_rt_sigreturn,
    )
}
