//! What the tracking object needs of i686.

use core::arch::{asm, naked_asm};

use super::{HANDLERS, THUNKS, UNKNOWN};

/// The running thread's words.
pub fn words() -> *mut [u64; 2] {
    let words;
    // SAFETY: initial-exec access to a thread-local variable.
    unsafe {
        asm!(
            "call 3f", //                            processors know it from a call that returns
            "3: pop eax",
            "add eax, offset _GLOBAL_OFFSET_TABLE_ + 1", // the length of the pop
            "mov eax, [eax + rctx_track_words@GOTNTPOFF]",
            "add eax, gs:[0]",
            out("eax") words, options(readonly),
        );
    }
    words
}

/// Bytes from a thunk to the next.
pub const THUNK_SIZE: usize = 16;

/// The thunks, one after the other: each makes the shadow unknown, calls its handler with the kernel's arguments,
/// and makes the shadow unknown again. An unwinder passes through. The arguments are the three words of `SA_SIGINFO`,
/// which the kernel leaves in registers as well.
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
        "push ebx",
        ".cfi_adjust_cfa_offset 4",
        ".cfi_rel_offset ebx, 0",
        "call 3f",
        ".cfi_adjust_cfa_offset 4",
        "3: pop ebx",
        ".cfi_adjust_cfa_offset -4",
        "add ebx, offset _GLOBAL_OFFSET_TABLE_ + 1",
        "mov eax, [ebx + 4*eax + {HANDLERS}@GOTOFF]",
        "mov ebx, [ebx + rctx_track_words@GOTNTPOFF]",
        "mov dword ptr gs:[ebx], {UNKNOWN}", //        the word that tells it first
        "mov dword ptr gs:[ebx + 4], 0",
        "mov ebx, eax",
        "sub esp, 12", //                             aligned at the call
        ".cfi_adjust_cfa_offset 12",
        ".rept 3",
        "push dword ptr [esp + 28]",
        ".cfi_adjust_cfa_offset 4",
        ".endr",
        "mov eax, [esp]",
        "call ebx", //                                maybe in another thread from here on
        "call 3f",
        ".cfi_adjust_cfa_offset 4",
        "3: pop ebx",
        ".cfi_adjust_cfa_offset -4",
        "add ebx, offset _GLOBAL_OFFSET_TABLE_ + 1",
        "mov ebx, [ebx + rctx_track_words@GOTNTPOFF]",
        "mov dword ptr gs:[ebx], {UNKNOWN}", //        the word that tells it first
        "mov dword ptr gs:[ebx + 4], 0",
        "add esp, 24",
        ".cfi_adjust_cfa_offset -24",
        "pop ebx",
        ".cfi_adjust_cfa_offset -4",
        ".cfi_same_value ebx",
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
            "pop ecx", //                             the kernel keeps it
            ".cfi_adjust_cfa_offset -4",
            ".cfi_register eip, ecx",
            "mov eax, {SYS_vfork}",
            "int 0x80",
            "push ecx",
            ".cfi_adjust_cfa_offset 4",
            ".cfi_rel_offset eip, 0",
            "call 3f",
            ".cfi_adjust_cfa_offset 4",
            "3: pop edx",
            ".cfi_adjust_cfa_offset -4",
            "add edx, offset _GLOBAL_OFFSET_TABLE_ + 1",
            "mov edx, [edx + rctx_track_words@GOTNTPOFF]",
            "mov dword ptr gs:[edx], {UNKNOWN}", //        the word that tells it first
            "mov dword ptr gs:[edx + 4], 0",
            "test eax, eax", //                       the child may have changed the word of both
            "js 2f",
            "ret",
            "2:",
            "sub esp, 8",
            ".cfi_adjust_cfa_offset 8",
            "push eax",
            ".cfi_adjust_cfa_offset 4",
            "call {failed}",
            "add esp, 12",
            ".cfi_adjust_cfa_offset -12",
            "ret",
            ".cfi_endproc",
            SYS_vfork = const libc::SYS_vfork,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            failed = sym $crate::processes::vfork_failed,
        )
    };
}

pub(crate) use vfork;
