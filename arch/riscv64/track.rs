//! What the tracking object needs of riscv64.

use core::arch::{asm, naked_asm};

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
pub fn words() -> *mut [u64; 2] {
    let words;
    // SAFETY: initial-exec access to a thread-local variable.
    unsafe {
        asm!(
            "la.tls.ie {0}, rctx_track_words",
            "add {0}, {0}, tp",
            out(reg) words, options(nostack, readonly),
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
        ".cfi_startproc",
        ".option push",
        ".option norvc",
        ".option norelax",
        ".set rctx_thunk, 0",
        ".rept {THUNKS}",
        "addi t0, zero, rctx_thunk",
        "j 2f",
        ".set rctx_thunk, rctx_thunk + 1",
        ".endr",
        ".option pop",
        "2:",
        "addi sp, sp, -16",
        ".cfi_def_cfa_offset 16",
        "sd ra, 8(sp)",
        ".cfi_offset ra, -8",
        "lla t1, {HANDLERS}",
        "slli t0, t0, 3",
        "add t0, t0, t1",
        "ld t0, 0(t0)",
        "la.tls.ie t1, rctx_track_words",
        "add t1, t1, tp",
        "li t2, {UNKNOWN}",
        "sd t2, 0(t1)",
        "jalr t0", //                                maybe in another thread from here on
        "la.tls.ie t1, rctx_track_words",
        "add t1, t1, tp",
        "li t2, {UNKNOWN}",
        "sd t2, 0(t1)",
        "ld ra, 8(sp)",
        ".cfi_same_value ra",
        "addi sp, sp, 16",
        ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
        THUNKS = const THUNKS,
        HANDLERS = sym HANDLERS,
        UNKNOWN = const UNKNOWN,
    )
}

/// `vfork`, which returns twice on one stack; the kernel has no other call for it than clone.
macro_rules! vfork {
    ($name:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "li a0, {CLONE}",
            "li a1, 0", //                            on this stack
            "li a7, {SYS_clone}",
            "ecall", //                               the kernel keeps all but a0
            "la.tls.ie t1, rctx_track_words",
            "add t1, t1, tp",
            "li t2, {UNKNOWN}",
            "sd t2, 0(t1)",
            "bltz a0, 2f", //                         the child may have changed the word of both
            "ret",
            "2:",
            "tail {failed}",
            ".cfi_endproc",
            CLONE = const libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            SYS_clone = const libc::SYS_clone,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
