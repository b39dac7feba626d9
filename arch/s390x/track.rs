//! What the tracking object needs of s390x.

use core::arch::{asm, naked_asm};

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
pub fn words() -> *mut [u64; 2] {
    let words;
    // SAFETY: initial-exec access to a thread-local variable.
    unsafe {
        asm!(
            "larl {0}, rctx_track_words@INDNTPOFF",
            "lg {0}, 0({0})",
            "ear {1}, %a0",
            "sllg {1}, {1}, 32",
            "ear {1}, %a1",
            "agr {0}, {1}",
            out(reg_addr) words, out(reg) _, options(nostack, readonly),
        );
    }
    words
}

/// Bytes from a thunk to the next.
pub const THUNK_SIZE: usize = 16;

/// The thunks, one after the other: each makes the shadow unknown, calls its handler with the kernel's arguments,
/// and makes the shadow unknown again. An unwinder passes through.
#[unsafe(naked)]
pub unsafe extern "C" fn thunks() {
    naked_asm!(
        ".cfi_startproc",
        ".set rctx_thunk, 0",
        ".rept {THUNKS}",
        ".p2align 4",
        "lghi %r1, rctx_thunk",
        "jg 2f",
        ".set rctx_thunk, rctx_thunk + 1",
        ".endr",
        "2:",
        "stmg %r14, %r15, 112(%r15)",
        ".cfi_offset %r14, -48",
        ".cfi_offset %r15, -40",
        "aghi %r15, -160",
        ".cfi_def_cfa_offset 320",
        "larl %r14, {HANDLERS}",
        "sllg %r1, %r1, 3",
        "lg %r1, 0(%r1,%r14)",
        "larl %r14, rctx_track_words@INDNTPOFF",
        "lg %r14, 0(%r14)",
        "ear %r0, %a0",
        "sllg %r0, %r0, 32",
        "ear %r0, %a1",
        "agr %r14, %r0",
        "mvghi 0(%r14), {UNKNOWN}",
        "basr %r14, %r1", //                          maybe in another thread from here on
        "larl %r1, rctx_track_words@INDNTPOFF",
        "lg %r1, 0(%r1)",
        "ear %r0, %a0",
        "sllg %r0, %r0, 32",
        "ear %r0, %a1",
        "agr %r1, %r0",
        "mvghi 0(%r1), {UNKNOWN}",
        "lmg %r14, %r15, 272(%r15)",
        ".cfi_same_value %r14",
        ".cfi_same_value %r15",
        ".cfi_def_cfa_offset 160",
        "br %r14",
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
            "svc {SYS_vfork}", //                     the kernel keeps all but r2
            "larl %r1, rctx_track_words@INDNTPOFF",
            "lg %r1, 0(%r1)",
            "ear %r0, %a0",
            "sllg %r0, %r0, 32",
            "ear %r0, %a1",
            "agr %r1, %r0",
            "mvghi 0(%r1), {UNKNOWN}",
            "ltr %r2, %r2", //                        the child may have changed the word of both
            "jl 2f",
            "br %r14",
            "2:",
            "lgfr %r2, %r2",
            "jg {failed}",
            ".cfi_endproc",
            SYS_vfork = const libc::SYS_vfork,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
