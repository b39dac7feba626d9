//! powerpc64 little-endian, OpenPOWER ELFv2 ABI 1.5
//! (<https://openpowerfoundation.org/specifications/64bitelfabi/>).
//!
//! # What is saved
//!
//! | registers | saved | why |
//! | --- | --- | --- |
//! | r1, r14-r31 | yes | callee-saved (nonvolatile), ABI 2.2.1.1 |
//! | LR | yes | where the caller goes on |
//! | CR2-CR4 | yes | callee-saved |
//! | f14-f31, v20-v31 | yes | callee-saved |
//! | FPSCR | yes | its rounding modes and enable bits are the environment of the caller |
//! | r3 | as 0 | what `getcontext` and `swapcontext` return when they are resumed; also the first argument |
//! | r4-r10 | loaded only | caller-saved; `makecontext` and programs write arguments here |
//! | r12 | as the program counter | a function finds its TOC from it at its global entry |
//! | r2 | no | our TOC: who called us from another module takes its own from its frame, and in our module all share it |
//! | r0, r11, CTR, XER, CR0, CR1, CR5-CR7, f0-f13, v0-v19, VSR halves beside f0-f31 | no | caller-saved |
//! | VSCR, VRSAVE | no | nobody changes NJ but functions that say so; VRSAVE is not used |
//! | r13 | stored, never loaded | the thread pointer stays the thread's; it tells whose a context is |
//!
//! # Fields of `ucontext_t` in use
//!
//! ```text
//!    0  uc_flags                    the word of src/context.rs
//!    8  uc_link                     read by makecontext
//!   16  uc_stack                    the stack of makecontext, the slice of a sliced context
//!   40  uc_sigmask                  the first 8 bytes
//!  168  uc_mcontext                 regs at 56: only the kernel fills it
//!  232  uc_mcontext.gp_regs[48]     r1, r3-r10, r14-r31; r13: the thread pointer at the save; 32 is NIP, 36 LR,
//!                                   38 CR; 33 is MSR, not ours
//!  616  uc_mcontext.fp_regs[33]     f14-f31; 32 is FPSCR
//!  880  uc_mcontext.v_regs          points to the vector area; a load of ours does not follow it
//!  896  uc_mcontext.vmx_reserve[1]  the vector area: v0 to v31, of which v20-v31 are in use
//! ```
//!
//! glibc aligns the vector area to 16 in memory, so that it moves when a context is copied to an address of
//! another alignment. Ours stays where it is in a context that is aligned to 16, and is accessed unaligned.
//!
//! # A fresh stack, made by `makecontext`
//!
//! ```text
//!        ss_sp + ss_size, aligned down to 16
//!          | argument argc-1     |
//!          | ...                 |
//!          | argument 8          |    96
//!          | parameter save area |    32   func may spill eight arguments here
//!          | TOC, LR, CR         |     8   func may write here
//!    r1 -> | back chain: 0       |     0   16-byte aligned
//! ```
//! LR leads to the trampoline, r14 holds `uc_link`, NIP is func.
//!
//! # A suspended stack
//!
//! A `ucontext_t` holds the registers, and nothing of ours is on the stack: r1 is the caller's. The header of
//! the caller's frame, 32 bytes above it, is written by whatever the caller calls: a slice therefore goes
//! [`CALLEE_AREA`] bytes further than its base's stack pointer. The parameter save area behind the header is
//! not part of it: most frames have none, and keep variables there. So stack arguments of what the base's
//! frame calls itself are shared, as on x86_64.
//! `rctx_switch` and the compact handle keep the registers on the stack instead, 496 bytes; while they call, a
//! frame header lies below. LR and CR are in the header of the caller's frame, where the ABI wants them:
//!
//! ```text
//!          | caller's header |  496   CR at 504, LR at 512
//!          | FPSCR           |  480
//!          | v20-v31         |  288
//!          | f14-f31         |  144
//!          | r14-r31         |    0   16-byte aligned: the sp that a hook sees
//!    r1 -> | header          |  -32
//! ```

#[cfg(not(target_endian = "little"))]
compile_error!("rctx knows powerpc64 with the little-endian ELFv2 ABI only: CONTRIBUTING.md");

use core::ffi::CStr;
use core::mem::{offset_of, size_of};

#[cfg(not(target_env = "musl"))]
use libc::{mcontext_t, ucontext_t};

use crate::arch::{KernelFrame, Linked, field, set_field};

#[macro_use]
mod context;
mod signal;
#[macro_use]
mod switch;
#[macro_use]
mod slice;
#[cfg(target_env = "musl")]
mod ucontext;

pub(crate) use context::*;
pub(crate) use signal::*;
pub(crate) use slice::*;
pub(crate) use switch::*;
#[cfg(target_env = "musl")]
pub use ucontext::{mcontext_t, ucontext_t};

/// As `uname -m` says it.
pub const NAME: &CStr = c"ppc64le";
/// The ABI's alignment of the stack pointer.
pub const STACK_ALIGN: usize = 16;
/// The header of the caller's frame (ABI 2.2.3.1): back chain, CR, LR and TOC.
pub const CALLEE_AREA: usize = 32;

const MCONTEXT: usize = offset_of!(ucontext_t, uc_mcontext);

const fn greg(index: usize) -> usize {
    MCONTEXT + offset_of!(mcontext_t, gp_regs) + index * size_of::<u64>()
}

const fn fpr(index: usize) -> usize {
    MCONTEXT + offset_of!(mcontext_t, fp_regs) + index * size_of::<f64>()
}

layout! {
    FLAGS = "uc_flags": offset_of!(ucontext_t, uc_flags);
    LINK = "uc_link": offset_of!(ucontext_t, uc_link);
    STACK = "uc_stack": offset_of!(ucontext_t, uc_stack);
    SIGMASK = "uc_sigmask": offset_of!(ucontext_t, uc_sigmask);
    REGS = "uc_mcontext.regs": MCONTEXT + offset_of!(mcontext_t, regs);
    R0 = "uc_mcontext.gp_regs[0]": greg(0);
    NIP = "uc_mcontext.gp_regs[32]": greg(32);
    MSR = "uc_mcontext.gp_regs[33]": greg(33);
    LR = "uc_mcontext.gp_regs[36]": greg(36);
    CR = "uc_mcontext.gp_regs[38]": greg(38);
    SOFTE = "uc_mcontext.gp_regs[39]": greg(39);
    F0 = "uc_mcontext.fp_regs[0]": fpr(0);
    FPSCR = "uc_mcontext.fp_regs[32]": fpr(32);
    V_REGS = "uc_mcontext.v_regs": MCONTEXT + offset_of!(mcontext_t, v_regs);
    V0 = "uc_mcontext.vmx_reserve[1]": MCONTEXT + offset_of!(mcontext_t, vmx_reserve) + size_of::<u64>();
}

const R1: usize = greg(1);
const R3: usize = greg(3);
const R13: usize = greg(13);
const R14: usize = greg(14);

/// v0 to v31, VSCR and VRSAVE, of 16 bytes each.
const VECTORS_SIZE: usize = 34 * 16;

const _: () = assert!(V0 % 16 == 0 && V0 + VECTORS_SIZE <= size_of::<ucontext_t>());

/// Where a context goes on.
pub const PROGRAM_COUNTER: &[usize] = &[NIP];
pub const STACK_POINTER: usize = R1;
pub const OWNER: usize = R13;
/// The ABI's registers for integer arguments.
pub const ARGUMENT_REGISTERS: &[usize] = &[R3, greg(4), greg(5), greg(6), greg(7), greg(8), greg(9), greg(10)];
/// Between the stack pointer and the stack arguments at a function's entry: the header, and the slots of the
/// registers in the parameter save area.
pub const ENTRY_AREA: usize = CALLEE_AREA + ARGUMENT_REGISTERS.len() * size_of::<usize>();
/// An assignment leaves the vector registers behind.
pub const LINKED: Option<Linked> =
    Some(Linked { link: V_REGS, area: V0, size: VECTORS_SIZE });

/// The running thread's thread pointer, which no other live thread has.
pub fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: only reads r13, the thread pointer (ABI 2.2.1.1).
    unsafe {
        core::arch::asm!("mr {}, 13", out(reg) pointer, options(nostack, preserves_flags, nomem));
    }
    pointer
}

/// Hands six words to valgrind, by the instructions that its header valgrind.h defines for this machine; they do
/// nothing elsewhere, and the answer is 0.
pub fn valgrind_request(words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: the rotations add up to nothing, and r1 is loaded with itself.
    unsafe {
        core::arch::asm!(
            "rotldi 0, 0, 3",
            "rotldi 0, 0, 13",
            "rotldi 0, 0, 61",
            "rotldi 0, 0, 51",
            "or 1, 1, 1",
            in("r4") words, inout("r3") 0usize => answer,
            options(nostack),
        );
    }
    answer
}
