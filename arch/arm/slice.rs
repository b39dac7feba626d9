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
//! below the target's frames; both are free. AAPCS32 has no red zone.

use core::arch::asm;

use libc::ucontext_t;

/// Copies r2 bytes from r1 to r0, without stack. Uses r0 to r3, d0 to d7, whose loads and stores want whole
/// words. Slices are multiples of 8 bytes at words unless a base was filled in by hand, so bytes are seldom
/// counted out.
macro_rules! copy_bytes {
    () => {
        concat!(
            "orr r3, r0, r1\n",
            "tst r3, #3\n",
            "bne 5f\n",
            "subs r2, r2, #64\n",
            "blo 3f\n",
            "2:\n",
            "vldmia r1!, {{d0-d7}}\n",
            "vstmia r0!, {{d0-d7}}\n",
            "subs r2, r2, #64\n",
            "bhs 2b\n",
            "3:\n",
            "adds r2, r2, #64 - 8\n", //             8 less than what is left
            "bmi 4f\n",
            "3:\n",
            "vldmia r1!, {{d0}}\n",
            "vstmia r0!, {{d0}}\n",
            "subs r2, r2, #8\n",
            "bpl 3b\n",
            "4:\n",
            "add r2, r2, #8\n",
            "5:\n",
            "subs r2, r2, #1\n",
            "ldrbhs r3, [r1], #1\n",
            "strbhs r3, [r0], #1\n",
            "bhs 5b\n",
        )
    };
}

/// Before bytes are put back from r0 on: sp is never above one that is being written. Uses r3 and r12.
macro_rules! lower_stack {
    () => {
        concat!(
            "mov r3, sp\n",
            "bic r12, r0, #7\n",
            "cmp r3, r12\n",
            "movhi r3, r12\n",
            "mov sp, r3\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "mov r12, #1")
    };
    (maskless) => {
        swapcontext_sliced!(body "mov r12, #0")
    };
    (body $masked:literal) => {
        context_asm!(
            describe_frame!(),
            swap_slowly!(
                "add r3, sp, #{FRAME_SIZE}", //      the near end: the caller's stack pointer
                $masked,
                "str r12, [sp]"
            ) ;
            prepare = sym $crate::sliced::suspend,
            resume = sym $crate::context::resume,
            FRAME_SIZE = const $crate::arch::FRAME_SIZE,
        )
    };
}

macro_rules! getcontext_sliced {
    () => {
        context_asm!(
            describe_frame!(),
            enter!(),
            "add r2, sp, #{FRAME_SIZE}", //          the near end: the caller's stack pointer
            "bl {capture}",
            "mov r3, r0",
            leave!(),
            "cmp r3, #0",
            "beq 9f",
            "str r3, [r0, #{FLAGS}]",
            save!(),
            "mov r0, #0",
            "bx lr",
            "9:",
            "mvn r0, #0",
            "bx lr" ;
            capture = sym $crate::sliced::capture,
            FRAME_SIZE = const $crate::arch::FRAME_SIZE,
        )
    };
}

/// The registers are pushed, and copied with the rest of the slice into the block that `slice::swap` prepared.
macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            ".fnstart",
            push_registers!(),
            "mov r5, r0", //                         from
            "mov r3, sp", //                         the near end: the registers are part of the slice
            "bl {swap}",
            "cmp r0, #0",
            "beq 8f",
            "mov r6, r0", //                         the target
            "cmp r5, #0",
            "beq 1f",
            "ldr r0, [r5]", //                       the block of *from
            "ldr r2, [r0, #{LEN}]",
            "add r0, r0, #{BYTES}",
            "mov r1, sp",
            copy_bytes!(),
            "1:",
            no_caller!(),
            "ldr r7, [r6, #{NEAR}]",
            "ldr r2, [r6, #{LEN}]",
            "add r1, r6, #{BYTES}",
            "mov r0, r7",
            lower_stack!(),
            copy_bytes!(),
            "mov sp, r7",
            "mov r0, #0",
            "b 9f",
            "8:",
            "mvn r0, #0",
            "9:",
            pop_registers!(),
            ".fnend",
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
            ".fnstart",
            push_registers!(),
            "mov r5, r2", //                         func
            "mov r6, r3", //                         arg
            "mov r3, sp", //                         the near end
            "bl {start}",
            no_caller!(),
            "cmp r0, #0",
            "beq 8f",
            "mov sp, r0", //                         rises over frames that are saved
            "mov r0, r6",
            "mov r11, #0",
            "blx r5",
            "bl {returned}", //                      does not return
            "udf #0",
            "8:",
            "mvn r0, #0",
            pop_registers!(),
            ".fnend",
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
            inout("r0") target => _, inout("r1") source => _, inout("r2") len => _,
            out("r3") _, out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            out("d4") _, out("d5") _, out("d6") _, out("d7") _,
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
        ".cantunwind",
        "mov r4, r0",
        "mov r0, r1",
        "mov r1, r2",
        "mov r2, r3",
        lower_stack!(),
        copy_bytes!(),
        "mov r1, r4",
        read_environment!(),
        load_context!() ;
    )
}
