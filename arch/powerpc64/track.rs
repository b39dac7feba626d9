//! What the tracking object needs of powerpc64.

use core::arch::naked_asm;

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
#[unsafe(naked)]
pub extern "C" fn words() -> *mut [u64; 2] {
    naked_asm!(
        ".cfi_startproc",
        "3: addis 2, 12, .TOC.-3b@ha",
        "addi 2, 2, .TOC.-3b@l",
        ".localentry {this}, .-{this}",
        "addis 3, 2, rctx_track_words@got@tprel@ha",
        "ld 3, rctx_track_words@got@tprel@l(3)",
        "add 3, 3, rctx_track_words@tls",
        "blr",
        ".cfi_endproc",
        this = sym words,
    )
}

/// Bytes from a thunk to the next.
pub const THUNK_SIZE: usize = 8;

/// The thunks, one after the other: each makes the shadow unknown, calls its handler with the kernel's arguments,
/// and makes the shadow unknown again. An unwinder passes through.
#[unsafe(naked)]
pub unsafe extern "C" fn thunks() {
    naked_asm!(
        ".cfi_startproc",
        "3:",
        ".set rctx_thunk, 0",
        ".rept {THUNKS}",
        "li 11, rctx_thunk",
        "b 2f",
        ".set rctx_thunk, rctx_thunk + 1",
        ".endr",
        "2:",
        "sldi 0, 11, 3", //                           r12 is the address of the thunk that was entered
        "subf 12, 0, 12",
        "addis 2, 12, .TOC.-3b@ha",
        "addi 2, 2, .TOC.-3b@l",
        "mflr 0",
        "std 0, 16(1)",
        ".cfi_offset 65, 16",
        "stdu 1, -32(1)",
        ".cfi_adjust_cfa_offset 32",
        "std 2, 24(1)",
        "addis 12, 2, {HANDLERS}@toc@ha",
        "addi 12, 12, {HANDLERS}@toc@l",
        "sldi 11, 11, 3",
        "ldx 12, 12, 11",
        "addis 11, 2, rctx_track_words@got@tprel@ha",
        "ld 11, rctx_track_words@got@tprel@l(11)",
        "add 11, 11, rctx_track_words@tls",
        "li 0, {UNKNOWN}",
        "std 0, 0(11)",
        "mtctr 12",
        "bctrl", //                                   maybe in another thread from here on
        "ld 2, 24(1)",
        "addis 11, 2, rctx_track_words@got@tprel@ha",
        "ld 11, rctx_track_words@got@tprel@l(11)",
        "add 11, 11, rctx_track_words@tls",
        "li 0, {UNKNOWN}",
        "std 0, 0(11)",
        "addi 1, 1, 32",
        ".cfi_adjust_cfa_offset -32",
        "ld 0, 16(1)",
        "mtlr 0",
        ".cfi_same_value 65",
        "blr",
        ".cfi_endproc",
        THUNKS = const THUNKS,
        HANDLERS = sym HANDLERS,
        UNKNOWN = const UNKNOWN,
    )
}

/// `vfork`, which returns twice on one stack.
macro_rules! vfork {
    ($name:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "3: addis 2, 12, .TOC.-3b@ha",
            "addi 2, 2, .TOC.-3b@l",
            ".localentry {this}, .-{this}",
            "li 0, {SYS_vfork}",
            "sc", //                                  the kernel keeps r2 and the link register
            "addis 11, 2, rctx_track_words@got@tprel@ha",
            "ld 11, rctx_track_words@got@tprel@l(11)",
            "add 11, 11, rctx_track_words@tls",
            "li 0, {UNKNOWN}",
            "std 0, 0(11)",
            "bso 2f", //                              the child may have changed the word of both
            "blr",
            "2: neg 3, 3",
            "b {failed}",
            ".cfi_endproc",
            this = sym $crate::processes::$name,
            SYS_vfork = const libc::SYS_vfork,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
