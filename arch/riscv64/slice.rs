//! Moving stack bytes, and the bodies of the sliced family.
//!
//! # Why the copy back is safe
//!
//! Nothing may be called on the stack being replaced, and the kernel may push a signal's frame at the stack
//! pointer at any instruction. While the caller's bytes are still needed, sp is at or below (nearer than)
//! the caller's near end. Before the first byte of the target is written, sp moves to the lower of where it
//! is and the target's near end, and stays there until the last byte is in place:
//!
//! ```text
//!    far  +----------------+ base: older frames, shared, never written
//!         | target's bytes |   <- written from low to high addresses
//!    near +----------------+ target's near end
//!         | dead           |   frames of the suspended caller, saved before
//!    sp   +----------------+   min(sp, near): a signal's frame lands below,
//!         |                |   on bytes that nobody needs
//! ```
//!
//! The loop has no call, no push and no memory of its own: its operands are in registers. It reads the heap
//! and writes between near and far, and neither holds the structures in use (checked before). Only then does
//! sp rise to near. On another stack than the target's, the same rule leaves sp where it is or moves it
//! below the target's frames; both are free.

use core::arch::asm;

use libc::ucontext_t;

/// Copies a2 bytes from a1 to a0, without stack. Uses a0 to a6, t1, t2 and t4 to t6.
///
/// Words where source, target and length allow it, as they do for every slice of a program that keeps sp
/// aligned: a misaligned word is allowed to be as slow as a trap.
macro_rules! copy_bytes {
    () => {
        concat!(
            "or t1, a0, a1\n",
            "or t1, t1, a2\n",
            "andi t1, t1, 7\n",
            "bnez t1, 5f\n",
            "li t1, 64\n",
            "bltu a2, t1, 3f\n",
            "2:\n",
            "ld t2, 0(a1)\n",
            "ld t4, 8(a1)\n",
            "ld t5, 16(a1)\n",
            "ld t6, 24(a1)\n",
            "ld a3, 32(a1)\n",
            "ld a4, 40(a1)\n",
            "ld a5, 48(a1)\n",
            "ld a6, 56(a1)\n",
            "sd t2, 0(a0)\n",
            "sd t4, 8(a0)\n",
            "sd t5, 16(a0)\n",
            "sd t6, 24(a0)\n",
            "sd a3, 32(a0)\n",
            "sd a4, 40(a0)\n",
            "sd a5, 48(a0)\n",
            "sd a6, 56(a0)\n",
            "addi a1, a1, 64\n",
            "addi a0, a0, 64\n",
            "addi a2, a2, -64\n",
            "bgeu a2, t1, 2b\n",
            "3:\n",
            "beqz a2, 7f\n",
            "4:\n",
            "ld t2, 0(a1)\n",
            "sd t2, 0(a0)\n",
            "addi a1, a1, 8\n",
            "addi a0, a0, 8\n",
            "addi a2, a2, -8\n",
            "bnez a2, 4b\n",
            "j 7f\n",
            "5:\n",
            "beqz a2, 7f\n",
            "6:\n",
            "lbu t2, 0(a1)\n",
            "sb t2, 0(a0)\n",
            "addi a1, a1, 1\n",
            "addi a0, a0, 1\n",
            "addi a2, a2, -1\n",
            "bnez a2, 6b\n",
            "7:\n",
        )
    };
}

/// Before bytes are put back from a0 on: sp is never above one that is being written. Uses t1.
macro_rules! lower_stack {
    () => {
        concat!(
            "andi t1, a0, -16\n",
            "bgeu t1, sp, 2f\n",
            "mv sp, t1\n",
            "2:\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "li a4, 1")
    };
    (maskless) => {
        swapcontext_sliced!(body "li a4, 0")
    };
    (body $masked:literal) => {
        context_asm!(
            swap_slowly!(
                "addi a3, sp, 32", //                the near end: the caller's stack pointer
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
            "mv a2, sp", //                          the near end: the caller's stack pointer
            "addi sp, sp, -16",
            ".cfi_def_cfa_offset 16",
            "sd ra, 8(sp)",
            ".cfi_offset ra, -8",
            "sd a0, 0(sp)",
            "call {capture}",
            "mv t0, a0",
            "ld a0, 0(sp)",
            "ld ra, 8(sp)",
            ".cfi_same_value ra",
            "addi sp, sp, 16",
            ".cfi_def_cfa_offset 0",
            "beqz t0, 9f",
            "sd t0, {FLAGS}(a0)",
            save!(),
            "li a0, 0",
            "ret",
            "9:",
            "li a0, -1",
            "ret" ;
            capture = sym $crate::sliced::capture,
        )
    };
}

/// The registers are pushed, and copied with the rest of the slice into the block that `slice::swap` prepared.
macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            with_floating_point!(),
            ".cfi_startproc",
            push_registers!(),
            "mv s1, a0", //                          from
            "mv a3, sp", //                          the near end: the registers are part of the slice
            "call {swap}",
            "beqz a0, 8f",
            "mv t0, a0", //                          the target
            "beqz s1, 1f",
            "ld t1, 0(s1)", //                       the block of *from
            "ld a2, {LEN}(t1)",
            "addi a0, t1, {BYTES}",
            "mv a1, sp",
            copy_bytes!(),
            "1:",
            ".cfi_remember_state",
            ".cfi_undefined ra",
            "ld t3, {NEAR}(t0)",
            "ld a2, {LEN}(t0)",
            "addi a1, t0, {BYTES}",
            "mv a0, t3",
            lower_stack!(),
            copy_bytes!(),
            "mv sp, t3",
            ".cfi_restore_state",
            "li a0, 0",
            "j 9f",
            "8:",
            "li a0, -1",
            "9:",
            pop_registers!(),
            ".cfi_endproc",
            ".option pop",
            swap = sym $crate::slice::swap,
            NEAR = const core::mem::offset_of!($crate::slice::Slice, near),
            LEN = const core::mem::offset_of!($crate::slice::Slice, len),
            BYTES = const size_of::<$crate::slice::Slice>(),
        )
    };
}

macro_rules! slice_start {
    () => {
        core::arch::naked_asm!(
            with_floating_point!(),
            ".cfi_startproc",
            push_registers!(),
            "mv s1, a2", //                          func
            "mv s2, a3", //                          arg
            "mv a3, sp", //                          the near end
            "call {start}",
            "beqz a0, 8f",
            ".cfi_remember_state",
            ".cfi_undefined ra",
            "mv sp, a0", //                          rises over frames that are saved
            "mv a0, s2",
            "li s0, 0",
            "jalr s1",
            "call {returned}", //                    does not return
            "unimp",
            ".cfi_restore_state",
            "8:",
            "li a0, -1",
            pop_registers!(),
            ".cfi_endproc",
            ".option pop",
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
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            copy_bytes!(),
            inout("a0") target => _, inout("a1") source => _, inout("a2") len => _,
            out("a3") _, out("a4") _, out("a5") _, out("a6") _,
            out("t1") _, out("t2") _, out("t4") _, out("t5") _, out("t6") _,
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
        ".cfi_undefined ra",
        "mv t0, a0",
        "mv a0, a1",
        "mv a1, a2",
        "mv a2, a3",
        lower_stack!(),
        copy_bytes!(),
        load_context!() ;
    )
}
