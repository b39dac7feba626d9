//! x86_64, System V psABI 1.0 (<https://gitlab.com/x86-psABIs/x86-64-ABI>), LP64.
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | rbx, rbp, r12-r15 | yes | callee-saved, psABI 3.2.1 |
//! | rsp, rip | yes | the stack pointer and program counter that the caller has after the return |
//! | MXCSR, x87 control word | yes | their control bits are callee-saved |
//! | rdi, rsi, rdx, rcx, r8, r9 | loaded only | caller-saved; `makecontext` and programs write arguments here |
//! | rax | as 0 | what `getcontext` and `swapcontext` return when they are resumed |
//! | r10, r11, vector registers, x87 stack, flags | no | caller-saved; the x87 stack is empty and DF clear at every call |
//! | fs base | stored, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//!
//! # Fields of `ucontext_t` in use
//!
//! ```text
//!   0  uc_flags                    the word of src/context.rs
//!   8  uc_link                     read by makecontext
//!  16  uc_stack                    the stack of makecontext, the slice of a sliced context
//!  40  uc_mcontext.gregs[23]       R8 R9 R10 R11 R12 R13 R14 R15 RDI RSI RBP RBX RDX RAX RCX RSP RIP ...
//!                                  CR2, which only the kernel fills: the thread pointer at the save
//! 224  uc_mcontext.fpregs          points to __fpregs_mem, as in glibc; a load of ours does not follow it
//! 296  uc_sigmask                  the first 8 bytes
//! 424  __fpregs_mem                x87 control word at 0, MXCSR at 24
//! 936  (glibc: __ssp, not touched; programs built before 2.28 end here)
//! ```
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 16
//!          | argument argc-1 |
//!          | ...             |
//!          | argument 6      |   16-byte aligned
//!   rsp -> | trampoline + 1  |   as if the trampoline had called func
//! ```
//! rbx holds `uc_link`, rbp 0 ends the chain of frame pointers, rip is func.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: rsp is what the caller has after
//! the return. `rctx_switch` and the compact handle keep the registers on the stack instead, 64 bytes:
//!
//! ```text
//!          | return address |   56
//!          | rbp            |   48
//!          | rbx            |   40
//!          | r12            |   32
//!          | r13            |   24
//!          | r14            |   16
//!          | r15            |    8
//!   rsp -> | MXCSR, x87 CW  |    0   16-byte aligned
//! ```

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
pub const NAME: &CStr = c"x86_64";
/// The psABI's alignment of the stack pointer at a call.
pub const STACK_ALIGN: usize = 16;
/// A callee writes nothing above its return address but stack arguments, which it owns.
pub const CALLEE_AREA: usize = 0;

const GREGS: usize = offset_of!(ucontext_t, uc_mcontext);

const fn greg(index: libc::c_int) -> usize {
    GREGS + index as usize * size_of::<u64>()
}

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    R8 = "uc_mcontext.gregs[REG_R8]": greg(libc::REG_R8);
    R9 = "uc_mcontext.gregs[REG_R9]": greg(libc::REG_R9);
    R12 = "uc_mcontext.gregs[REG_R12]": greg(libc::REG_R12);
    R13 = "uc_mcontext.gregs[REG_R13]": greg(libc::REG_R13);
    R14 = "uc_mcontext.gregs[REG_R14]": greg(libc::REG_R14);
    R15 = "uc_mcontext.gregs[REG_R15]": greg(libc::REG_R15);
    RDI = "uc_mcontext.gregs[REG_RDI]": greg(libc::REG_RDI);
    RSI = "uc_mcontext.gregs[REG_RSI]": greg(libc::REG_RSI);
    RBP = "uc_mcontext.gregs[REG_RBP]": greg(libc::REG_RBP);
    RBX = "uc_mcontext.gregs[REG_RBX]": greg(libc::REG_RBX);
    RDX = "uc_mcontext.gregs[REG_RDX]": greg(libc::REG_RDX);
    RCX = "uc_mcontext.gregs[REG_RCX]": greg(libc::REG_RCX);
    RSP = "uc_mcontext.gregs[REG_RSP]": greg(libc::REG_RSP);
    RIP = "uc_mcontext.gregs[REG_RIP]": greg(libc::REG_RIP);
    SEGMENTS = "uc_mcontext.gregs[REG_CSGSFS]": greg(libc::REG_CSGSFS);
    OWNER = "uc_mcontext.gregs[REG_CR2]": greg(libc::REG_CR2);
    FPREGS = "uc_mcontext.fpregs": greg(libc::REG_CR2 + 1);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
    X87_CONTROL = "__fpregs_mem": SIGMASK + size_of::<sigset_t>();
}

/// Where FXSAVE puts MXCSR (Intel SDM volume 1, 10.5.1); the x87 control word is at 0. musl has no names for them.
pub const MXCSR_IN_FPREGS: usize = 24;
pub const MXCSR: usize = X87_CONTROL + MXCSR_IN_FPREGS;
/// The size of FXSAVE's area, and of `__fpregs_mem`.
const FXSAVE_SIZE: usize = 512;

const _: () = assert!(FPREGS + size_of::<usize>() <= GREGS + size_of::<mcontext_t>());
const _: () = assert!(X87_CONTROL + FXSAVE_SIZE <= size_of::<ucontext_t>());

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[RIP];
pub const STACK_POINTER: usize = RSP;
/// The psABI's registers for integer arguments.
pub const ARGUMENT_REGISTERS: &[usize] = &[RDI, RSI, RDX, RCX, R8, R9];
/// Between the stack pointer and the stack arguments at a function's entry: the return address.
pub const ENTRY_AREA: usize = size_of::<usize>();
/// An assignment leaves the floating-point environment behind.
pub const LINKED: Option<Linked> =
    Some(Linked { link: FPREGS, area: X87_CONTROL, size: FXSAVE_SIZE });

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the first word at the fs base is its own address, on every Linux C library (ELF TLS, variant II).
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) pointer,
            options(nostack, preserves_flags, readonly));
    }
    pointer
}

/// Hands six words to valgrind, by the instructions that its header valgrind.h defines for this machine; they do
/// nothing elsewhere, and the answer is 0.
pub fn valgrind_request(words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: the rotations add up to nothing, and rbx is exchanged with itself.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words, inout("rdx") 0usize => answer,
            options(nostack),
        );
    }
    answer
}
