//! riscv64, RISC-V ELF psABI 1.0 (<https://github.com/riscv-non-isa/riscv-elf-psabi-doc>), LP64D.
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | s0-s11, fs0-fs11 | yes | callee-saved, psABI "Register Convention"; fs0-fs11 at the ABI's 64 bits |
//! | sp, pc | yes | the stack pointer and program counter that the caller has after the return |
//! | ra | yes | a program that writes another pc into a context finds the return address here |
//! | fcsr | yes | rounding mode and flags: the floating-point environment belongs to the context |
//! | a0 | as 0 | what `getcontext` and `swapcontext` return when they are resumed |
//! | a1-a7 | loaded only | caller-saved; `makecontext` and programs write arguments here, and in a0 |
//! | t0-t6, ft0-ft11, fa0-fa7, vector registers | no | caller-saved |
//! | vl, vtype, vxrm, vxsat | no | not preserved across calls, psABI "Vector Register Convention" |
//! | gp | no | one value for the whole process |
//! | tp | in the slot of t6, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//!
//! The slot of tp itself is set to 0, because it tells a context that the kernel made (signal.rs).
//!
//! # Fields of `ucontext_t` in use
//!
//! ```text
//!   0  uc_flags (glibc: __uc_flags)  the word of src/context.rs
//!   8  uc_link                       read by makecontext
//!  16  uc_stack                      the stack of makecontext, the slice of a sliced context
//!  40  uc_sigmask                    the first 8 bytes of 128
//! 176  uc_mcontext.__gregs[32]       pc ra sp gp tp t0-t2 s0 s1 a0-a7 s2-s11 t3-t6; t6: the thread pointer
//!                                    at the save
//! 432  uc_mcontext.__fpregs.__d      ft0-ft7 fs0 fs1 fa0-fa7 fs2-fs11 ft8-ft11, fcsr at 688
//! ```
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 16
//!          | argument argc-1 |
//!          | ...             |
//!    sp -> | argument 8      |   16-byte aligned
//!          | 16 bytes        |   must be there: func keeps ra and s0 in them
//! ```
//! pc is the trampoline, which calls s1: func. s2 holds `uc_link`, s0 0 ends the chain of frame pointers.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: sp is the caller's.
//! `rctx_switch` and the compact handle keep the registers on the stack instead, 208 bytes:
//!
//! ```text
//!          | fs0-fs11 |  112
//!          | s0-s11   |   16
//!          | ra       |    8
//!    sp -> | fcsr     |    0   16-byte aligned
//! ```

use core::ffi::CStr;
use core::mem::{offset_of, size_of};

use libc::ucontext_t;

#[cfg(not(target_feature = "d"))]
compile_error!("rctx saves the registers of LP64D: build for a target with the D extension");

/// The registers that a function preserves, once: name, field of the context, number in the unwind table,
/// 8-byte slot of the suspended stack in the picture above, store and load.
macro_rules! callee_saved {
    ($each:ident) => {
        concat!(
            $each!("s0", "S0", "8", "2", "sd", "ld"),
            $each!("s1", "S1", "9", "3", "sd", "ld"),
            $each!("s2", "S2", "18", "4", "sd", "ld"),
            $each!("s3", "S3", "19", "5", "sd", "ld"),
            $each!("s4", "S4", "20", "6", "sd", "ld"),
            $each!("s5", "S5", "21", "7", "sd", "ld"),
            $each!("s6", "S6", "22", "8", "sd", "ld"),
            $each!("s7", "S7", "23", "9", "sd", "ld"),
            $each!("s8", "S8", "24", "10", "sd", "ld"),
            $each!("s9", "S9", "25", "11", "sd", "ld"),
            $each!("s10", "S10", "26", "12", "sd", "ld"),
            $each!("s11", "S11", "27", "13", "sd", "ld"),
            $each!("fs0", "FS0", "40", "14", "fsd", "fld"),
            $each!("fs1", "FS1", "41", "15", "fsd", "fld"),
            $each!("fs2", "FS2", "50", "16", "fsd", "fld"),
            $each!("fs3", "FS3", "51", "17", "fsd", "fld"),
            $each!("fs4", "FS4", "52", "18", "fsd", "fld"),
            $each!("fs5", "FS5", "53", "19", "fsd", "fld"),
            $each!("fs6", "FS6", "54", "20", "fsd", "fld"),
            $each!("fs7", "FS7", "55", "21", "fsd", "fld"),
            $each!("fs8", "FS8", "56", "22", "fsd", "fld"),
            $each!("fs9", "FS9", "57", "23", "fsd", "fld"),
            $each!("fs10", "FS10", "58", "24", "fsd", "fld"),
            $each!("fs11", "FS11", "59", "25", "fsd", "fld"),
        )
    };
}

/// Link-time optimisation assembles naked functions without the target's features: each function with
/// floating-point instructions asks for them, up to `.option pop`.
macro_rules! with_floating_point {
    () => {
        ".option push\n.option arch, +d"
    };
}

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
pub const NAME: &CStr = c"riscv64";
/// The psABI's alignment of the stack pointer.
pub const STACK_ALIGN: usize = 16;
/// A callee writes nothing above its caller's stack pointer but stack arguments, which it owns.
pub const CALLEE_AREA: usize = 0;

/// The slot of the integer register of this number; pc has that of x0.
const fn greg(number: usize) -> usize {
    offset_of!(ucontext_t, uc_mcontext.__gregs) + number * size_of::<u64>()
}

/// The slot of the floating-point register of this number.
const fn freg(number: usize) -> usize {
    offset_of!(ucontext_t, uc_mcontext.__fpregs) + number * size_of::<u64>()
}

const FLAGS_FIELD: &str = if cfg!(target_env = "musl") { "uc_flags" } else { "__uc_flags" };

layout! {
    FLAGS = FLAGS_FIELD: 0;
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
    PC = "uc_mcontext.__gregs[0]": greg(0);
    RA = "uc_mcontext.__gregs[1]": greg(1);
    SP = "uc_mcontext.__gregs[2]": greg(2);
    TP = "uc_mcontext.__gregs[4]": greg(4);
    S0 = "uc_mcontext.__gregs[8]": greg(8);
    S1 = "uc_mcontext.__gregs[9]": greg(9);
    A0 = "uc_mcontext.__gregs[10]": greg(10);
    A1 = "uc_mcontext.__gregs[11]": greg(11);
    A2 = "uc_mcontext.__gregs[12]": greg(12);
    A3 = "uc_mcontext.__gregs[13]": greg(13);
    A4 = "uc_mcontext.__gregs[14]": greg(14);
    A5 = "uc_mcontext.__gregs[15]": greg(15);
    A6 = "uc_mcontext.__gregs[16]": greg(16);
    A7 = "uc_mcontext.__gregs[17]": greg(17);
    S2 = "uc_mcontext.__gregs[18]": greg(18);
    S3 = "uc_mcontext.__gregs[19]": greg(19);
    S4 = "uc_mcontext.__gregs[20]": greg(20);
    S5 = "uc_mcontext.__gregs[21]": greg(21);
    S6 = "uc_mcontext.__gregs[22]": greg(22);
    S7 = "uc_mcontext.__gregs[23]": greg(23);
    S8 = "uc_mcontext.__gregs[24]": greg(24);
    S9 = "uc_mcontext.__gregs[25]": greg(25);
    S10 = "uc_mcontext.__gregs[26]": greg(26);
    S11 = "uc_mcontext.__gregs[27]": greg(27);
    OWNER = "uc_mcontext.__gregs[31]": greg(31);
    FS0 = "uc_mcontext.__fpregs.__d.__f[8]": freg(8);
    FS1 = "uc_mcontext.__fpregs.__d.__f[9]": freg(9);
    FS2 = "uc_mcontext.__fpregs.__d.__f[18]": freg(18);
    FS3 = "uc_mcontext.__fpregs.__d.__f[19]": freg(19);
    FS4 = "uc_mcontext.__fpregs.__d.__f[20]": freg(20);
    FS5 = "uc_mcontext.__fpregs.__d.__f[21]": freg(21);
    FS6 = "uc_mcontext.__fpregs.__d.__f[22]": freg(22);
    FS7 = "uc_mcontext.__fpregs.__d.__f[23]": freg(23);
    FS8 = "uc_mcontext.__fpregs.__d.__f[24]": freg(24);
    FS9 = "uc_mcontext.__fpregs.__d.__f[25]": freg(25);
    FS10 = "uc_mcontext.__fpregs.__d.__f[26]": freg(26);
    FS11 = "uc_mcontext.__fpregs.__d.__f[27]": freg(27);
    FCSR = "uc_mcontext.__fpregs.__d.__fcsr": freg(32);
}

const _: () = assert!(FCSR + size_of::<u32>() <= size_of::<ucontext_t>());

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[PC];
pub const STACK_POINTER: usize = SP;
/// The psABI's registers for integer arguments.
pub const ARGUMENT_REGISTERS: &[usize] = &[A0, A1, A2, A3, A4, A5, A6, A7];
/// Stack arguments begin at the stack pointer.
pub const ENTRY_AREA: usize = 0;
/// An assignment copies all of a context.
pub const LINKED: Option<Linked> = None;

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mv {}, tp", out(reg) pointer, options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// Nothing: what valgrind keeps of stacks is told on x86_64 only.
pub fn valgrind_request(_words: &[usize; 6]) -> usize {
    0
}
