//! What the tracking object needs of aarch64.

use core::arch::{asm, naked_asm};

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
pub fn words() -> *mut [u64; 2] {
    let words;
    // SAFETY: initial-exec access to a thread-local variable.
    unsafe {
        asm!(
            "adrp {0}, :gottprel:rctx_track_words",
            "ldr {0}, [{0}, :gottprel_lo12:rctx_track_words]",
            "mrs {1}, tpidr_el0",
            "add {0}, {0}, {1}",
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
        ".cfi_startproc",
        ".set rctx_thunk, 0",
        ".rept {THUNKS}",
        "mov x9, #rctx_thunk",
        "b 2f",
        ".set rctx_thunk, rctx_thunk + 1",
        ".endr",
        "2:",
        "stp x29, x30, [sp, #-16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset x29, -16",
        ".cfi_offset x30, -8",
        "mov x29, sp",
        "adrp x10, {HANDLERS}",
        "add x10, x10, :lo12:{HANDLERS}",
        "ldr x9, [x10, x9, lsl #3]",
        "adrp x10, :gottprel:rctx_track_words",
        "ldr x10, [x10, :gottprel_lo12:rctx_track_words]",
        "mrs x11, tpidr_el0",
        "mov x12, #{UNKNOWN}",
        "str x12, [x11, x10]",
        "blr x9", //                                 maybe in another thread from here on
        "adrp x10, :gottprel:rctx_track_words",
        "ldr x10, [x10, :gottprel_lo12:rctx_track_words]",
        "mrs x11, tpidr_el0",
        "mov x12, #{UNKNOWN}",
        "str x12, [x11, x10]",
        "ldp x29, x30, [sp], #16",
        ".cfi_def_cfa_offset 0",
        ".cfi_same_value x29",
        ".cfi_same_value x30",
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
            "mov x0, #{CLONE}",
            "mov x1, #0", //                          on this stack
            "mov x8, #{SYS_clone}",
            "svc #0", //                              the kernel keeps all but x0
            "adrp x10, :gottprel:rctx_track_words",
            "ldr x10, [x10, :gottprel_lo12:rctx_track_words]",
            "mrs x11, tpidr_el0",
            "mov x12, #{UNKNOWN}",
            "str x12, [x11, x10]",
            "cmp w0, #0", //                          the child may have changed the word of both
            "b.lt 2f",
            "ret",
            "2:",
            "b {failed}",
            ".cfi_endproc",
            CLONE = const libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            SYS_clone = const libc::SYS_clone,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
