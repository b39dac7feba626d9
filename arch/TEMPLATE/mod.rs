//! ISA, psABI and its version (address), data model.
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | ... | yes | callee-saved, psABI section |
//! | stack pointer, program counter | yes | those that the caller has after the return |
//! | floating-point control | yes | the environment belongs to the context |
//! | result | as 0 | what `getcontext` and `swapcontext` return when they are resumed |
//! | arguments | loaded only | caller-saved; `makecontext` and programs write arguments here |
//! | ... | no | caller-saved |
//! | thread pointer | stored, never loaded | it stays the thread's; it tells whose a context is |
//!
//! # Fields of `ucontext_t` in use
//!
//! Where glibc's, musl's and the kernel's differ.
//!
//! ```text
//!   0  uc_flags     the word of src/context.rs
//!   8  uc_link      read by makecontext
//!  16  uc_stack     the stack of makecontext, the slice of a sliced context
//! ...  uc_mcontext  registers; which slot holds the thread pointer at the save
//! ...  uc_sigmask   the first 8 bytes
//! ```
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down
//!          | argument argc-1 |
//!          | ...             |
//!    sp -> | argument ...    |
//! ```
//! Which registers hold func, `uc_link`, the trampoline's return address, and the 0 that ends the chain of frames.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: sp is the caller's. `rctx_switch` and
//! the compact handle keep the registers on the stack instead:
//!
//! ```text
//!          | return address |
//!          | ...            |
//!    sp -> | control words  |   0   16-byte aligned
//! ```

use core::ffi::CStr;
use core::mem::offset_of;

use libc::ucontext_t;

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
pub const NAME: &CStr = c"isa";
/// The psABI's alignment of the stack pointer at a call.
pub const STACK_ALIGN: usize = 16;
/// A callee writes nothing above its caller's stack pointer but stack arguments, which it owns.
pub const CALLEE_AREA: usize = 0;

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    PC = "uc_mcontext.pc": offset_of!(ucontext_t, uc_mcontext);
    SP = "uc_mcontext.sp": offset_of!(ucontext_t, uc_mcontext);
    OWNER = "uc_mcontext.fault_address": offset_of!(ucontext_t, uc_mcontext);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
}

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[PC];
pub const STACK_POINTER: usize = SP;
/// The psABI's registers for integer arguments.
pub const ARGUMENT_REGISTERS: &[usize] = &[];
/// Stack arguments begin at the stack pointer.
pub const ENTRY_AREA: usize = 0;
/// An assignment copies all of a context.
pub const LINKED: Option<Linked> = None;

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    unimplemented!()
}

/// Hands six words to valgrind, by the instructions that its header valgrind.h defines for this machine; they do
/// nothing elsewhere, and the answer is 0.
pub fn valgrind_request(_words: &[usize; 6]) -> usize {
    0
}
