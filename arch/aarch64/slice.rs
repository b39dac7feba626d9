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
//! below the target's frames; both are free. AAPCS64 on Linux has no red zone.

use core::arch::asm;

use libc::ucontext_t;

/// Copies x2 bytes from x1 to x0, without stack. Uses x0 to x3, v0 to v3. Slices are multiples of 16 bytes
/// on this machine unless a base was filled in by hand, so the last bytes are seldom counted out.
macro_rules! copy_bytes {
    () => {
        concat!(
            "subs x2, x2, #64\n",
            "b.lo 3f\n",
            "2:\n",
            "ldp q0, q1, [x1]\n",
            "ldp q2, q3, [x1, #32]\n",
            "add x1, x1, #64\n",
            "stp q0, q1, [x0]\n",
            "stp q2, q3, [x0, #32]\n",
            "add x0, x0, #64\n",
            "subs x2, x2, #64\n",
            "b.hs 2b\n",
            "3:\n", //                               64 less: the lower six bits say what is left
            "tbz x2, #5, 4f\n",
            "ldp q0, q1, [x1], #32\n",
            "stp q0, q1, [x0], #32\n",
            "4:\n",
            "tbz x2, #4, 5f\n",
            "ldr q0, [x1], #16\n",
            "str q0, [x0], #16\n",
            "5:\n",
            "ands x2, x2, #15\n",
            "b.eq 7f\n",
            "6:\n",
            "ldrb w3, [x1], #1\n",
            "strb w3, [x0], #1\n",
            "subs x2, x2, #1\n",
            "b.ne 6b\n",
            "7:\n",
        )
    };
}

/// Before bytes are put back from x0 on: sp is never above one that is being written. Uses x3 and x4.
macro_rules! lower_stack {
    () => {
        concat!(
            "mov x3, sp\n",
            "and x4, x0, #-16\n",
            "cmp x3, x4\n",
            "csel x3, x3, x4, lo\n",
            "mov sp, x3\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "mov w4, #1")
    };
    (maskless) => {
        swapcontext_sliced!(body "mov w4, #0")
    };
    (body $masked:literal) => {
        context_asm!(
            swap_slowly!(
                "add x3, sp, #32", //                the near end: the caller's stack pointer
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
            "stp x29, x30, [sp, #-32]!",
            ".cfi_def_cfa_offset 32",
            ".cfi_offset x29, -32",
            ".cfi_offset x30, -24",
            "mov x29, sp",
            "str x0, [sp, #16]",
            "add x2, sp, #32", //                    the near end: the caller's stack pointer
            "bl {capture}",
            "mov x1, x0",
            "ldr x0, [sp, #16]",
            "ldp x29, x30, [sp], #32",
            ".cfi_def_cfa_offset 0",
            ".cfi_same_value x29",
            ".cfi_same_value x30",
            "cbz x1, 9f",
            "str x1, [x0, #{FLAGS}]",
            save!(),
            "mov w0, #0",
            "ret",
            "9:",
            "mov w0, #-1",
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
            "mov x19, x0", //                        from
            "mov x3, sp", //                         the near end: the registers are part of the slice
            "bl {swap}",
            "cbz x0, 8f",
            "mov x5, x0", //                         the target
            "cbz x19, 1f",
            "ldr x0, [x19]", //                      the block of *from
            "ldr x2, [x0, #{LEN}]",
            "add x0, x0, #{BYTES}",
            "mov x1, sp",
            copy_bytes!(),
            "1:",
            ".cfi_remember_state",
            ".cfi_undefined x30",
            "ldr x6, [x5, #{NEAR}]",
            "ldr x2, [x5, #{LEN}]",
            "add x1, x5, #{BYTES}",
            "mov x0, x6",
            lower_stack!(),
            copy_bytes!(),
            "mov sp, x6",
            ".cfi_restore_state",
            "mov w0, #0",
            "b 9f",
            "8:",
            "mov w0, #-1",
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
            "mov x19, x2", //                        func
            "mov x20, x3", //                        arg
            "mov x3, sp", //                         the near end
            "bl {start}",
            "cbz x0, 8f",
            ".cfi_remember_state",
            ".cfi_undefined x30",
            "mov sp, x0", //                         rises over frames that are saved
            "mov x0, x20",
            "mov x29, #0",
            "blr x19",
            "bl {returned}", //                      does not return
            "brk #1",
            ".cfi_restore_state",
            "8:",
            "mov w0, #-1",
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
            inout("x0") target => _, inout("x1") source => _, inout("x2") len => _,
            out("x3") _, out("v0") _, out("v1") _, out("v2") _, out("v3") _,
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
        ".cfi_undefined x30",
        "mov x6, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        lower_stack!(),
        copy_bytes!(),
        "mov x1, x6",
        read_environment!(),
        load_context!() ;
    )
}
