//! i686, System V psABI i386 1.1 (<https://gitlab.com/x86-psABIs/i386-ABI>), with the SSE2 that Rust's i686 has.
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | ebx, esi, edi, ebp | yes | callee-saved, psABI 2.2.2 |
//! | esp, eip | yes | the stack pointer and program counter that the caller has after the return |
//! | MXCSR, x87 control word | yes | their control bits are callee-saved |
//! | eax | as 0 | what `getcontext` and `swapcontext` return when they are resumed |
//! | ecx, edx, vector registers, x87 stack, flags | no | caller-saved, and no argument comes in a register; the x87 stack is empty and DF clear at every call |
//! | gs base | stored, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//! | cs, ds, es, fs, ss | no | the same in every thread of a process |
//!
//! # Fields of `ucontext_t` in use
//!
//! ```text
//!   0  uc_flags                    the word of src/context.rs
//!   4  uc_link                     read by makecontext
//!   8  uc_stack                    the stack of makecontext, the slice of a sliced context
//!  20  uc_mcontext.gregs[19]       GS FS ES DS EDI ESI EBP ESP EBX EDX ECX EAX TRAPNO ERR EIP CS ...
//!  96  uc_mcontext.fpregs          points to __fpregs_mem, as in glibc; a load of ours does not follow it
//! 104  uc_mcontext.cr2             only the kernel fills it: the thread pointer at the save
//! 108  uc_sigmask                  the first 8 bytes
//! 236  __fpregs_mem                FNSTENV's image, of which the x87 control word, at 0; MXCSR at 108, in
//!                                  the status word of the kernel, which libc's image has and leaves alone
//! 348  (glibc: __ssp, not touched; programs built before 2.28 end here)
//! ```
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 16
//!          | argument argc-1 |
//!          | ...             |
//!          | argument 0      |   16-byte aligned
//!   esp -> | trampoline + 1  |   as if the trampoline had called func
//! ```
//! ebx holds `uc_link`, ebp 0 ends the chain of frame pointers, eip is func.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: esp is what the caller has after
//! the return. `rctx_switch` and the compact handle keep the registers on the stack instead, 32 bytes:
//!
//! ```text
//!          | return address |   28
//!          | ebp            |   24
//!          | ebx            |   20
//!          | esi            |   16
//!          | edi            |   12
//!          | (alignment)    |    8
//!          | x87 CW         |    4
//!   esp -> | MXCSR          |    0   16-byte aligned
//! ```
//!
//! # Arguments on the stack, and where a slice ends
//!
//! A base's esp is where `getcontext` found its own argument, so the arguments of whatever else the base's
//! frame calls lie at the same address and further up, and belong to the callee, which may change them. A slice
//! that ended at esp would leave them to all contexts together. [`CALLEE_AREA`] takes four of them in, one
//! 16-byte step of the stack: all that compilers push above that esp, and what those that keep one area for all
//! calls have there for functions of up to four words. The other side of it: variables of the base's own frame
//! that the compiler puts into these 16 bytes belong to each slice, too.
//!
//! # Position-independent code
//!
//! Nothing here assumes a GOT pointer in ebx. The library's own functions are called directly, unless others may
//! replace them; the policy's byte is found from the program counter; libc's functions are called by their
//! addresses, which Rust finds.

use core::ffi::CStr;
use core::mem::{offset_of, size_of};

use libc::{mcontext_t, sigset_t, ucontext_t};

use crate::arch::{KernelFrame, Linked, field, set_field};

#[macro_use]
mod context;
mod signal;
#[macro_use]
mod switch;
#[macro_use]
mod slice;

pub(crate) use context::*;
pub(crate) use signal::*;
pub(crate) use slice::*;
pub(crate) use switch::*;

/// As `uname -m` says it.
pub const NAME: &CStr = c"i686";
/// The psABI's alignment of the stack pointer at a call.
pub const STACK_ALIGN: usize = 16;
/// The arguments of the functions that the base's frame calls.
pub const CALLEE_AREA: usize = STACK_ALIGN;

const GREGS: usize = offset_of!(ucontext_t, uc_mcontext);
/// `REG_GS` to `REG_SS`: the libc crate has no names for musl's.
const GREG_COUNT: usize = 19;

const fn greg(index: usize) -> usize {
    GREGS + index * size_of::<usize>()
}

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    EDI = "uc_mcontext.gregs[REG_EDI]": greg(4);
    ESI = "uc_mcontext.gregs[REG_ESI]": greg(5);
    EBP = "uc_mcontext.gregs[REG_EBP]": greg(6);
    ESP = "uc_mcontext.gregs[REG_ESP]": greg(7);
    EBX = "uc_mcontext.gregs[REG_EBX]": greg(8);
    EIP = "uc_mcontext.gregs[REG_EIP]": greg(14);
    CS = "uc_mcontext.gregs[REG_CS]": greg(15);
    FPREGS = "uc_mcontext.fpregs": greg(GREG_COUNT);
    OWNER = "uc_mcontext.cr2": greg(GREG_COUNT + 2);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
    X87_CONTROL = "__fpregs_mem": SIGMASK + size_of::<sigset_t>();
}

/// The size of `__fpregs_mem`: FNSAVE's image (Intel SDM volume 1, 8.1.10), and a word of status.
const FPREGS_SIZE: usize = FSAVE_SIZE + size_of::<usize>();
const FSAVE_SIZE: usize = 108;
pub const MXCSR: usize = X87_CONTROL + FSAVE_SIZE;

const _: () = assert!(OWNER + size_of::<usize>() == GREGS + size_of::<mcontext_t>());
const _: () = assert!(X87_CONTROL + FPREGS_SIZE <= size_of::<ucontext_t>());

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[EIP];
pub const STACK_POINTER: usize = ESP;
/// Every argument is on the stack.
pub const ARGUMENT_REGISTERS: &[usize] = &[];
/// Between the stack pointer and the arguments at a function's entry: the return address.
pub const ENTRY_AREA: usize = size_of::<usize>();
/// An assignment leaves the floating-point environment behind.
pub const LINKED: Option<Linked> =
    Some(Linked { link: FPREGS, area: X87_CONTROL, size: FPREGS_SIZE });

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the first word at the gs base is its own address, on every Linux C library (ELF TLS, variant II).
    unsafe {
        core::arch::asm!("mov {}, gs:[0]", out(reg) pointer,
            options(nostack, preserves_flags, readonly));
    }
    pointer
}

/// Hands six words to valgrind, by the instructions that its header valgrind.h defines for this machine; they do
/// nothing elsewhere, and the answer is 0.
pub fn valgrind_request(words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: the rotations add up to nothing, and ebx is exchanged with itself.
    unsafe {
        core::arch::asm!(
            "rol edi, 3",
            "rol edi, 13",
            "rol edi, 29",
            "rol edi, 19",
            "xchg ebx, ebx",
            in("eax") words, inout("edx") 0usize => answer,
            options(nostack),
        );
    }
    answer
}
