//! What the tracking object needs of arm.

use core::arch::{asm, naked_asm};

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
pub fn words() -> *mut [u64; 2] {
    let words;
    // SAFETY: initial-exec access to a thread-local variable.
    unsafe {
        asm!(
            "ldr {0}, 9f",
            "8: ldr {0}, [pc, {0}]",
            "mrc p15, 0, {1}, c13, c0, 3",
            "add {0}, {0}, {1}",
            "b 7f",
            "9: .word rctx_track_words(GOTTPOFF) + (. - 8b - 8)",
            "7:",
            out(reg) words, out(reg) _, options(nostack, readonly),
        );
    }
    words
}

/// Bytes from a thunk to the next.
pub const THUNK_SIZE: usize = 8;

/// The thunks, one after the other: each makes the shadow unknown, calls its handler with the kernel's arguments,
/// and makes the shadow unknown again. An unwinder passes through.
#[unsafe(naked)]
pub unsafe extern "C" fn thunks() {
    naked_asm!(
        ".fnstart",
        ".set rctx_thunk, 0",
        ".rept {THUNKS}",
        "movw r12, #rctx_thunk",
        "b 2f",
        ".set rctx_thunk, rctx_thunk + 1",
        ".endr",
        "2:",
        "push {{r3, lr}}",
        ".save {{lr}}",
        ".pad #4",
        "movw r3, #:lower16:({HANDLERS} - (2f + 8))",
        "movt r3, #:upper16:({HANDLERS} - (2f + 8))",
        "2:",
        "add r3, pc, r3",
        "ldr r12, [r3, r12, lsl #2]",
        "ldr r3, 9f",
        "8: ldr r3, [pc, r3]",
        "mrc p15, 0, lr, c13, c0, 3",
        "add r3, r3, lr",
        "mov lr, #{UNKNOWN}",
        "str lr, [r3]", //                           the word that tells it first
        "mov lr, #0",
        "str lr, [r3, #4]",
        "blx r12", //                                 maybe in another thread from here on
        "ldr r3, 7f",
        "6: ldr r3, [pc, r3]",
        "mrc p15, 0, lr, c13, c0, 3",
        "add r3, r3, lr",
        "mov lr, #{UNKNOWN}",
        "str lr, [r3]", //                           the word that tells it first
        "mov lr, #0",
        "str lr, [r3, #4]",
        "pop {{r3, pc}}",
        "9: .word rctx_track_words(GOTTPOFF) + (. - 8b - 8)",
        "7: .word rctx_track_words(GOTTPOFF) + (. - 6b - 8)",
        ".fnend",
        THUNKS = const THUNKS,
        HANDLERS = sym HANDLERS,
        UNKNOWN = const UNKNOWN,
    )
}

/// `vfork`, which returns twice on one stack; the kernel keeps r12.
macro_rules! vfork {
    ($name:ident) => {
        core::arch::naked_asm!(
            ".fnstart",
            "mov r12, r7",
            "mov r7, #{SYS_vfork}",
            "svc #0",
            "mov r7, r12",
            "ldr r3, 9f",
            "8: ldr r3, [pc, r3]",
            "mrc p15, 0, r2, c13, c0, 3",
            "add r3, r3, r2",
            "mov r2, #{UNKNOWN}",
            "str r2, [r3]", //                           the word that tells it first
            "mov r2, #0",
            "str r2, [r3, #4]",
            "cmp r0, #0", //                          the child may have changed the word of both
            "bxge lr",
            "b {failed}",
            "9: .word rctx_track_words(GOTTPOFF) + (. - 8b - 8)",
            ".fnend",
            SYS_vfork = const libc::SYS_vfork,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
