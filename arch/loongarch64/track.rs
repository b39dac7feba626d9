//! What the tracking object needs of loongarch64.

use core::arch::{asm, naked_asm};

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
pub fn words() -> *mut [u64; 2] {
    let words;
    // SAFETY: initial-exec access to a thread-local variable.
    unsafe {
        asm!(
            "la.tls.ie {0}, rctx_track_words",
            "add.d {0}, {0}, $tp",
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
        ".set rctx_thunk, 0",
        ".rept {THUNKS}",
        "addi.d $t0, $zero, rctx_thunk",
        "b 2f",
        ".set rctx_thunk, rctx_thunk + 1",
        ".endr",
        "2:",
        "addi.d $sp, $sp, -16",
        ".cfi_def_cfa_offset 16",
        "st.d $ra, $sp, 8",
        ".cfi_offset 1, -8",
        "la.local $t1, {HANDLERS}",
        "slli.d $t0, $t0, 3",
        "ldx.d $t0, $t0, $t1",
        "la.tls.ie $t1, rctx_track_words",
        "li.d $t2, {UNKNOWN}",
        "stx.d $t2, $t1, $tp",
        "jirl $ra, $t0, 0", //                       maybe in another thread from here on
        "la.tls.ie $t1, rctx_track_words",
        "li.d $t2, {UNKNOWN}",
        "stx.d $t2, $t1, $tp",
        "ld.d $ra, $sp, 8",
        ".cfi_same_value 1",
        "addi.d $sp, $sp, 16",
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
            "li.d $a0, {CLONE}",
            "li.d $a1, 0", //                         on this stack
            "li.d $a7, {SYS_clone}",
            "syscall 0", //                           the kernel keeps all but a0 and t0-t8
            "la.tls.ie $t1, rctx_track_words",
            "li.d $t2, {UNKNOWN}",
            "stx.d $t2, $t1, $tp",
            "bltz $a0, 2f", //                        the child may have changed the word of both
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
