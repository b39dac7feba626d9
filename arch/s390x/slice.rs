//! Moving stack bytes, and the bodies of the sliced family.
//!
//! # Why the copy back is safe
//!
//! Nothing may be called on the stack being replaced, and the kernel may push a signal's frame at the stack
//! pointer at any instruction. While the caller's bytes are still needed, r15 is at or below (nearer than)
//! the caller's near end. Before the first byte of the target is written, r15 moves to the lower of where it
//! is and the target's near end, and stays there until the last byte is in place:
//!
//! ```text
//!    far  +----------------+ base + 160: older frames, shared, never written
//!         | target's bytes |   <- written from low to high addresses
//!    near +----------------+ target's near end
//!         | dead           |   frames of the suspended caller, saved before
//!    r15  +----------------+   min(r15, near): a signal's frame lands below,
//!         |                |   on bytes that nobody needs
//! ```
//!
//! The loop has no call, no push and no memory of its own: its operands are in registers. It reads the heap
//! and writes between near and far, and neither holds the structures in use (checked before). Only then does
//! r15 rise to near. On another stack than the target's, the same rule leaves r15 where it is or moves it
//! below the target's frames; both are free.
//!
//! The kernel builds the handler's frame, register save area included, wholly below r15: nothing above it is
//! written until a function is called, and none is.

use core::arch::asm;

use libc::ucontext_t;

/// Copies r4 bytes from r3 to r2, without stack. Uses r2 to r5.
macro_rules! copy_bytes {
    () => {
        concat!(
            "aghi %r4, -1\n", //                     mvc counts one less
            "jl 5f\n",
            "srlg %r5, %r4, 8\n",
            "ltgr %r5, %r5\n",
            "je 3f\n",
            "2:\n",
            "mvc 0(256, %r2), 0(%r3)\n",
            "la %r2, 256(%r2)\n",
            "la %r3, 256(%r3)\n",
            "brctg %r5, 2b\n",
            "3:\n",
            "exrl %r4, 4f\n", //                     with the low 8 bits of r4 as its length
            "j 5f\n",
            "4:\n",
            "mvc 0(1, %r2), 0(%r3)\n",
            "5:\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "lghi %r6, 1")
    };
    (maskless) => {
        swapcontext_sliced!(body "lghi %r6, 0")
    };
    // r6, the fifth argument register, is callee-saved: kept in its slot until the save.
    (body $masked:literal) => {
        context_asm!(
            "stg %r6, 48(%r15)",
            ".cfi_offset %r6, -112",
            $masked,
            "stmg %r2, %r3, 16(%r15)",
            "stg %r14, 112(%r15)",
            ".cfi_offset %r14, -48",
            "lgr %r5, %r15", //                      the near end: the caller's stack pointer
            "aghi %r15, -160",
            ".cfi_adjust_cfa_offset 160",
            "brasl %r14, {prepare}",
            "aghi %r15, 160",
            ".cfi_adjust_cfa_offset -160",
            "lg %r6, 48(%r15)",
            ".cfi_same_value %r6",
            "lg %r14, 112(%r15)",
            ".cfi_same_value %r14",
            resume_prepared!() ;
            prepare = sym $crate::sliced::suspend,
            resume = sym $crate::context::resume,
        )
    };
}

macro_rules! getcontext_sliced {
    () => {
        context_asm!(
            "stg %r2, 16(%r15)",
            "stg %r14, 112(%r15)",
            ".cfi_offset %r14, -48",
            "lgr %r4, %r15", //                      the near end: the caller's stack pointer
            "aghi %r15, -160",
            ".cfi_adjust_cfa_offset 160",
            "brasl %r14, {capture}",
            "aghi %r15, 160",
            ".cfi_adjust_cfa_offset -160",
            "lg %r14, 112(%r15)",
            ".cfi_same_value %r14",
            "ltgr %r1, %r2",
            "je 9f",
            "lg %r2, 16(%r15)",
            "stg %r1, {FLAGS}(%r2)",
            save!(),
            "lghi %r2, 0",
            "br %r14",
            "9:",
            "lghi %r2, -1",
            "br %r14" ;
            capture = sym $crate::sliced::capture,
        )
    };
}

macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            cfi_start!(),
            push_registers!(),
            "lgr %r7, %r2", //                       from
            "la %r5, 160(%r15)", //                  the near end: the registers are part of the slice
            "brasl %r14, {swap}",
            "ltgr %r8, %r2", //                      the target
            "je 8f",
            "ltgr %r7, %r7",
            "je 7f",
            "lg %r1, 0(%r7)", //                     the block of *from
            "lg %r4, {LEN}(%r1)",
            "la %r2, {BYTES}(%r1)",
            "la %r3, 160(%r15)",
            copy_bytes!(),
            "7:",
            ".cfi_remember_state",
            ".cfi_undefined %r14",
            "lg %r2, {NEAR}(%r8)",
            "lg %r4, {LEN}(%r8)",
            "la %r3, {BYTES}(%r8)",
            "lay %r1, -160(%r2)",
            "clgr %r15, %r1",
            "jnh 6f",
            "lgr %r15, %r1", //                      never above a byte that is being written
            "6:",
            copy_bytes!(),
            "lgr %r15, %r1",
            ".cfi_restore_state",
            "lghi %r2, 0",
            "j 9f",
            "8:",
            "lghi %r2, -1",
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
            cfi_start!(),
            push_registers!(),
            "lgr %r7, %r4", //                       func
            "lgr %r8, %r5", //                       arg
            "la %r5, 160(%r15)", //                  the near end
            "brasl %r14, {start}",
            "ltgr %r2, %r2",
            "je 8f",
            ".cfi_remember_state",
            ".cfi_undefined %r14",
            "lgr %r15, %r2", //                      rises over frames that are saved, save area included
            "lgr %r2, %r8",
            "basr %r14, %r7",
            "brasl %r14, {returned}", //             does not return
            "j .+2",
            ".cfi_restore_state",
            "8:",
            "lghi %r2, -1",
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
            inout("r2") target => _, inout("r3") source => _, inout("r4") len => _, out("r5") _,
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
        ".cfi_undefined %r14",
        "lgr %r0, %r2",
        "lgr %r2, %r3",
        "lgr %r3, %r4",
        "lgr %r4, %r5",
        "clgr %r15, %r2",
        "jnh 6f",
        "lgr %r15, %r2", //                          never above a byte that is being written
        "6:",
        copy_bytes!(),
        "lgr %r3, %r0",
        load_context!() ;
    )
}
