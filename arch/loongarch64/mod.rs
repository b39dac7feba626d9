//! loongarch64, LoongArch ELF psABI 2.30 (<https://github.com/loongson/la-abi-specs>), LP64D.
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | fp, s0-s8, fs0-fs7 | yes | callee-saved, psABI "Registers"; fs0-fs7 (f24-f31) at the ABI's 64 bits |
//! | sp, pc | yes | the stack pointer and program counter that the caller has after the return |
//! | ra | yes | a program that writes another pc into a context finds the return address here |
//! | fcsr0 | yes | rounding mode, traps and flags: the floating-point environment belongs to the context |
//! | a0 | as 0 | what `getcontext` and `swapcontext` return when they are resumed |
//! | a1-a7 | loaded only | caller-saved; `makecontext` and programs write arguments here, and in a0 |
//! | t0-t8, f0-f23, fcc0-fcc7, the upper halves of vector registers | no | caller-saved |
//! | r21 | no | reserved: no code of user programs changes it |
//! | tp | in the slot of r21, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//!
//! The slot of tp itself is set to 0, because it tells a context that the kernel made (signal.rs).
//!
//! # Fields of `ucontext_t` in use
//!
//! `mcontext_t` has no room for floating-point registers: the kernel puts them behind it. fs0-fs7 and fcsr0 take
//! the slots of the caller-saved t0-t8, which are exactly nine.
//!
//! ```text
//!   0  uc_flags                the word of src/context.rs
//!   8  uc_link                 read by makecontext
//!  16  uc_stack                the stack of makecontext, the slice of a sliced context
//!  40  uc_sigmask              the first 8 bytes of 128
//! 176  uc_mcontext.__pc
//! 184  uc_mcontext.__gregs[32] zero ra tp sp a0-a7 t0-t8 r21 fp s0-s8; t0-t7: fs0-fs7, t8: fcsr0,
//!                              r21: the thread pointer at the save
//! 440  uc_mcontext.__flags     not touched
//! 448  end of the type; the kernel's goes on (signal.rs)
//! ```
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 16
//!          | argument argc-1 |
//!          | ...             |
//!    sp -> | argument 8      |   16-byte aligned
//!          | 16 bytes        |   must be there: func keeps ra and fp in them
//! ```
//! pc is the trampoline, which calls s0: func. s1 holds `uc_link`, fp 0 ends the chain of frame pointers.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: sp is the caller's.
//! `rctx_switch` and the compact handle keep the registers on the stack instead, 160 bytes:
//!
//! ```text
//!          | fs0-fs7 |   96
//!          | s0-s8   |   24
//!          | fp      |   16
//!          | ra      |    8
//!    sp -> | fcsr0   |    0   16-byte aligned
//! ```

use core::ffi::CStr;
use core::mem::{offset_of, size_of};

#[cfg(not(target_feature = "d"))]
compile_error!("rctx saves the registers of LP64D: build for a target with double precision");

/// The registers that a function preserves, once: name, field of the context, number in the unwind table,
/// 8-byte slot of the suspended stack in the picture above, store and load.
macro_rules! callee_saved {
    ($each:ident) => {
        concat!(
            $each!("$fp", "FP", "22", "2", "st.d", "ld.d"),
            $each!("$s0", "S0", "23", "3", "st.d", "ld.d"),
            $each!("$s1", "S1", "24", "4", "st.d", "ld.d"),
            $each!("$s2", "S2", "25", "5", "st.d", "ld.d"),
            $each!("$s3", "S3", "26", "6", "st.d", "ld.d"),
            $each!("$s4", "S4", "27", "7", "st.d", "ld.d"),
            $each!("$s5", "S5", "28", "8", "st.d", "ld.d"),
            $each!("$s6", "S6", "29", "9", "st.d", "ld.d"),
            $each!("$s7", "S7", "30", "10", "st.d", "ld.d"),
            $each!("$s8", "S8", "31", "11", "st.d", "ld.d"),
            $each!("$fs0", "FS0", "56", "12", "fst.d", "fld.d"),
            $each!("$fs1", "FS1", "57", "13", "fst.d", "fld.d"),
            $each!("$fs2", "FS2", "58", "14", "fst.d", "fld.d"),
            $each!("$fs3", "FS3", "59", "15", "fst.d", "fld.d"),
            $each!("$fs4", "FS4", "60", "16", "fst.d", "fld.d"),
            $each!("$fs5", "FS5", "61", "17", "fst.d", "fld.d"),
            $each!("$fs6", "FS6", "62", "18", "fst.d", "fld.d"),
            $each!("$fs7", "FS7", "63", "19", "fst.d", "fld.d"),
        )
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
mod ucontext;

pub(crate) use context::*;
pub(crate) use signal::*;
pub(crate) use slice::*;
pub(crate) use switch::*;
pub use ucontext::ucontext_t;

/// As `uname -m` says it.
pub const NAME: &CStr = c"loongarch64";
/// The psABI's alignment of the stack pointer.
pub const STACK_ALIGN: usize = 16;
/// A callee writes nothing above its caller's stack pointer but stack arguments, which it owns.
pub const CALLEE_AREA: usize = 0;

/// The slot of the general register of this number.
const fn greg(number: usize) -> usize {
    offset_of!(ucontext_t, uc_mcontext.__gregs) + number * size_of::<u64>()
}

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
    PC = "uc_mcontext.__pc": offset_of!(ucontext_t, uc_mcontext.__pc);
    RA = "uc_mcontext.__gregs[1]": greg(1);
    TP = "uc_mcontext.__gregs[2]": greg(2);
    SP = "uc_mcontext.__gregs[3]": greg(3);
    A0 = "uc_mcontext.__gregs[4]": greg(4);
    A1 = "uc_mcontext.__gregs[5]": greg(5);
    A2 = "uc_mcontext.__gregs[6]": greg(6);
    A3 = "uc_mcontext.__gregs[7]": greg(7);
    A4 = "uc_mcontext.__gregs[8]": greg(8);
    A5 = "uc_mcontext.__gregs[9]": greg(9);
    A6 = "uc_mcontext.__gregs[10]": greg(10);
    A7 = "uc_mcontext.__gregs[11]": greg(11);
    FS0 = "uc_mcontext.__gregs[12]": greg(12);
    FS1 = "uc_mcontext.__gregs[13]": greg(13);
    FS2 = "uc_mcontext.__gregs[14]": greg(14);
    FS3 = "uc_mcontext.__gregs[15]": greg(15);
    FS4 = "uc_mcontext.__gregs[16]": greg(16);
    FS5 = "uc_mcontext.__gregs[17]": greg(17);
    FS6 = "uc_mcontext.__gregs[18]": greg(18);
    FS7 = "uc_mcontext.__gregs[19]": greg(19);
    FCSR = "uc_mcontext.__gregs[20]": greg(20);
    OWNER = "uc_mcontext.__gregs[21]": greg(21);
    FP = "uc_mcontext.__gregs[22]": greg(22);
    S0 = "uc_mcontext.__gregs[23]": greg(23);
    S1 = "uc_mcontext.__gregs[24]": greg(24);
    S2 = "uc_mcontext.__gregs[25]": greg(25);
    S3 = "uc_mcontext.__gregs[26]": greg(26);
    S4 = "uc_mcontext.__gregs[27]": greg(27);
    S5 = "uc_mcontext.__gregs[28]": greg(28);
    S6 = "uc_mcontext.__gregs[29]": greg(29);
    S7 = "uc_mcontext.__gregs[30]": greg(30);
    S8 = "uc_mcontext.__gregs[31]": greg(31);
}

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
        core::arch::asm!("move {}, $tp", out(reg) pointer, options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// Nothing: what valgrind keeps of stacks is told on x86_64 only.
pub fn valgrind_request(_words: &[usize; 6]) -> usize {
    0
}
