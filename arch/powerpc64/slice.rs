//! Moving stack bytes, and the bodies of the sliced family.
//!
//! # Why the copy back is safe
//!
//! Nothing may be called on the stack being replaced, and the kernel may push a signal's frame at the stack
//! pointer at any instruction. While the caller's bytes are still needed, r1 is at or below (nearer than)
//! the caller's near end. Before the first byte of the target is written, r1 moves to the lower of where it
//! is and the target's near end, and stays there until the last byte is in place:
//!
//! ```text
//!    far  +----------------+ base + 32: older frames, shared, never written
//!         | target's bytes |   <- written from low to high addresses
//!    near +----------------+ target's near end
//!         | dead           |   frames of the suspended caller, saved before
//!    r1   +----------------+   min(r1, near): a signal's frame lands below,
//!         |                |   on bytes that nobody needs
//! ```
//!
//! The loop has no call, no push and no memory of its own: its operands are in registers. It reads the heap
//! and writes between near and far, and neither holds the structures in use (checked before). Only then does
//! r1 rise to near. On another stack than the target's, the same rule leaves r1 where it is or moves it
//! below the target's frames; both are free.

use core::arch::asm;

use super::*;

/// Copies r5 bytes from r4 to r3, without stack. Uses r0, r3 to r9, CTR, CR0, vs0 to vs3.
macro_rules! copy_bytes {
    () => {
        concat!(
            "srdi. 6, 5, 6\n",
            "beq 3f\n",
            "mtctr 6\n",
            "li 7, 16\n",
            "li 8, 32\n",
            "li 9, 48\n",
            "2:\n",
            "lxvd2x 0, 0, 4\n",
            "lxvd2x 1, 7, 4\n",
            "lxvd2x 2, 8, 4\n",
            "lxvd2x 3, 9, 4\n",
            "addi 4, 4, 64\n",
            "stxvd2x 0, 0, 3\n",
            "stxvd2x 1, 7, 3\n",
            "stxvd2x 2, 8, 3\n",
            "stxvd2x 3, 9, 3\n",
            "addi 3, 3, 64\n",
            "bdnz 2b\n",
            "3:\n",
            "rldicl. 6, 5, 61, 61\n", //             words that are left
            "beq 5f\n",
            "mtctr 6\n",
            "4:\n",
            "ld 0, 0(4)\n",
            "addi 4, 4, 8\n",
            "std 0, 0(3)\n",
            "addi 3, 3, 8\n",
            "bdnz 4b\n",
            "5:\n",
            "andi. 6, 5, 7\n", //                    bytes
            "beq 7f\n",
            "mtctr 6\n",
            "6:\n",
            "lbz 0, 0(4)\n",
            "addi 4, 4, 1\n",
            "stb 0, 0(3)\n",
            "addi 3, 3, 1\n",
            "bdnz 6b\n",
            "7:\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "li 7, 1", this = sym $crate::sliced::swapcontext_sliced)
    };
    (maskless) => {
        swapcontext_sliced!(body "li 7, 0", this = sym $crate::sliced::rctx_swapcontext_sliced)
    };
    (body $masked:literal, $($this:tt)*) => {
        context_asm!(
            entry!(),
            swap_slowly!(
                "addi 6, 1, 48", //                  the near end: the caller's stack pointer
                $masked
            ) ;
            $($this)*,
            prepare = sym $crate::sliced::suspend,
            resume = sym $crate::context::resume,
        )
    };
}

macro_rules! getcontext_sliced {
    () => {
        context_asm!(
            entry!(),
            "mflr 0",
            "std 0, 16(1)",
            ".cfi_offset 65, 16",
            "mr 5, 1", //                            the near end: the caller's stack pointer
            "stdu 1, -48(1)",
            ".cfi_adjust_cfa_offset 48",
            "std 3, 32(1)",
            "bl {capture}",
            "nop",
            "mr. 11, 3",
            "ld 3, 32(1)",
            "addi 1, 1, 48",
            ".cfi_adjust_cfa_offset -48",
            "ld 0, 16(1)",
            "mtlr 0",
            ".cfi_same_value 65",
            "beq 9f",
            "std 11, {FLAGS}(3)",
            save!(),
            "li 3, 0",
            "blr",
            "9: li 3, -1",
            "blr" ;
            this = sym $crate::sliced::rctx_getcontext_sliced,
            capture = sym $crate::sliced::capture,
        )
    };
}

macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            entry!(),
            push_registers!(),
            "mr 14, 3", //                           from
            "addi 6, 1, 32", //                      the near end: the registers are part of the slice
            "bl {swap}",
            "nop",
            "cmpdi 3, 0",
            "beq 8f",
            "mr 15, 3", //                           the target
            "cmpdi 14, 0",
            "beq 9f",
            "ld 3, 0(14)", //                        the block of *from
            "ld 5, {LEN}(3)",
            "addi 3, 3, {BYTES}",
            "addi 4, 1, 32",
            copy_bytes!(),
            "9:",
            ".cfi_remember_state",
            ".cfi_undefined 65",
            "ld 3, {NEAR}(15)",
            "ld 5, {LEN}(15)",
            "addi 4, 15, {BYTES}",
            "addi 10, 3, -32",
            "cmpld 1, 10",
            "ble 9f",
            "mr 1, 10", //                           never above a byte that is being written
            "9:",
            copy_bytes!(),
            "mr 1, 10",
            ".cfi_restore_state",
            chain_pushed!(),
            "li 3, 0",
            "b 9f",
            "8: li 3, -1",
            "9:",
            pop_registers!(),
            ".cfi_endproc",
            this = sym $crate::slice::rctx_slice_swap,
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
            entry!(),
            push_registers!(),
            "mr 14, 5", //                           func
            "mr 15, 6", //                           arg
            "mr 16, 2",
            "addi 6, 1, 32", //                      the near end
            "bl {start}",
            "nop",
            "cmpdi 3, 0",
            "beq 8f",
            ".cfi_remember_state",
            ".cfi_undefined 65",
            "mr 1, 3", //                            rises over frames that are saved, the base's header included
            "li 4, 0",
            "std 4, 0(1)", //                        ends the back chain
            "mr 3, 15",
            "mr 12, 14",
            "mtctr 12",
            "bctrl",
            "mr 2, 16",
            "bl {returned}", //                      does not return
            "trap",
            ".cfi_restore_state",
            "8: li 3, -1",
            pop_registers!(),
            ".cfi_endproc",
            this = sym $crate::slice::rctx_slice_start,
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
            inout("r3") target => _, inout("r4") source => _, inout("r5") len => _,
            out("r0") _, out("r6") _, out("r7") _, out("r8") _, out("r9") _, out("ctr") _, out("cr0") _,
            out("f0") _, out("f1") _, out("f2") _, out("f3") _,
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
        ".cfi_startproc",
        ".cfi_undefined 65",
        "mr 10, 3",
        "mr 3, 4",
        "mr 4, 5",
        "mr 5, 6",
        "cmpld 1, 3",
        "ble 9f",
        "mr 1, 3", //                                never above a byte that is being written
        "9:",
        copy_bytes!(),
        "mr 4, 10",
        load_context!() ;
    )
}
