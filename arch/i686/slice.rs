//! Moving stack bytes, and the bodies of the sliced family.
//!
//! # Why the copy back is safe
//!
//! Nothing may be called on the stack being replaced, and the kernel may push a signal's frame at the stack
//! pointer at any instruction. While the caller's bytes are still needed, esp is at or below (nearer than)
//! the caller's near end. Before the first byte of the target is written, esp moves to the lower of where it
//! is and the target's near end, and stays there until the last byte is in place:
//!
//! ```text
//!    far  +----------------+ base: older frames, shared, never written
//!         | target's bytes |   <- written from low to high addresses
//!    near +----------------+ target's near end
//!         | dead           |   frames of the suspended caller, saved before
//!    esp  +----------------+   min(esp, near): a signal's frame lands below,
//!         |                |   on bytes that nobody needs
//! ```
//!
//! The loop has no call, no push and no memory of its own: its operands are in registers. It reads the heap
//! and writes between near and far, and neither holds the structures in use (checked before). Only then does
//! esp rise to near. On another stack than the target's, the same rule leaves esp where it is or moves it
//! below the target's frames; both are free.

use core::arch::naked_asm;

use libc::ucontext_t;

/// From this many bytes on, one string instruction beats the loop.
pub const LONG: usize = 2048;

/// Copies ecx bytes from esi to edi, without stack. Uses eax, ecx, esi, edi, xmm0 to xmm3.
macro_rules! copy_bytes {
    () => {
        concat!(
            "cmp ecx, 16\n",
            "jb 6f\n",
            "cmp ecx, {LONG}\n",
            "jae 6f\n",
            "movups xmm0, [esi + ecx - 16]\n", //    the last 16 bytes may overlap the loop's
            "lea eax, [edi + ecx - 16]\n",
            "sub ecx, 48\n",
            "jbe 3f\n",
            "2:\n",
            "movups xmm1, [esi]\n",
            "movups xmm2, [esi + 16]\n",
            "movups xmm3, [esi + 32]\n",
            "movups [edi], xmm1\n",
            "movups [edi + 16], xmm2\n",
            "movups [edi + 32], xmm3\n",
            "add esi, 48\n",
            "add edi, 48\n",
            "sub ecx, 48\n",
            "ja 2b\n",
            "3:\n",
            "cmp ecx, -32\n", //                     48 less: up to 16 are left
            "jle 4f\n",
            "movups xmm1, [esi]\n",
            "movups [edi], xmm1\n",
            "cmp ecx, -16\n",
            "jle 4f\n",
            "movups xmm2, [esi + 16]\n",
            "movups [edi + 16], xmm2\n",
            "4:\n",
            "movups [eax], xmm0\n",
            "jmp 7f\n",
            "6:\n",
            "rep movsb\n",
            "7:\n",
        )
    };
}

/// Before bytes are put back from edi on: esp is never above one that is being written. Uses eax.
macro_rules! lower_stack {
    () => {
        concat!(
            "mov eax, edi\n",
            "and eax, -16\n",
            "cmp esp, eax\n",
            "cmova esp, eax\n",
        )
    };
}

macro_rules! swapcontext_sliced {
    (masked) => {
        swapcontext_sliced!(body "mov dword ptr [esp + 16], 1")
    };
    (maskless) => {
        swapcontext_sliced!(body "mov dword ptr [esp + 16], 0")
    };
    (body $masked:literal) => {
        context_asm!(
            prepare_swap!(
                "mov eax, [esp + 40]",
                "mov [esp + 8], eax",
                "lea eax, [esp + 32]", //            the near end: the caller's stack pointer
                "mov [esp + 12], eax",
                $masked
            ),
            // A slice, the usual case, is put back here.
            "mov eax, [edx + {FLAGS}]",
            "or eax, {MASK}",
            "cmp eax, {SLICED_MASK}",
            "jne 20f",
            ".cfi_undefined eip",
            "mov eax, [edx + {BLOCK}]",
            "add eax, {BLOCK_ALIGN} - 1",
            "and eax, -{BLOCK_ALIGN}",
            "mov edi, [eax + {NEAR}]",
            "mov ecx, [eax + {LEN}]",
            "lea esi, [eax + {BYTES}]",
            lower_stack!(),
            copy_bytes!(),
            load_context!(),
            cfi_of_caller!(),
            "20:",
            finish_swap!() ;
            prepare = sym $crate::sliced::suspend,
            resume = sym $crate::context::resume,
            MASK = const $crate::context::MASK,
            SLICED_MASK = const $crate::context::SLICED | $crate::context::MASK,
            BLOCK = const $crate::arch::STACK + core::mem::offset_of!(libc::stack_t, ss_sp),
            BLOCK_ALIGN = const $crate::slice::BLOCK_ALIGN,
            NEAR = const core::mem::offset_of!($crate::slice::ContextSlice, slice.near),
            LEN = const core::mem::offset_of!($crate::slice::ContextSlice, slice.len),
            BYTES = const size_of::<$crate::slice::ContextSlice>(),
            LONG = const $crate::arch::LONG,
        )
    };
}

macro_rules! getcontext_sliced {
    () => {
        context_asm!(
            "sub esp, 28",
            ".cfi_adjust_cfa_offset 28",
            "mov eax, [esp + 32]",
            "mov [esp], eax",
            "mov eax, [esp + 36]",
            "mov [esp + 4], eax",
            "lea eax, [esp + 32]", //                the near end: the caller's stack pointer
            "mov [esp + 8], eax",
            "call {capture}",
            "add esp, 28",
            ".cfi_adjust_cfa_offset -28",
            "test eax, eax",
            "jz 9f",
            "mov ecx, [esp + 4]",
            "mov [ecx + {FLAGS}], eax",
            save!(),
            "xor eax, eax",
            "ret",
            "9:",
            "mov eax, -1",
            "ret" ;
            capture = sym $crate::sliced::capture,
        )
    };
}

/// The body is on both sides of the call of `slice::swap`. The registers are pushed first, so that they and the
/// return address are part of the bytes that move.
macro_rules! slice_swap {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "mov edx, esp", //                       the near end
            "sub esp, 16",
            ".cfi_adjust_cfa_offset 16",
            "mov eax, [edx + 32]",
            "mov [esp], eax",
            "mov eax, [edx + 36]",
            "mov [esp + 4], eax",
            "mov eax, [edx + 40]",
            "mov [esp + 8], eax",
            "mov [esp + 12], edx",
            "call {swap}",
            "add esp, 16",
            ".cfi_adjust_cfa_offset -16",
            "test eax, eax",
            "jz 8f",
            "mov ebx, eax", //                       the target
            "mov edi, [esp + 32]",
            "test edi, edi",
            "jz 20f",
            "mov edi, [edi]", //                     the block of *from
            "mov ecx, [edi + {LEN}]",
            "add edi, {BYTES}",
            "mov esi, esp",
            copy_bytes!(),
            "20:",
            ".cfi_remember_state",
            ".cfi_undefined eip",
            "mov edx, [ebx + {NEAR}]",
            "mov ecx, [ebx + {LEN}]",
            "lea esi, [ebx + {BYTES}]",
            "mov edi, edx",
            lower_stack!(),
            copy_bytes!(),
            "mov esp, edx",
            ".cfi_restore_state",
            "xor eax, eax",
            "jmp 9f",
            "8:",
            "mov eax, -1",
            "9:",
            pop_registers!(),
            ".cfi_endproc",
            swap = sym $crate::slice::swap,
            NEAR = const core::mem::offset_of!($crate::slice::Slice, near),
            LEN = const core::mem::offset_of!($crate::slice::Slice, len),
            BYTES = const size_of::<$crate::slice::Slice>(),
            LONG = const $crate::arch::LONG,
        )
    };
}

macro_rules! slice_start {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            push_registers!(),
            "mov edx, esp", //                       the near end
            "mov ebx, [edx + 40]", //                func
            "mov esi, [edx + 44]", //                arg
            "sub esp, 16",
            ".cfi_adjust_cfa_offset 16",
            "mov eax, [edx + 32]",
            "mov [esp], eax",
            "mov eax, [edx + 36]",
            "mov [esp + 4], eax",
            "mov [esp + 8], ebx",
            "mov [esp + 12], edx",
            "call {start}",
            "add esp, 16",
            ".cfi_adjust_cfa_offset -16",
            "test eax, eax",
            "jz 8f",
            ".cfi_remember_state",
            ".cfi_undefined eip",
            "lea esp, [eax - 16]", //                rises over frames that are saved
            "mov [esp], esi",
            "xor ebp, ebp",
            "call ebx",
            "call {returned}", //                    does not return
            "ud2",
            ".cfi_restore_state",
            "8:",
            "mov eax, -1",
            pop_registers!(),
            ".cfi_endproc",
            start = sym $crate::slice::start,
            returned = sym $crate::slice::returned,
        )
    };
}

pub(crate) use {getcontext_sliced, slice_start, slice_swap, swapcontext_sliced};

/// Copies `len` bytes from `source` to `target`, which do not overlap. Not `memcpy`, which a sanitizer
/// replaces by one that objects to other people's frames. A function, because Rust keeps esi to itself.
///
/// # Safety
/// Both are `len` bytes long; `target` is writable.
#[unsafe(naked)]
pub unsafe extern "C" fn copy(target: *mut u8, source: *const u8, len: usize) {
    naked_asm!(
        ".cfi_startproc",
        "push esi",
        ".cfi_adjust_cfa_offset 4",
        ".cfi_rel_offset esi, 0",
        "push edi",
        ".cfi_adjust_cfa_offset 4",
        ".cfi_rel_offset edi, 0",
        "mov edi, [esp + 12]",
        "mov esi, [esp + 16]",
        "mov ecx, [esp + 20]",
        copy_bytes!(),
        "pop edi",
        ".cfi_adjust_cfa_offset -4",
        ".cfi_same_value edi",
        "pop esi",
        ".cfi_adjust_cfa_offset -4",
        ".cfi_same_value esi",
        "ret",
        ".cfi_endproc",
        LONG = const LONG,
    )
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
        ".cfi_undefined eip",
        "mov edx, [esp + 4]",
        "mov edi, [esp + 8]",
        "mov esi, [esp + 12]",
        "mov ecx, [esp + 16]",
        lower_stack!(),
        copy_bytes!(),
        load_context!() ;
        LONG = const LONG,
    )
}
