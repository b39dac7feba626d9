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

use super::ucontext_t;

/// Copies a2 bytes from a1 to a0, without stack. Uses a0 to a6, t1, t2 and t4 to t6.
///
/// Words where source, target and length allow it, as they do for every slice of a program that keeps sp
/// aligned: a misaligned word is allowed to be as slow as a trap.
macro_rules! copy_bytes {
    () => {
        concat!(
            "or $t1, $a0, $a1\n",
            "or $t1, $t1, $a2\n",
            "andi $t1, $t1, 7\n",
            "bnez $t1, 5f\n",
            "li.d $t1, 64\n",
            "bltu $a2, $t1, 3f\n",
            "2:\n",
            "ld.d $t2, $a1, 0\n",
            "ld.d $t4, $a1, 8\n",
            "ld.d $t5, $a1, 16\n",
            "ld.d $t6, $a1, 24\n",
            "ld.d $a3, $a1, 32\n",
            "ld.d $a4, $a1, 40\n",
            "ld.d $a5, $a1, 48\n",
            "ld.d $a6, $a1, 56\n",
            "st.d $t2, $a0, 0\n",
            "st.d $t4, $a0, 8\n",
            "st.d $t5, $a0, 16\n",
            "st.d $t6, $a0, 24\n",
            "st.d $a3, $a0, 32\n",
            "st.d $a4, $a0, 40\n",
            "st.d $a5, $a0, 48\n",
            "st.d $a6, $a0, 56\n",
            "addi.d $a1, $a1, 64\n",
            "addi.d $a0, $a0, 64\n",
            "addi.d $a2, $a2, -64\n",
            "bgeu $a2, $t1, 2b\n",
            "3:\n",
            "beqz $a2, 7f\n",
            "4:\n",
            "ld.d $t2, $a1, 0\n",
            "st.d $t2, $a0, 0\n",
            "addi.d $a1, $a1, 8\n",
            "addi.d $a0, $a0, 8\n",
            "addi.d $a2, $a2, -8\n",
            "bnez $a2, 4b\n",
            "b 7f\n",
            "5:\n",
            "beqz $a2, 7f\n",
            "6:\n",
            "ld.bu $t2, $a1, 0\n",
            "st.b $t2, $a0, 0\n",
            "addi.d $a1, $a1, 1\n",
            "addi.d $a0, $a0, 1\n",
            "addi.d $a2, $a2, -1\n",
            "bnez $a2, 6b\n",
            "7:\n",
        )
    };
}

/// Before bytes are put back from a0 on: sp is never above one that is being written. Uses t1.
macro_rules! lower_stack {
    () => {
        concat!(
            "move $t1, $a0\n",
            "bstrins.d $t1, $zero, 3, 0\n",
            "bgeu $t1, $sp, 2f\n",
            "move $sp, $t1\n",
            "2:\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "li.d $a4, 1")
    };
    (maskless) => {
        swapcontext_sliced!(body "li.d $a4, 0")
    };
    (body $masked:literal) => {
        context_asm!(
            swap_slowly!(
                "addi.d $a3, $sp, 32", //            the near end: the caller's stack pointer
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
            "move $a2, $sp", //                      the near end: the caller's stack pointer
            "addi.d $sp, $sp, -16",
            ".cfi_def_cfa_offset 16",
            "st.d $ra, $sp, 8",
            ".cfi_offset 1, -8",
            "st.d $a0, $sp, 0",
            "bl {capture}",
            "move $t0, $a0",
            "ld.d $a0, $sp, 0",
            "ld.d $ra, $sp, 8",
            ".cfi_same_value 1",
            "addi.d $sp, $sp, 16",
            ".cfi_def_cfa_offset 0",
            "beqz $t0, 9f",
            "st.d $t0, $a0, {FLAGS}",
            save!(),
            "li.d $a0, 0",
            "ret",
            "9:",
            "li.d $a0, -1",
            "ret" ;
            capture = sym $crate::sliced::capture,
        )
    };
}

/// The registers are pushed, and copied with the rest of the slice into the block that `slice::swap` prepared.
macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "move $s0, $a0", //                      from
            "move $a3, $sp", //                      the near end: the registers are part of the slice
            "bl {swap}",
            "beqz $a0, 8f",
            "move $t0, $a0", //                      the target
            "beqz $s0, 1f",
            "ld.d $t1, $s0, 0", //                   the block of *from
            "ld.d $a2, $t1, {LEN}",
            "addi.d $a0, $t1, {BYTES}",
            "move $a1, $sp",
            copy_bytes!(),
            "1:",
            ".cfi_remember_state",
            ".cfi_undefined 1",
            "ld.d $t3, $t0, {NEAR}",
            "ld.d $a2, $t0, {LEN}",
            "addi.d $a1, $t0, {BYTES}",
            "move $a0, $t3",
            lower_stack!(),
            copy_bytes!(),
            "move $sp, $t3",
            ".cfi_restore_state",
            "li.d $a0, 0",
            "b 9f",
            "8:",
            "li.d $a0, -1",
            "9:",
            pop_registers!(),
            ".cfi_endproc",
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
            ".cfi_startproc",
            push_registers!(),
            "move $s0, $a2", //                      func
            "move $s1, $a3", //                      arg
            "move $a3, $sp", //                      the near end
            "bl {start}",
            "beqz $a0, 8f",
            ".cfi_remember_state",
            ".cfi_undefined 1",
            "move $sp, $a0", //                      rises over frames that are saved
            "move $a0, $s1",
            "li.d $fp, 0",
            "jirl $ra, $s0, 0",
            "bl {returned}", //                      does not return
            "break 0",
            ".cfi_restore_state",
            "8:",
            "li.d $a0, -1",
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
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            copy_bytes!(),
            inout("$a0") target => _, inout("$a1") source => _, inout("$a2") len => _,
            out("$a3") _, out("$a4") _, out("$a5") _, out("$a6") _,
            out("$t1") _, out("$t2") _, out("$t4") _, out("$t5") _, out("$t6") _,
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
        ".cfi_undefined 1",
        "move $t0, $a0",
        "move $a0, $a1",
        "move $a1, $a2",
        "move $a2, $a3",
        lower_stack!(),
        copy_bytes!(),
        load_context!() ;
    )
}
