//! Saving and loading a `ucontext_t`, and the first frame of a fresh one.

use core::arch::{asm, naked_asm};

use super::*;
use crate::context;

/// `naked_asm!` with every offset of a context by name. The comment uses each name once, because an operand
/// that no line mentions is an error.
macro_rules! context_asm {
    ($($line:expr),* ; $($operand:tt)*) => {
        context_asm!(@names
            [FLAGS SIGMASK PC RA SP TP OWNER A0 A1 A2 A3 A4 A5 A6 A7 FCSR
             FP S0 S1 S2 S3 S4 S5 S6 S7 S8 FS0 FS1 FS2 FS3 FS4 FS5 FS6 FS7]
            [$($line),*] [$($operand)*])
    };
    (@names [$($name:ident)*] [$($line:expr),*] [$($operand:tt)*]) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $($line,)*
            ".cfi_endproc",
            concat!("#", $(" {", stringify!($name), "}"),*),
            $($name = const $crate::arch::$name,)*
            $($operand)*
        )
    };
}

macro_rules! store {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!($store, " ", $register, ", $a0, {", $field, "}\n")
    };
}

macro_rules! load {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!($load, " ", $register, ", $t0, {", $field, "}\n")
    };
}

/// DW_CFA_expression, DW_OP_breg12: at this offset from t0, in two bytes of LEB128.
macro_rules! cfi_stored {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(".cfi_escape 0x10, ", $dwarf, ", 3, 0x7c, ({", $field, "} & 0x7f) | 0x80, {", $field, "} >> 7\n")
    };
}

macro_rules! cfi_loaded {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(".cfi_same_value ", $dwarf, "\n")
    };
}

/// Saves the caller into the context at a0. Uses t1.
macro_rules! save {
    () => {
        concat!(
            callee_saved!(store),
            "st.d $ra, $a0, {PC}\n", //              where the caller goes on
            "st.d $ra, $a0, {RA}\n",
            "st.d $sp, $a0, {SP}\n",
            "st.d $zero, $a0, {TP}\n", //            not the kernel's
            "st.d $zero, $a0, {A0}\n", //            what a resume returns
            "st.d $tp, $a0, {OWNER}\n",
            "movfcsr2gr $t1, $fcsr0\n",
            "st.w $t1, $a0, {FCSR}\n",
        )
    };
}

/// Resumes the context of ours at t0.
///
/// First, the unwinder sees that context, whatever the registers hold: the CFA is its stack pointer, the
/// return address its ra, not its program counter: they differ where the context is about to enter a function,
/// which the column of ra cannot say; so a fresh context is seen to end at the trampoline before it starts. Once sp
/// has moved, a signal's frame may lie on the context, so the rules are those of registers, and nothing more is read.
macro_rules! load_context {
    () => {
        concat!(
            ".cfi_escape 0x0f, 4, 0x7c, ({SP} & 0x7f) | 0x80, {SP} >> 7, 0x06\n",
            ".cfi_escape 0x10, 1, 3, 0x7c, ({RA} & 0x7f) | 0x80, {RA} >> 7\n",
            callee_saved!(cfi_stored),
            "ld.w $t1, $t0, {FCSR}\n",
            "movgr2fcsr $fcsr0, $t1\n",
            callee_saved!(load),
            "ld.d $a0, $t0, {A0}\n",
            "ld.d $a1, $t0, {A1}\n",
            "ld.d $a2, $t0, {A2}\n",
            "ld.d $a3, $t0, {A3}\n",
            "ld.d $a4, $t0, {A4}\n",
            "ld.d $a5, $t0, {A5}\n",
            "ld.d $a6, $t0, {A6}\n",
            "ld.d $a7, $t0, {A7}\n",
            "ld.d $ra, $t0, {RA}\n",
            "ld.d $t1, $t0, {PC}\n",
            "ld.d $sp, $t0, {SP}\n",
            ".cfi_def_cfa 3, 0\n",
            ".cfi_same_value 1\n",
            callee_saved!(cfi_loaded),
            "jr $t1\n",
        )
    };
}

/// Where the fast path gives up: t0 is the word to save with, made by the policy's slow path, or 0 with
/// errno set. Then as the fast path.
macro_rules! swap_slowly {
    ($($arguments:literal),*) => {
        concat!(
            "addi.d $sp, $sp, -32\n",
            ".cfi_def_cfa_offset 32\n",
            "st.d $ra, $sp, 24\n",
            ".cfi_offset 1, -8\n",
            "st.d $a0, $sp, 0\n",
            "st.d $a1, $sp, 8\n",
            $($arguments, "\n",)*
            "bl {prepare}\n",
            "move $t0, $a0\n",
            "ld.d $a0, $sp, 0\n",
            "ld.d $a1, $sp, 8\n",
            "ld.d $ra, $sp, 24\n",
            ".cfi_same_value 1\n",
            "addi.d $sp, $sp, 32\n",
            ".cfi_def_cfa_offset 0\n",
            "beqz $t0, 9f\n",
            "st.d $t0, $a0, {FLAGS}\n",
            save!(),
            "addi.d $sp, $sp, -16\n",
            ".cfi_def_cfa_offset 16\n",
            "st.d $ra, $sp, 8\n",
            ".cfi_offset 1, -8\n",
            "move $a0, $a1\n",
            "bl {resume}\n", //                      does not return
            "break 0\n", //                          keeps the return address in this function
            ".cfi_def_cfa_offset 0\n",
            ".cfi_same_value 1\n",
            "9:\n",
            "li.d $a0, -1\n",
            "ret\n",
        )
    };
}

/// Loads the running thread's shadow of its mask into t1, and makes t2 not zero when it is unknown. Uses t0.
macro_rules! load_shadow {
    () => {
        concat!(
            "la.local $t0, {shadow}\n",
            "ld.d $t0, $t0, 0\n",
            "ldx.d $t1, $t0, $tp\n",
            "andi $t2, $t1, {UNKNOWN}\n",
        )
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            "beqz $a0, 8f",
            "la.local $t0, {policy}",
            "ld.bu $t0, $t0, 0",
            "li.d $t1, {POSIX}",
            "bne $t0, $t1, 6f",
            "4:",
            "move $a4, $a0",
            "addi.d $a2, $a0, {SIGMASK}", //         the old mask goes here
            "li.d $a1, 0", //                        no new one
            "li.d $a0, 0",
            "li.d $a3, {SIGSET_SIZE}",
            "li.d $a7, {SYS_rt_sigprocmask}",
            "syscall 0", //                          the kernel keeps all but a0 and t0-t8
            "bnez $a0, 7f",
            "move $a0, $a4",
            "5:",
            save!(),
            "li.d $t0, {PLAIN_MASK}",
            "st.d $t0, $a0, {FLAGS}",
            "li.d $a0, 0",
            "ret",
            "6:",
            "li.d $t1, {NONE}",
            "beq $t0, $t1, 3f",
            load_shadow!(), //                       policy track
            "bnez $t2, 4b",
            "st.d $t1, $a0, {SIGMASK}",
            "b 5b",
            "3:",
            "b {maskless}",
            "7:",
            "sub.d $a0, $zero, $a0",
            "b {fail}",
            "8:",
            "li.d $a0, {EFAULT}",
            "b {fail}" ;
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
            "beqz $a0, 8f",
            save!(),
            "li.d $t0, {PLAIN}",
            "st.d $t0, $a0, {FLAGS}",
            "li.d $a0, 0",
            "ret",
            "8:",
            "li.d $a0, {EFAULT}",
            "b {fail}" ;
            PLAIN = const $crate::context::PLAIN,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
}

macro_rules! setcontext {
    (masked) => {
        context_asm!(
            "beqz $a0, 8f",
            "la.local $t0, {policy}",
            "ld.bu $t0, $t0, 0",
            "li.d $t1, {POSIX}",
            "bne $t0, $t1, 6f",
            "ld.d $t0, $a0, {FLAGS}",
            "li.d $t1, {PLAIN_MASK}",
            "bne $t0, $t1, 8f",
            "move $a4, $a0",
            "addi.d $a1, $a0, {SIGMASK}",
            "li.d $a2, 0", //                        the old mask is not wanted
            "li.d $a0, {SIG_SETMASK}",
            "li.d $a3, {SIGSET_SIZE}",
            "li.d $a7, {SYS_rt_sigprocmask}",
            "syscall 0",
            "bnez $a0, 7f",
            "move $t0, $a4",
            "5:",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6:",
            "li.d $t1, {NONE}",
            "beq $t0, $t1, 3f",
            "ld.d $t0, $a0, {FLAGS}", //             policy track
            "li.d $t1, {PLAIN_MASK}",
            "bne $t0, $t1, 8f",
            load_shadow!(),
            "bnez $t2, 8f",
            "ld.d $t0, $a0, {SIGMASK}",
            "bne $t0, $t1, 8f",
            "move $t0, $a0",
            "b 5b",
            "3:",
            "b {maskless}",
            "7:",
            "sub.d $a0, $zero, $a0",
            "b {fail}",
            "8:",
            "li.d $a1, 1",
            "b {resume_or_fail}" ;
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
            "beqz $a0, 8f",
            "ld.d $t0, $a0, {FLAGS}",
            "ori $t0, $t0, {MASK}",
            "li.d $t1, {PLAIN_MASK}",
            "bne $t0, $t1, 8f",
            "move $t0, $a0",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8:",
            "li.d $a1, 0",
            "b {resume_or_fail}" ;
            MASK = const $crate::context::MASK,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
}

macro_rules! swapcontext {
    (masked) => {
        context_asm!(
            "beqz $a1, 8f",
            "la.local $t0, {policy}",
            "ld.bu $t0, $t0, 0",
            "li.d $t1, {POSIX}",
            "bne $t0, $t1, 6f",
            "beqz $a0, 8f",
            "ld.d $t0, $a1, {FLAGS}",
            "li.d $t1, {PLAIN_MASK}",
            "bne $t0, $t1, 8f",
            "beq $a0, $a1, 8f", //                   its own mask stays
            "move $a4, $a0",
            "move $a5, $a1",
            "addi.d $a2, $a0, {SIGMASK}", //         the old mask goes here
            "addi.d $a1, $a1, {SIGMASK}", //         the new one comes from here
            "li.d $a0, {SIG_SETMASK}",
            "li.d $a3, {SIGSET_SIZE}",
            "li.d $a7, {SYS_rt_sigprocmask}",
            "syscall 0", //                          before the save: a failure leaves oucp as it was
            "bnez $a0, 7f",
            "move $a0, $a4",
            "move $t0, $a5",
            "5:",
            save!(),
            "li.d $t1, {PLAIN_MASK}",
            "st.d $t1, $a0, {FLAGS}",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6:",
            "li.d $t1, {NONE}",
            "beq $t0, $t1, 3f",
            "beqz $a0, 8f", //                       policy track
            "ld.d $t0, $a1, {FLAGS}",
            "li.d $t1, {PLAIN_MASK}",
            "bne $t0, $t1, 8f",
            load_shadow!(),
            "bnez $t2, 8f",
            "ld.d $t0, $a1, {SIGMASK}",
            "bne $t0, $t1, 8f",
            "st.d $t1, $a0, {SIGMASK}",
            "move $t0, $a1",
            "b 5b",
            "3:",
            "b {maskless}",
            "7:",
            "sub.d $a0, $zero, $a0",
            "b {fail}",
            "8:",
            swap_slowly!("li.d $a2, 1") ;
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
            "beqz $a1, 8f",
            "beqz $a0, 8f",
            "ld.d $t0, $a1, {FLAGS}",
            "ori $t0, $t0, {MASK}",
            "li.d $t1, {PLAIN_MASK}",
            "bne $t0, $t1, 8f",
            "move $t0, $a1",
            save!(),
            "li.d $t1, {PLAIN}",
            "st.d $t1, $a0, {FLAGS}",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8:",
            swap_slowly!("li.d $a2, 0") ;
            MASK = const $crate::context::MASK,
            PLAIN = const $crate::context::PLAIN,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            prepare = sym $crate::context::prepare_swap,
            resume = sym $crate::context::resume,
        )
    };
}

/// `makecontext`: the five variable arguments in registers are laid out as an array; the rest are one already.
macro_rules! makecontext {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "addi.d $sp, $sp, -48",
            ".cfi_def_cfa_offset 48",
            "st.d $ra, $sp, 40",
            ".cfi_offset 1, -8",
            "st.d $a3, $sp, 0",
            "st.d $a4, $sp, 8",
            "st.d $a5, $sp, 16",
            "st.d $a6, $sp, 24",
            "st.d $a7, $sp, 32",
            "move $a3, $sp", //                      arguments that came in registers
            "addi.d $a4, $sp, 48", //                and on the stack
            "bl {make}",
            "ld.d $ra, $sp, 40",
            ".cfi_same_value 1",
            "addi.d $sp, $sp, 48",
            ".cfi_def_cfa_offset 0",
            "ret",
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
    context_asm!("move $t0, $a0", load_context!() ;)
}

/// Resumes a context that was filled in by hand or by another implementation: the floating-point environment
/// lies in the context itself, and 0 is the default one.
pub use self::load as load_foreign;

/// Where a fresh context starts and where its function returns into. Its caller is nobody: the unwinder stops
/// here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined 1",
        "nop", //                                    the unwinder looks up the start less one
        "jirl $ra, $s0, 0", //                       func
        "move $a0, $s1", //                          uc_link
        "bl {finish}", //                            returns when the thread is to end
        "li.d $a0, 0",
        "bl {pthread_exit}",
        "break 0",
        ".cfi_endproc",
        finish = sym context::finish,
        pthread_exit = sym libc::pthread_exit,
    )
}

/// The length of an instruction.
const INSTRUCTION: usize = 4;

/// Makes `ucp`, which holds a captured context, start `func` at the stack pointer `sp`, whose bytes are at `frame`
/// for now, and resume `link` when it returns.
///
/// # Safety
/// `ucp` and the [`ENTRY_AREA`] at `frame` are writable.
pub unsafe fn set_entry(
    ucp: *mut ucontext_t,
    sp: usize,
    _frame: *mut usize,
    func: usize,
    link: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let start = trampoline as *const () as usize + INSTRUCTION;
        set_field(ucp, PC, start);
        set_field(ucp, RA, start + INSTRUCTION); //  for a program that writes a pc of its own
        set_field(ucp, SP, sp);
        set_field(ucp, FP, 0);
        set_field(ucp, S0, func);
        set_field(ucp, S1, link);
    }
}

/// Stores the running floating-point environment in `ucp`.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn capture_environment(ucp: *mut ucontext_t) {
    // SAFETY: the fields lie inside the context.
    unsafe {
        asm!(
            "movfcsr2gr {value}, $fcsr0",
            "st.w {value}, {ucp}, {FCSR}",
            ucp = in(reg) ucp, value = out(reg) _, FCSR = const FCSR,
            options(nostack, preserves_flags),
        );
        set_field(ucp, TP, 0);
        set_field(ucp, OWNER, thread_pointer());
    }
}
