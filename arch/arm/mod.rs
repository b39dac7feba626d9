//! armv7 with hard float, AAPCS32 2024Q3 and EHABI32 (<https://github.com/ARM-software/abi-aa>), little-endian.
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | r4-r11 | yes | callee-saved, AAPCS32 6.1.1 (r9 is a variable register on Linux) |
//! | sp, lr, pc | yes | the stack pointer that the caller has, and the return address, which is where it goes on |
//! | d8-d15 | yes | callee-saved, AAPCS32 6.1.2.1 |
//! | FPSCR | yes | rounding and traps belong to the context; the flags go with them, as in glibc |
//! | r0 | as 0 | what `getcontext` and `swapcontext` return when they are resumed; `makecontext` writes an argument |
//! | r1-r3 | loaded only | caller-saved; `makecontext` and programs write arguments here |
//! | r12, d0-d7, d16-d31, flags | no | caller-saved |
//! | TPIDRURO | stored, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//!
//! # Fields of `ucontext_t` in use
//!
//! glibc's, musl's and the kernel's are the same, 744 bytes.
//!
//! ```text
//!   0  uc_flags                    the word of src/context.rs
//!   4  uc_link                     read by makecontext
//!   8  uc_stack                    the stack of makecontext, the slice of a sliced context
//!  32  uc_mcontext.arm_r0 ...      r0-r10, fp, ip, sp, lr, pc; bit 0 of pc says Thumb
//!  96  uc_mcontext.arm_cpsr        0, which the kernel never writes
//! 100  uc_mcontext.fault_address   which only the kernel fills: the thread pointer at the save
//! 104  uc_sigmask                  the first 8 bytes
//! 232  uc_regspace                 a VFP record (magic, size, d0-d31, FPSCR), then the word that ends the list
//! ```
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 8
//!          | argument argc-1 |
//!          | ...             |
//!    sp -> | argument 4      |   8-byte aligned
//! ```
//! lr is the trampoline's return address, as if it had called func; r4 holds `uc_link`, r11 0 ends the chain
//! of frame pointers, pc is func.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: sp is the caller's. `rctx_switch`
//! and the compact handle keep the registers on the stack instead, in 112 to 120 bytes:
//!
//! ```text
//!          | r4-r11, lr     |   36 bytes
//!          | d8-d15         |   64 bytes
//!          | (alignment)    |   4 or 12 bytes
//!          | address of d8  |    4
//!    sp -> | FPSCR          |    0   16-byte aligned
//! ```
//!
//! # Unwind tables
//!
//! EHABI's, which is what unwinders read on this machine: one description for a whole function, true at its
//! calls and not at every instruction. Parts with no caller to find are functions of their own to the tables.
//!
//! All code here is A32, and `bx` goes on in the state that the target was in.

use core::ffi::CStr;
use core::mem::{offset_of, size_of};

use libc::{mcontext_t, ucontext_t};

#[cfg(not(all(target_abi = "eabihf", target_endian = "little")))]
compile_error!("rctx knows arm's little-endian hard-float ABI: take a target whose name ends in eabihf");

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
pub const NAME: &CStr = c"armv7l";
/// AAPCS32's alignment of the stack pointer at a call.
pub const STACK_ALIGN: usize = 8;
/// A callee writes nothing at or above its caller's stack pointer but stack arguments, which it owns.
pub const CALLEE_AREA: usize = 0;

/// The record of the floating-point registers in `uc_regspace` (the kernel's struct vfp_sigframe).
#[repr(C, align(8))]
pub struct VfpRecord {
    magic: u32,
    size: u32,
    fpregs: [u64; 32],
    fpscr: u32,
    fpexc: u32,
    fpinst: u32,
    fpinst2: u32,
}

/// `magic` of the record (arch/arm/include/asm/ucontext.h).
pub const VFP_MAGIC: usize = 0x5646_5001;
pub const VFP_SIZE: usize = size_of::<VfpRecord>();

const MCONTEXT: usize = offset_of!(ucontext_t, uc_mcontext);

/// The offset of a general register.
pub const fn r(number: usize) -> usize {
    MCONTEXT + offset_of!(mcontext_t, arm_r0) + number * size_of::<u32>()
}

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    R0 = "uc_mcontext.arm_r0": r(0);
    R4 = "uc_mcontext.arm_r4": r(4);
    R11 = "uc_mcontext.arm_fp": r(11);
    SP = "uc_mcontext.arm_sp": r(13);
    LR = "uc_mcontext.arm_lr": r(14);
    PC = "uc_mcontext.arm_pc": r(15);
    CPSR = "uc_mcontext.arm_cpsr": MCONTEXT + offset_of!(mcontext_t, arm_cpsr);
    OWNER = "uc_mcontext.fault_address": MCONTEXT + offset_of!(mcontext_t, fault_address);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
    REGSPACE = "uc_regspace": offset_of!(ucontext_t, uc_regspace);
}

pub const D8: usize = REGSPACE + offset_of!(VfpRecord, fpregs) + 8 * size_of::<u64>();
pub const FPSCR: usize = REGSPACE + offset_of!(VfpRecord, fpscr);
/// The word that ends the list of records.
pub const LIST_END: usize = REGSPACE + VFP_SIZE;

const _: () = assert!(LIST_END + size_of::<u32>() <= size_of::<ucontext_t>());

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[PC];
pub const STACK_POINTER: usize = SP;
/// AAPCS32's registers for integer arguments.
pub const ARGUMENT_REGISTERS: &[usize] = &[r(0), r(1), r(2), r(3)];
/// Stack arguments begin at the stack pointer.
pub const ENTRY_AREA: usize = 0;
/// An assignment copies all of a context.
pub const LINKED: Option<Linked> = None;

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the register (TPIDRURO) is readable everywhere and has no side effect.
    unsafe {
        core::arch::asm!("mrc p15, 0, {}, c13, c0, 3", out(reg) pointer,
            options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// Hands six words to valgrind, by the instructions that its header valgrind.h defines for this machine; they do
/// nothing elsewhere, and the answer is 0.
pub fn valgrind_request(words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: the rotations add up to nothing, and r10 is or-ed with itself.
    unsafe {
        core::arch::asm!(
            "mov r12, r12, ror #3",
            "mov r12, r12, ror #13",
            "mov r12, r12, ror #29",
            "mov r12, r12, ror #19",
            "orr r10, r10, r10",
            in("r4") words, inout("r3") 0usize => answer,
            options(nostack, preserves_flags),
        );
    }
    answer
}
