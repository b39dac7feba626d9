//! Moving stack bytes, and the bodies of the sliced family.
//!
//! # Why the copy back is safe
//!
//! Nothing may be called on the stack being replaced, and the kernel may push a signal's frame at the stack
//! pointer at any instruction. So three rules hold:
//!
//! 1. While the caller's bytes are still needed, until the last is copied out, rsp is at or below (nearer than)
//!    the caller's near end. Functions may be called: their frames lie nearer, where nothing is saved.
//! 2. Before the first byte of the target is written, rsp moves to the lower of where it is and the target's
//!    near end, and stays there until the last byte is in place.
//! 3. Only then does it rise to the near end, in the load of the registers, which needs no stack either.
//!
//! ```text
//!     a deeper target                               a shallower target
//!
//!     far  +----------------+ base: older frames,   +----------------+ far
//!          | target's bytes | shared, never written | target's bytes |   <- written from low to high
//!          |                |                       +----------------+ near
//!          |                | <- rsp was here       | dead           |   frames of the caller,
//!     near +----------------+ = rsp now             |                |   which are saved
//!          |                |   a signal's frame    +----------------+ rsp: unmoved
//!          |                |   lands below rsp     |                |   a signal's frame lands here
//! ```
//!
//! A frame that lands below rsp (the kernel skips the red zone by itself) destroys nothing in either picture:
//! no byte of the target, none of the caller that is not saved. rsp does not rise to the shallower target's near
//! end at once, because the dead bytes may hold the context that is resumed, in a frame of the caller's: its
//! registers are loaded last.
//!
//! The copy has no call, no push and no memory of its own: its operands are in registers. It reads a block and
//! writes between near and far. That the block and both contexts lie outside was checked before (`EINVAL`). The
//! registers are loaded from the context or the block, not from the bytes just written, so that no load waits.
//!
//! When another stack is running, rule 2 leaves rsp where it is, below frames that are saved or abandoned, or
//! moves it below the target's frames: a signal's frame lands on free bytes of one stack or the other.

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

/// Before bytes are put back from rdi on: rsp is never above one that is being written. Uses rax.
macro_rules! lower_stack {
    () => {
        concat!(
            "mov rax, rdi\n",
            "and rax, -16\n",
            "cmp rsp, rax\n",
            "cmova rsp, rax\n",
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
            prepare_swap!(
                "lea rcx, [rsp + 32]", //            the near end: the caller's stack pointer
                $masked
            ),
            // A slice, the usual case, is put back here.
            "mov rax, [rsi + {FLAGS}]",
            "or rax, {MASK}",
            "cmp rax, {SLICED_MASK}",
            "jne 20f",
            ".cfi_undefined rip",
            "mov r8, rsi",
            "mov rax, [rsi + {BLOCK}]",
            "add rax, {BLOCK_ALIGN} - 1",
            "and rax, -{BLOCK_ALIGN}",
            "mov rdi, [rax + {NEAR}]",
            "mov rdx, [rax + {LEN}]",
            "lea rsi, [rax + {BYTES}]",
            lower_stack!(),
            copy_bytes!(),
            "mov rsi, r8",
            load_context!(),
            cfi_of_caller!(),
            "20:",
            finish_swap!() ;
            prepare = sym $crate::sliced::suspend,
            resume = sym $crate::context::resume,
            MASK = const $crate::context::MASK,
            SLICED_MASK = const $crate::context::SLICED | $crate::context::MASK,
            BLOCK = const $crate::arch::STACK + core::mem::offset_of!(libc::stack_t, ss_sp),
            BLOCK_ALIGN = const $crate::slice::BLOCK_ALIGN,
            NEAR = const core::mem::offset_of!($crate::slice::ContextSlice, slice.near),
            LEN = const core::mem::offset_of!($crate::slice::ContextSlice, slice.len),
            BYTES = const size_of::<$crate::slice::ContextSlice>(),
            LONG = const $crate::arch::LONG,
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

/// The body is on both sides of the call of `slice::swap`: the callee-saved registers hold the caller's values
/// again after it, so they go straight into the block and come straight out of the other, as does the return
/// address. Nothing is pushed, because a load that is wider than the pushes before it waits for them.
macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "sub rsp, 56", //                        where push_registers! would put them
            ".cfi_adjust_cfa_offset 56",
            "mov [rsp], rdi",
            "mov rcx, rsp", //                       the near end: the registers are part of the slice
            "call {swap}",
            "test rax, rax",
            "jz 8f",
            "mov r8, rax", //                        the target
            "mov rdi, [rsp]",
            "test rdi, rdi",
            "jz 20f",
            "mov rdi, [rdi]", //                     the block of *from
            "mov rdx, [rdi + {LEN}]",
            "add rdi, {BYTES}",
            "stmxcsr [rdi]",
            "fnstcw [rdi + 4]",
            "mov [rdi + 8], r15",
            "mov [rdi + 16], r14",
            "mov [rdi + 24], r13",
            "mov [rdi + 32], r12",
            "mov [rdi + 40], rbx",
            "mov [rdi + 48], rbp",
            "mov rax, [rsp + 56]",
            "mov [rdi + 56], rax",
            "add rdi, 64",
            "lea rsi, [rsp + 64]",
            "sub rdx, 64",
            "jbe 20f",
            copy_bytes!(),
            "20:",
            ".cfi_remember_state",
            ".cfi_undefined rip",
            "mov r9, [r8 + {NEAR}]",
            "mov rdx, [r8 + {LEN}]",
            "add r8, {BYTES}",
            "lea rdi, [r9 + 64]",
            "lea rsi, [r8 + 64]",
            "cmp rsp, r9",
            "cmova rsp, r9", //                      never above a byte that is being written
            "sub rdx, 64",
            "jbe 21f",
            copy_bytes!(),
            "21:",
            "ldmxcsr [r8]",
            "fldcw [r8 + 4]",
            "mov r15, [r8 + 8]",
            "mov r14, [r8 + 16]",
            "mov r13, [r8 + 24]",
            "mov r12, [r8 + 32]",
            "mov rbx, [r8 + 40]",
            "mov rbp, [r8 + 48]",
            "mov r11, [r8 + 56]",
            "xor eax, eax",
            "lea rsp, [r9 + 64]",
            "jmp r11",
            ".cfi_restore_state",
            "8:",
            "mov eax, -1",
            "add rsp, 56",
            ".cfi_adjust_cfa_offset -56",
            "ret",
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
        lower_stack!(),
        copy_bytes!(),
        "mov rsi, r8",
        load_context!() ;
        LONG = const LONG,
    )
}
