//! aarch64, AAPCS64 2024Q3 and SysVABI64 (<https://github.com/ARM-software/abi-aa>), LP64.
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | x19-x29 | yes | callee-saved, AAPCS64 6.1.1 |
//! | sp, x30, pc | yes | the stack pointer that the caller has, and the return address, which is where it goes on |
//! | d8-d15 | yes | callee-saved, AAPCS64 6.1.2; the upper halves of v8-v15 are not, but come along |
//! | FPCR, FPSR | yes | rounding and traps belong to the context; the flags go with them, as in glibc |
//! | x0 | as 0 | what `getcontext` and `swapcontext` return when they are resumed; `makecontext` writes an argument |
//! | x1-x7 | loaded only | caller-saved; `makecontext` and programs write arguments here |
//! | x8-x17, v0-v7, v16-v31, flags | no | caller-saved |
//! | x18 | no | the platform register: Linux gives it no meaning, so it is caller-saved |
//! | z, p, FFR, ZA | no | caller-saved at a call of a function without such arguments; ZA is off or dormant |
//! | TPIDR_EL0 | stored, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//!
//! # Fields of `ucontext_t` in use
//!
//! glibc's, musl's and the kernel's are the same, 4,560 bytes.
//!
//! ```text
//!   0  uc_flags                    the word of src/context.rs
//!   8  uc_link                     read by makecontext
//!  16  uc_stack                    the stack of makecontext, the slice of a sliced context
//!  40  uc_sigmask                  the first 8 bytes
//! 176  uc_mcontext.fault_address   which only the kernel fills: the thread pointer at the save
//! 184  uc_mcontext.regs[31]        x0-x30
//! 432  uc_mcontext.sp, pc, pstate  pstate is 0, as in glibc
//! 464  uc_mcontext.__reserved      an FPSIMD record (magic, size, FPSR, FPCR, v0-v31), then the empty
//!                                  record that ends the list
//! ```
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 16
//!          | argument argc-1 |
//!          | ...             |
//!    sp -> | argument 8      |   16-byte aligned
//! ```
//! x30 is the trampoline's return address, as if it had called func; x19 holds `uc_link`, x29 0 ends the chain of
//! frame pointers, pc is func.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: sp is the caller's. `rctx_switch`
//! and the compact handle keep the registers on the stack instead, 176 bytes:
//!
//! ```text
//!          | FPSR, FPCR     |  160
//!          | d14, d15       |  144
//!          | d12, d13       |  128
//!          | d10, d11       |  112
//!          | d8, d9         |   96
//!          | x27, x28       |   80
//!          | x25, x26       |   64
//!          | x23, x24       |   48
//!          | x21, x22       |   32
//!          | x19, x20       |   16
//!    sp -> | x29, x30       |    0   16-byte aligned
//! ```
//!
//! Every jump to an address that is not a function's is a `ret`, which branch target identification allows.

use core::ffi::CStr;
use core::mem::{offset_of, size_of};

use libc::{mcontext_t, ucontext_t};

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
pub const NAME: &CStr = c"aarch64";
/// AAPCS64's alignment of the stack pointer, which the hardware checks.
pub const STACK_ALIGN: usize = 16;
/// A callee writes nothing at or above its caller's stack pointer but stack arguments, which it owns.
pub const CALLEE_AREA: usize = 0;

/// The record of the floating-point registers in `__reserved` (the kernel's struct fpsimd_context).
#[repr(C)]
pub struct FpsimdRecord {
    magic: u32,
    size: u32,
    fpsr: u32,
    fpcr: u32,
    vregs: [u128; 32],
}

/// `magic` of the record (arch/arm64/include/uapi/asm/sigcontext.h).
const FPSIMD_MAGIC: u32 = 0x4650_8001;
/// Magic and size of the record, as one word.
pub const FPSIMD_HEAD: usize = FPSIMD_MAGIC as usize | size_of::<FpsimdRecord>() << 32;

const MCONTEXT: usize = offset_of!(ucontext_t, uc_mcontext);

/// The offset of a general register.
pub const fn x(number: usize) -> usize {
    MCONTEXT + offset_of!(mcontext_t, regs) + number * size_of::<u64>()
}

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
    OWNER = "uc_mcontext.fault_address": MCONTEXT + offset_of!(mcontext_t, fault_address);
    X0 = "uc_mcontext.regs[0]": x(0);
    X19 = "uc_mcontext.regs[19]": x(19);
    X30 = "uc_mcontext.regs[30]": x(30);
    SP = "uc_mcontext.sp": MCONTEXT + offset_of!(mcontext_t, sp);
    PC = "uc_mcontext.pc": MCONTEXT + offset_of!(mcontext_t, pc);
    PSTATE = "uc_mcontext.pstate": MCONTEXT + offset_of!(mcontext_t, pstate);
    RESERVED = "uc_mcontext.__reserved": (PSTATE + size_of::<u64>()).next_multiple_of(RECORD_ALIGN);
}

/// The alignment of `__reserved` and of each record in it.
const RECORD_ALIGN: usize = 16;

pub const FPSR: usize = RESERVED + offset_of!(FpsimdRecord, fpsr);
/// The offset of v8, which its lower half, d8, begins on a little-endian machine.
pub const V8: usize = RESERVED + offset_of!(FpsimdRecord, vregs) + 8 * size_of::<u128>();
/// The empty record.
pub const LIST_END: usize = RESERVED + size_of::<FpsimdRecord>();

const _: () = assert!(cfg!(target_endian = "little"));
const _: () = assert!(LIST_END + RECORD_ALIGN <= size_of::<ucontext_t>());

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[PC];
pub const STACK_POINTER: usize = SP;
/// AAPCS64's registers for integer arguments.
pub const ARGUMENT_REGISTERS: &[usize] = &[x(0), x(1), x(2), x(3), x(4), x(5), x(6), x(7)];
/// Stack arguments begin at the stack pointer.
pub const ENTRY_AREA: usize = 0;
/// An assignment copies all of a context.
pub const LINKED: Option<Linked> = None;

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the register is readable everywhere and has no side effect.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer,
            options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// Hands six words to valgrind, by the instructions that its header valgrind.h defines for this machine; they do
/// nothing elsewhere, and the answer is 0.
pub fn valgrind_request(words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: the rotations add up to nothing, and x10 is or-ed with itself.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") words, inout("x3") 0usize => answer,
            options(nostack, preserves_flags),
        );
    }
    answer
}
