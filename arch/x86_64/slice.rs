//! Moving stack bytes, and the bodies of the sliced family.
//!
//! # Why the copy back is safe
//!
//! Nothing may be called on the stack being replaced, and the kernel may push a signal's frame at the stack
//! pointer at any instruction. While the caller's bytes are still needed, rsp is at or below (nearer than)
//! the caller's near end. Before the first byte of the target is written, rsp moves to the lower of where it
//! is and the target's near end, and stays there until the last byte is in place:
//!
//! ```text
//!    far  +----------------+ base: older frames, shared, never written
//!         | target's bytes |   <- written from low to high addresses
//!    near +----------------+ target's near end
//!         | dead           |   frames of the suspended caller, saved before
//!    rsp  +----------------+   min(rsp, near): a signal's frame lands below,
//!         |                |   on bytes that nobody needs
//! ```
//!
//! The loop has no call, no push and no memory of its own: its operands are in registers. It reads the heap
//! and writes between near and far, and neither holds the structures in use (checked before). Only then does
//! rsp rise to near. On another stack than the target's, the same rule leaves rsp where it is or moves it
//! below the target's frames; both are free.

use core::arch::asm;

use libc::ucontext_t;


/// From this many bytes on, one string instruction beats the loop.
pub const LONG: usize = 2048;

/// Copies rdx bytes from rsi to rdi, without stack. Uses rax, rcx, rdx, rsi, rdi, xmm0 to xmm3.
macro_rules! copy_bytes {
    () => {
        concat!(
            "cmp rdx, 16\n",
            "jb 5f\n",
            "cmp rdx, {LONG}\n",
            "jae 6f\n",
            "movups xmm0, [rsi + rdx - 16]\n", //    the last 16 bytes may overlap the loop's
            "lea rax, [rdi + rdx - 16]\n",
            "sub rdx, 48\n",
            "jbe 3f\n",
            "2:\n",
            "movups xmm1, [rsi]\n",
            "movups xmm2, [rsi + 16]\n",
            "movups xmm3, [rsi + 32]\n",
            "movups [rdi], xmm1\n",
            "movups [rdi + 16], xmm2\n",
            "movups [rdi + 32], xmm3\n",
            "add rsi, 48\n",
            "add rdi, 48\n",
            "sub rdx, 48\n",
            "ja 2b\n",
            "3:\n",
            "cmp rdx, -32\n", //                     48 less: up to 16 are left
            "jle 4f\n",
            "movups xmm1, [rsi]\n",
            "movups [rdi], xmm1\n",
            "cmp rdx, -16\n",
            "jle 4f\n",
            "movups xmm2, [rsi + 16]\n",
            "movups [rdi + 16], xmm2\n",
            "4:\n",
            "movups [rax], xmm0\n",
            "jmp 7f\n",
            "5:\n",
            "test rdx, rdx\n",
            "jz 7f\n",
            "6:\n",
            "mov rcx, rdx\n",
            "rep movsb\n",
            "7:\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "mov r8d, 1")
    };
    (maskless) => {
        swapcontext_sliced!(body "xor r8d, r8d")
    };
    (body $masked:literal) => {
        context_asm!(
            swap_slowly!(
                "lea rcx, [rsp + 32]", //            the near end: the caller's stack pointer
                $masked
            ) ;
            prepare = sym $crate::sliced::suspend,
            resume = sym $crate::context::resume,
        )
    };
}

macro_rules! getcontext_sliced {
    () => {
        context_asm!(
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "lea rdx, [rsp + 16]", //                the near end: the caller's stack pointer
            "call {capture}",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "test rax, rax",
            "jz 9f",
            "mov [rdi + {FLAGS}], rax",
            save!(),
            "xor eax, eax",
            "ret",
            "9:",
            "mov eax, -1",
            "ret" ;
            capture = sym $crate::sliced::capture,
        )
    };
}

macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "mov rcx, rsp", //                       the near end: the registers are part of the slice
            "call {swap}",
            "test rax, rax",
            "jz 8f",
            ".cfi_remember_state",
            ".cfi_undefined rip",
            "mov rdi, [rax + {NEAR}]",
            "mov rdx, [rax + {LEN}]",
            "lea rsi, [rax + {BYTES}]",
            "mov r8, rdi",
            "cmp rsp, rdi",
            "cmova rsp, rdi", //                     never above a byte that is being written
            copy_bytes!(),
            "mov rsp, r8",
            ".cfi_restore_state",
            "xor eax, eax",
            "jmp 9f",
            "8:",
            "mov eax, -1",
            "9:",
            pop_registers!(),
            ".cfi_endproc",
            swap = sym $crate::slice::swap,
            NEAR = const core::mem::offset_of!($crate::slice::Slice, near),
            LEN = const core::mem::offset_of!($crate::slice::Slice, len),
            BYTES = const size_of::<$crate::slice::Slice>(),
            LONG = const $crate::arch::LONG,
        )
    };
}

macro_rules! slice_start {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "mov rbx, rdx", //                       func
            "mov r12, rcx", //                       arg
            "mov rcx, rsp", //                       the near end
            "call {start}",
            "test rax, rax",
            "jz 8f",
            ".cfi_remember_state",
            ".cfi_undefined rip",
            "mov rsp, rax", //                       rises over frames that are saved
            "mov rdi, r12",
            "xor ebp, ebp",
            "call rbx",
            "call {returned}", //                    does not return
            "ud2",
            ".cfi_restore_state",
            "8:",
            "mov eax, -1",
            pop_registers!(),
            ".cfi_endproc",
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
#[inline]
pub unsafe fn copy(target: *mut u8, source: *const u8, len: usize) {
    // SAFETY: the caller's promise; DF is clear, as in every function.
    unsafe {
        asm!(
            copy_bytes!(),
            inout("rdi") target => _, inout("rsi") source => _, inout("rdx") len => _,
            out("rax") _, out("rcx") _, out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            LONG = const LONG,
            options(nostack),
        );
    }
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
    context_asm!(
        ".cfi_undefined rip",
        "mov r8, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov rax, rdi",
        "and rax, -16",
        "cmp rsp, rax",
        "cmova rsp, rax", //                         never above a byte that is being written
        copy_bytes!(),
        "mov rsi, r8",
        load_context!() ;
        LONG = const LONG,
    )
}
