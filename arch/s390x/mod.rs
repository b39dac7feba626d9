//! s390x, ELF ABI s390x supplement 1.6.1 (<https://github.com/IBM/s390x-abi>).
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | r6-r13, r15 | yes | callee-saved, ABI 1.2.2.1; r15 is the stack pointer |
//! | r14 | yes | the return address, where the caller goes on |
//! | f8-f15 | yes | callee-saved, the left halves of v8-v15 |
//! | FPC | yes | its masks and rounding modes are callee-saved |
//! | r2 | as 0 | what `getcontext` and `swapcontext` return when they are resumed; also the first argument |
//! | r3-r5 | loaded only | caller-saved; `makecontext` and programs write arguments here |
//! | r0, r1, f0-f7, v0-v31 beyond f8-f15, condition code | no | caller-saved |
//! | a0, a1 | stored, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//! | a2-a15 | no | caller-saved |
//!
//! # Fields of `ucontext_t` in use
//!
//! ```text
//!   0  uc_flags                    the word of src/context.rs
//!   8  uc_link                     read by makecontext
//!  16  uc_stack                    the stack of makecontext, the slice of a sliced context
//!  40  uc_mcontext.psw.mask        not ours; the kernel fills it
//!  48  uc_mcontext.psw.addr        the program counter
//!  56  uc_mcontext.gregs[16]       r6-r15; r2-r5; r0, which is never loaded: psw.addr as it was saved
//! 184  uc_mcontext.aregs[16]       a0 and a1: the thread pointer at the save
//! 248  uc_mcontext.fpregs          FPC at 0, f8-f15 from 8 + 8 * 8 on
//! 384  uc_sigmask                  the first 8 bytes
//! ```
//!
//! glibc goes on at r14 and leaves psw.addr alone; the kernel and debuggers take psw.addr. A save writes both.
//! A load goes on at psw.addr where that was changed after the save, else at r14: whichever a program sets.
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 16
//!          | argument argc-1    |
//!          | ...                |
//!          | argument 5         |   160   16-byte aligned
//!          | register save area |     8   func may write here
//!   r15 -> | back chain: 0      |     0
//! ```
//! r14 leads to the trampoline, r7 holds `uc_link`, psw.addr is func.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: r15 is the caller's. The 160 bytes
//! above it are the register save area, which belongs to the caller's frame and is written by whatever the
//! caller calls: a slice therefore goes [`CALLEE_AREA`] bytes further than its base's stack pointer.
//! `rctx_switch` and the compact handle keep the registers on the stack instead, 160 bytes; while they call,
//! r15 is a register save area below:
//!
//! ```text
//!          | unused       |  148
//!          | FPC          |  144
//!          | f8-f15       |   80
//!          | r6-r15       |    0   16-byte aligned: the sp that a hook sees
//!          | save area    | -160
//!   r15 -> |              |
//! ```
//! The ABI asks for 8-byte alignment only, so the caller's r15 comes from the picture, not from arithmetic.

use core::ffi::CStr;
use core::mem::{offset_of, size_of};

use libc::{sigset_t, ucontext_t};

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
pub const NAME: &CStr = c"s390x";
/// The ABI asks for 8 at a call; the header promises 16.
pub const STACK_ALIGN: usize = 16;
/// The register save area in the caller's frame (ABI 1.2.2.2), which callees write.
pub const CALLEE_AREA: usize = 160;

const fn greg(index: usize) -> usize {
    offset_of!(ucontext_t, uc_mcontext.gregs) + index * size_of::<u64>()
}

const fn fpr(index: usize) -> usize {
    offset_of!(ucontext_t, uc_mcontext.fpregs.fprs) + index * size_of::<f64>()
}

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    PSW_MASK = "uc_mcontext.psw.mask": offset_of!(ucontext_t, uc_mcontext.psw.mask);
    PSW_ADDR = "uc_mcontext.psw.addr": offset_of!(ucontext_t, uc_mcontext.psw.addr);
    SAVED_PC = "uc_mcontext.gregs[0]": greg(0);
    R2 = "uc_mcontext.gregs[2]": greg(2);
    R6 = "uc_mcontext.gregs[6]": greg(6);
    R7 = "uc_mcontext.gregs[7]": greg(7);
    R14 = "uc_mcontext.gregs[14]": greg(14);
    R15 = "uc_mcontext.gregs[15]": greg(15);
    OWNER = "uc_mcontext.aregs": offset_of!(ucontext_t, uc_mcontext.aregs);
    FPC = "uc_mcontext.fpregs.fpc": offset_of!(ucontext_t, uc_mcontext.fpregs.fpc);
    F8 = "uc_mcontext.fpregs.fprs[8]": fpr(8);
    F15 = "uc_mcontext.fpregs.fprs[15]": fpr(15);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
}

const _: () = assert!(SIGMASK + size_of::<sigset_t>() <= size_of::<ucontext_t>());

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[PSW_ADDR, R14];
pub const STACK_POINTER: usize = R15;
/// The ABI's registers for integer arguments.
pub const ARGUMENT_REGISTERS: &[usize] = &[R2, greg(3), greg(4), greg(5), R6];
/// Between the stack pointer and the stack arguments at a function's entry: the register save area.
pub const ENTRY_AREA: usize = CALLEE_AREA;
/// An assignment copies all of a context.
pub const LINKED: Option<Linked> = None;

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: only reads a0 and a1, its upper and lower half (ABI 1.2.2.1).
    unsafe {
        core::arch::asm!(
            "ear {0}, %a0",
            "sllg {0}, {0}, 32",
            "ear {0}, %a1",
            out(reg) pointer,
            options(nostack, preserves_flags, nomem),
        );
    }
    pointer
}

/// Hands six words to valgrind, by the instructions that its header valgrind.h defines for this machine; they do
/// nothing elsewhere, and the answer is 0.
pub fn valgrind_request(words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: each register is loaded with itself.
    unsafe {
        core::arch::asm!(
            "lr %r15, %r15",
            "lr %r1, %r1",
            "lr %r2, %r2",
            "lr %r3, %r3",
            "lr %r2, %r2",
            in("r2") words, inout("r3") 0usize => answer,
            options(nostack),
        );
    }
    answer
}
