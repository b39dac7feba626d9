//! Saving and loading a `ucontext_t`, and the first frame of a fresh one.

use core::arch::{asm, naked_asm};

use libc::ucontext_t;

use super::*;
use crate::context;

/// Opens every function. At its entry the CFA is r15 + 160, which the assembler knows; that the caller's r15 is
/// CFA - 160 wherever r15 is, it does not: a DW_CFA_val_expression, since LLVM's unwinder aborts at a
/// DW_CFA_val_offset.
macro_rules! cfi_start {
    () => {
        ".cfi_startproc\n\
         .cfi_escape 0x16, 15, 3, 0x08, 160, 0x1c\n"
    };
}

/// `naked_asm!` with every offset of a context by name. The comment uses each name once, because an operand
/// that no line mentions is an error.
macro_rules! context_asm {
    ($($line:expr),* ; $($operand:tt)*) => {
        core::arch::naked_asm!(
            cfi_start!(),
            $($line,)*
            ".cfi_endproc",
            "# {FLAGS}{PSW_ADDR}{SAVED_PC}{R2}{R6}{R14}{R15}{OWNER}{FPC}{F8}{SIGMASK}",
            FLAGS = const $crate::arch::FLAGS,
            PSW_ADDR = const $crate::arch::PSW_ADDR,
            SAVED_PC = const $crate::arch::SAVED_PC,
            R2 = const $crate::arch::R2,
            R6 = const $crate::arch::R6,
            R14 = const $crate::arch::R14,
            R15 = const $crate::arch::R15,
            OWNER = const $crate::arch::OWNER,
            FPC = const $crate::arch::FPC,
            F8 = const $crate::arch::F8,
            SIGMASK = const $crate::arch::SIGMASK,
            $($operand)*
        )
    };
}

/// Saves the caller into the context at r2. r6 to r15 are as the caller had them at the call.
macro_rules! save {
    () => {
        concat!(
            "stmg %r6, %r15, {R6}(%r2)\n",
            "stg %r14, {PSW_ADDR}(%r2)\n", //        where the caller goes on
            "stg %r14, {SAVED_PC}(%r2)\n",
            "mvghi {R2}(%r2), 0\n", //               what a resume returns
            "stam %a0, %a1, {OWNER}(%r2)\n",
            "stfpc {FPC}(%r2)\n",
            "std %f8, {F8}(%r2)\n",
            "std %f9, {F8}+8(%r2)\n",
            "std %f10, {F8}+16(%r2)\n",
            "std %f11, {F8}+24(%r2)\n",
            "std %f12, {F8}+32(%r2)\n",
            "std %f13, {F8}+40(%r2)\n",
            "std %f14, {F8}+48(%r2)\n",
            "std %f15, {F8}+56(%r2)\n",
        )
    };
}

/// The rule that a register, by its DWARF number, is saved in the context at r3. DW_OP_breg3 is 0x73.
macro_rules! cfi_at {
    ($number:literal, $offset:literal) => {
        concat!(
            ".cfi_escape 0x10, ", $number, ", 3, 0x73, ((", $offset, ") & 0x7f) | 0x80, (",
            $offset, ") >> 7\n",
        )
    };
}

/// From here on the unwinder sees the context at r3, whatever the registers hold: the CFA belongs to its stack
/// pointer, and each callee-saved register is where the save put it. 0x23 adds the 160 bytes. A fresh context
/// is seen as one whose function returns: r14 leads to the trampoline.
macro_rules! cfi_in_context {
    () => {
        concat!(
            ".cfi_escape 0x0f, 7, 0x73, ({R15} & 0x7f) | 0x80, {R15} >> 7, 0x06, 0x23, 0xa0, 1\n",
            cfi_at!(6, "{R6}"),
            cfi_at!(7, "{R6}+8"),
            cfi_at!(8, "{R6}+16"),
            cfi_at!(9, "{R6}+24"),
            cfi_at!(10, "{R6}+32"),
            cfi_at!(11, "{R6}+40"),
            cfi_at!(12, "{R6}+48"),
            cfi_at!(13, "{R6}+56"),
            cfi_at!(14, "{R14}"),
            cfi_at!(24, "{F8}"),
            cfi_at!(28, "{F8}+8"),
            cfi_at!(25, "{F8}+16"),
            cfi_at!(29, "{F8}+24"),
            cfi_at!(26, "{F8}+32"),
            cfi_at!(30, "{F8}+40"),
            cfi_at!(27, "{F8}+48"),
            cfi_at!(31, "{F8}+56"),
        )
    };
}

/// Every register holds what the context at r3 held, as at the entry of a function.
macro_rules! cfi_loaded {
    () => {
        ".cfi_def_cfa %r15, 160\n\
         .cfi_same_value %r6\n\
         .cfi_same_value %r7\n\
         .cfi_same_value %r8\n\
         .cfi_same_value %r9\n\
         .cfi_same_value %r10\n\
         .cfi_same_value %r11\n\
         .cfi_same_value %r12\n\
         .cfi_same_value %r13\n\
         .cfi_same_value %r14\n\
         .cfi_same_value %f8\n\
         .cfi_same_value %f9\n\
         .cfi_same_value %f10\n\
         .cfi_same_value %f11\n\
         .cfi_same_value %f12\n\
         .cfi_same_value %f13\n\
         .cfi_same_value %f14\n\
         .cfi_same_value %f15\n"
    };
}

/// Loads the floating-point state of the context at r3.
macro_rules! load_floating_point {
    () => {
        concat!(
            "lfpc {FPC}(%r3)\n",
            "ld %f8, {F8}(%r3)\n",
            "ld %f9, {F8}+8(%r3)\n",
            "ld %f10, {F8}+16(%r3)\n",
            "ld %f11, {F8}+24(%r3)\n",
            "ld %f12, {F8}+32(%r3)\n",
            "ld %f13, {F8}+40(%r3)\n",
            "ld %f14, {F8}+48(%r3)\n",
            "ld %f15, {F8}+56(%r3)\n",
        )
    };
}

/// Resumes the context of ours at r3.
macro_rules! load_context {
    () => {
        concat!(
            cfi_in_context!(),
            load_floating_point!(),
            "lg %r1, {PSW_ADDR}(%r3)\n",
            "clg %r1, {SAVED_PC}(%r3)\n",
            "lmg %r2, %r15, {R2}(%r3)\n", //         keeps the condition code
            cfi_loaded!(),
            "bner %r1\n", //                         psw.addr was changed after the save, or is func
            "br %r14\n",
        )
    };
}

/// r2 is the word to save with, or 0 with errno set; the slots of r2 and r3 hold the contexts. Saves the caller
/// and resumes the other.
macro_rules! resume_prepared {
    () => {
        concat!(
            "ltgr %r1, %r2\n",
            "je 9f\n",
            "lmg %r2, %r3, 16(%r15)\n",
            "stg %r1, {FLAGS}(%r2)\n",
            save!(),
            "lgr %r2, %r3\n",
            "aghi %r15, -160\n",
            ".cfi_adjust_cfa_offset 160\n",
            ".cfi_offset %r14, -48\n",
            "brasl %r14, {resume}\n", //             does not return
            "j .+2\n", //                            a trap; keeps the return address in this function
            ".cfi_adjust_cfa_offset -160\n",
            ".cfi_same_value %r14\n",
            "9:\n",
            "lghi %r2, -1\n",
            "br %r14\n",
        )
    };
}

/// Where the fast path gives up: what it needs is kept in the slots of r2, r3 and r14 of the register save area
/// during a call of the policy's slow path, which returns the word.
macro_rules! swap_slowly {
    ($($arguments:literal),*) => {
        concat!(
            "stmg %r2, %r3, 16(%r15)\n",
            "stg %r14, 112(%r15)\n",
            ".cfi_offset %r14, -48\n",
            $($arguments, "\n",)*
            "aghi %r15, -160\n",
            ".cfi_adjust_cfa_offset 160\n",
            "brasl %r14, {prepare}\n",
            "aghi %r15, 160\n",
            ".cfi_adjust_cfa_offset -160\n",
            "lg %r14, 112(%r15)\n",
            ".cfi_same_value %r14\n",
            resume_prepared!(),
        )
    };
}

/// Loads the running thread's shadow of its mask into r1 and tells whether it is unknown: not zero. Uses r5.
macro_rules! load_shadow {
    () => {
        concat!(
            "larl %r1, {shadow}\n",
            "lg %r1, 0(%r1)\n",
            "ear %r5, %a0\n",
            "sllg %r5, %r5, 32\n",
            "ear %r5, %a1\n",
            "lg %r1, 0(%r1,%r5)\n",
            "tmll %r1, {UNKNOWN}\n",
        )
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            "ltgr %r2, %r2",
            "je 8f",
            "larl %r1, {policy}",
            "cli 0(%r1), {POSIX}",
            "jne 6f",
            "4:",
            "lgr %r0, %r2",
            "la %r4, {SIGMASK}(%r2)", //             the old mask goes here
            "lghi %r3, 0", //                        no new one
            "lghi %r2, 0",
            "lghi %r5, {SIGSET_SIZE}",
            "svc {SYS_rt_sigprocmask}", //           the kernel keeps all but r2
            "ltgr %r1, %r2",
            "lgr %r2, %r0",
            "jne 7f",
            "5:",
            save!(),
            "llilf %r1, {PLAIN_MASK}",
            "stg %r1, {FLAGS}(%r2)",
            "lghi %r2, 0",
            "br %r14",
            "6:",
            "cli 0(%r1), {NONE}",
            "jge {maskless}",
            load_shadow!(), //                       policy track
            "jnz 4b",
            "stg %r1, {SIGMASK}(%r2)",
            "j 5b",
            "7:",
            "lcgr %r2, %r1",
            "jg {fail}",
            "8:",
            "lghi %r2, {EFAULT}",
            "jg {fail}" ;
            policy = sym $crate::sigmask::POLICY,
            POSIX = const $crate::sigmask::Policy::Posix as u8,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            maskless = sym $crate::posix::rctx_getcontext,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
    (maskless) => {
        context_asm!(
            "ltgr %r2, %r2",
            "je 8f",
            save!(),
            "llilf %r1, {PLAIN}",
            "stg %r1, {FLAGS}(%r2)",
            "lghi %r2, 0",
            "br %r14",
            "8:",
            "lghi %r2, {EFAULT}",
            "jg {fail}" ;
            PLAIN = const $crate::context::PLAIN,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
}

macro_rules! setcontext {
    (masked) => {
        context_asm!(
            "ltgr %r2, %r2",
            "je 8f",
            "larl %r1, {policy}",
            "cli 0(%r1), {POSIX}",
            "jne 6f",
            "lg %r1, {FLAGS}(%r2)",
            "clgfi %r1, {PLAIN_MASK}",
            "jne 8f",
            "lgr %r0, %r2",
            "la %r3, {SIGMASK}(%r2)",
            "lghi %r4, 0", //                        the old mask is not wanted
            "lghi %r2, {SIG_SETMASK}",
            "lghi %r5, {SIGSET_SIZE}",
            "svc {SYS_rt_sigprocmask}",
            "ltgr %r2, %r2",
            "jne 7f",
            "lgr %r3, %r0",
            "5:",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6:",
            "cli 0(%r1), {NONE}",
            "jge {maskless}",
            "lg %r1, {FLAGS}(%r2)", //               policy track
            "clgfi %r1, {PLAIN_MASK}",
            "jne 8f",
            load_shadow!(),
            "jnz 8f",
            "clg %r1, {SIGMASK}(%r2)",
            "jne 8f",
            "lgr %r3, %r2",
            "j 5b",
            "7:",
            "lcgr %r2, %r2",
            "jg {fail}",
            "8:",
            "lghi %r3, 1",
            "jg {resume_or_fail}" ;
            policy = sym $crate::sigmask::POLICY,
            POSIX = const $crate::sigmask::Policy::Posix as u8,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            maskless = sym $crate::posix::rctx_setcontext,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            SIG_SETMASK = const libc::SIG_SETMASK,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            fail = sym $crate::context::fail,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
    (maskless) => {
        context_asm!(
            "ltgr %r2, %r2",
            "je 8f",
            "lg %r1, {FLAGS}(%r2)",
            "oill %r1, {MASK}",
            "clgfi %r1, {PLAIN_MASK}",
            "jne 8f",
            "lgr %r3, %r2",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8:",
            "lghi %r3, 0",
            "jg {resume_or_fail}" ;
            MASK = const $crate::context::MASK,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
}

macro_rules! swapcontext {
    (masked) => {
        context_asm!(
            "ltgr %r3, %r3",
            "je 8f",
            "larl %r1, {policy}",
            "cli 0(%r1), {POSIX}",
            "jne 6f",
            "ltgr %r2, %r2",
            "je 8f",
            "lg %r1, {FLAGS}(%r3)",
            "clgfi %r1, {PLAIN_MASK}",
            "jne 8f",
            "clgr %r2, %r3",
            "je 8f", //                              its own mask stays
            "lgr %r0, %r2",
            "lgr %r1, %r3",
            "la %r4, {SIGMASK}(%r2)", //             the old mask goes here
            "la %r3, {SIGMASK}(%r3)", //             the new one comes from here
            "lghi %r2, {SIG_SETMASK}",
            "lghi %r5, {SIGSET_SIZE}",
            "svc {SYS_rt_sigprocmask}", //           before the save: a failure leaves oucp as it was
            "ltgr %r4, %r2",
            "lgr %r2, %r0",
            "lgr %r3, %r1",
            "jne 7f",
            "5:",
            save!(),
            "llilf %r1, {PLAIN_MASK}",
            "stg %r1, {FLAGS}(%r2)",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6:",
            "cli 0(%r1), {NONE}",
            "jge {maskless}",
            "ltgr %r2, %r2", //                      policy track
            "je 8f",
            "lg %r1, {FLAGS}(%r3)",
            "clgfi %r1, {PLAIN_MASK}",
            "jne 8f",
            load_shadow!(),
            "jnz 8f",
            "clg %r1, {SIGMASK}(%r3)",
            "jne 8f",
            "stg %r1, {SIGMASK}(%r2)",
            "j 5b",
            "7:",
            "lcgr %r2, %r4",
            "jg {fail}",
            "8:",
            swap_slowly!("lghi %r4, 1") ;
            policy = sym $crate::sigmask::POLICY,
            POSIX = const $crate::sigmask::Policy::Posix as u8,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            maskless = sym $crate::posix::rctx_swapcontext,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            SIG_SETMASK = const libc::SIG_SETMASK,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            fail = sym $crate::context::fail,
            prepare = sym $crate::context::prepare_swap,
            resume = sym $crate::context::resume,
        )
    };
    (maskless) => {
        context_asm!(
            "ltgr %r3, %r3",
            "je 8f",
            "ltgr %r2, %r2",
            "je 8f",
            "lg %r1, {FLAGS}(%r3)",
            "oill %r1, {MASK}",
            "clgfi %r1, {PLAIN_MASK}",
            "jne 8f",
            save!(),
            "llilf %r1, {PLAIN}",
            "stg %r1, {FLAGS}(%r2)",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8:",
            swap_slowly!("lghi %r4, 0") ;
            MASK = const $crate::context::MASK,
            PLAIN = const $crate::context::PLAIN,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            prepare = sym $crate::context::prepare_swap,
            resume = sym $crate::context::resume,
        )
    };
}

/// `makecontext`: the variable arguments in r5 and r6 are laid out as an array in their slots of the register
/// save area; the rest are one already.
macro_rules! makecontext {
    () => {
        core::arch::naked_asm!(
            cfi_start!(),
            "stmg %r5, %r6, 40(%r15)",
            ".cfi_offset %r6, -112",
            "stg %r14, 112(%r15)",
            ".cfi_offset %r14, -48",
            "la %r5, 40(%r15)", //                   arguments that came in registers
            "la %r6, 160(%r15)", //                  and on the stack
            "aghi %r15, -160",
            ".cfi_adjust_cfa_offset 160",
            "brasl %r14, {make}",
            "aghi %r15, 160",
            ".cfi_adjust_cfa_offset -160",
            "lg %r6, 48(%r15)",
            ".cfi_same_value %r6",
            "lg %r14, 112(%r15)",
            ".cfi_same_value %r14",
            "br %r14",
            ".cfi_endproc",
            make = sym $crate::posix::make,
        )
    };
}

pub(crate) use {getcontext, makecontext, setcontext, swapcontext};

/// Resumes a context of ours without a slice.
///
/// # Safety
/// `ucp` was saved by us; what the running stack holds is not needed any more, or saved.
#[unsafe(naked)]
pub unsafe extern "C" fn load(ucp: *const ucontext_t) -> ! {
    context_asm!("lgr %r3, %r2", load_context!() ;)
}

/// Resumes a context that was filled in by hand or by another implementation: at r14, as glibc, unless only
/// psw.addr is set.
///
/// # Safety
/// As [`load`]; the floating-point control word is a valid one.
#[unsafe(naked)]
pub unsafe extern "C" fn load_foreign(ucp: *const ucontext_t) -> ! {
    context_asm!(
        "lgr %r3, %r2",
        cfi_in_context!(),
        load_floating_point!(),
        "lg %r1, {R14}(%r3)",
        "ltgr %r1, %r1",
        "jne 2f",
        "lg %r1, {PSW_ADDR}(%r3)",
        "2:",
        "lmg %r2, %r15, {R2}(%r3)",
        cfi_loaded!(),
        ".cfi_register %r14, %r1",
        "br %r1" ;
    )
}

/// The function that a context function returns into. Its caller is nobody: the unwinder stops here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        cfi_start!(),
        ".cfi_undefined %r14",
        "nopr", //                                   the unwinder looks up the return address less one
        "lgr %r2, %r7", //                           uc_link
        "brasl %r14, {finish}", //                   returns when the thread is to end
        "lghi %r2, 0",
        "brasl %r14, {pthread_exit}@PLT",
        "j .+2",
        ".cfi_endproc",
        finish = sym context::finish,
        pthread_exit = sym libc::pthread_exit,
    )
}

/// The return address of a context function: behind the trampoline's `nopr`.
fn trampoline_return() -> usize {
    const NOPR_SIZE: usize = 2;
    trampoline as *const () as usize + NOPR_SIZE
}

/// Makes `ucp`, which holds a captured context, start `func` at the stack pointer `sp`, whose bytes are at `frame`
/// for now, and resume `link` when it returns.
///
/// # Safety
/// `ucp` and the [`ENTRY_AREA`] at `frame` are writable.
pub unsafe fn set_entry(
    ucp: *mut ucontext_t,
    sp: usize,
    frame: *mut usize,
    func: usize,
    link: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        frame.write(0); //                         ends the back chain
        set_field(ucp, R15, sp);
        set_field(ucp, PSW_ADDR, func);
        set_field(ucp, SAVED_PC, 0);
        set_field(ucp, R14, trampoline_return());
        set_field(ucp, R7, link);
    }
}

/// Stores the running floating-point environment in `ucp`.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn capture_environment(ucp: *mut ucontext_t) {
    // SAFETY: both fields lie inside the context.
    unsafe {
        asm!(
            "stfpc {FPC}({0})",
            in(reg_addr) ucp, FPC = const FPC,
            options(nostack, preserves_flags),
        );
        set_field(ucp, OWNER, thread_pointer());
    }
}
