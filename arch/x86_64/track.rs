//! What the tracking object needs of x86_64.

use core::arch::{asm, naked_asm};

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
pub fn words() -> *mut [u64; 2] {
    let words;
    // SAFETY: initial-exec access (ELF TLS, variant II): the first word at the fs base is its own address.
    unsafe {
        asm!(
            "mov {0}, fs:[0]",
            "add {0}, [rip + rctx_track_words@GOTTPOFF]",
            out(reg) words, options(nostack, readonly),
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
        "mov eax, rctx_thunk",
        "jmp 2f",
        ".set rctx_thunk, rctx_thunk + 1",
        ".endr",
        "2:",
        "lea rcx, [rip + {HANDLERS}]",
        "mov rax, [rcx + 8*rax]",
        "mov rcx, [rip + rctx_track_words@GOTTPOFF]",
        "mov qword ptr fs:[rcx], {UNKNOWN}",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call rax", //                               maybe in another thread from here on
        "mov rcx, [rip + rctx_track_words@GOTTPOFF]",
        "mov qword ptr fs:[rcx], {UNKNOWN}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        THUNKS = const THUNKS,
        HANDLERS = sym HANDLERS,
        UNKNOWN = const UNKNOWN,
    )
}

/// `vfork`, which returns twice on one stack: the return address is kept in a register.
macro_rules! vfork {
    ($name:ident) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "pop rdi", //                            the kernel keeps it
            ".cfi_adjust_cfa_offset -8",
            ".cfi_register rip, rdi",
            "mov eax, {SYS_vfork}",
            "syscall",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset rip, 0",
            "mov rcx, [rip + rctx_track_words@GOTTPOFF]",
            "mov qword ptr fs:[rcx], {UNKNOWN}", //  the child may have changed the word of both
            "test eax, eax",
            "js 2f",
            "ret",
            "2:",
            "mov edi, eax",
            "jmp {failed}",
            ".cfi_endproc",
            SYS_vfork = const libc::SYS_vfork,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
