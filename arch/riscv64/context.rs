//! Saving and loading a `ucontext_t`, and the first frame of a fresh one.

use core::arch::{asm, naked_asm};

use libc::ucontext_t;

use super::*;
use crate::context;

/// `naked_asm!` with every offset of a context by name. The comment uses each name once, because an operand
/// that no line mentions is an error.
macro_rules! context_asm {
    ($($line:expr),* ; $($operand:tt)*) => {
        context_asm!(@names
            [FLAGS SIGMASK PC RA SP TP OWNER A0 A1 A2 A3 A4 A5 A6 A7 FCSR
             S0 S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11
             FS0 FS1 FS2 FS3 FS4 FS5 FS6 FS7 FS8 FS9 FS10 FS11]
            [$($line),*] [$($operand)*])
    };
    (@names [$($name:ident)*] [$($line:expr),*] [$($operand:tt)*]) => {
        core::arch::naked_asm!(
            with_floating_point!(),
            ".cfi_startproc",
            $($line,)*
            ".cfi_endproc",
            ".option pop",
            concat!("#", $(" {", stringify!($name), "}"),*),
            $($name = const $crate::arch::$name,)*
            $($operand)*
        )
    };
}

macro_rules! store {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!($store, " ", $register, ", {", $field, "}(a0)\n")
    };
}

macro_rules! load {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!($load, " ", $register, ", {", $field, "}(t0)\n")
    };
}

/// DW_CFA_expression, DW_OP_breg5: at this offset from t0, in two bytes of LEB128.
macro_rules! cfi_stored {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(".cfi_escape 0x10, ", $dwarf, ", 3, 0x75, ({", $field, "} & 0x7f) | 0x80, {", $field, "} >> 7\n")
    };
}

macro_rules! cfi_loaded {
    ($register:literal, $field:literal, $dwarf:literal, $slot:literal, $store:literal, $load:literal) => {
        concat!(".cfi_same_value ", $register, "\n")
    };
}

/// Saves the caller into the context at a0. Uses t1.
macro_rules! save {
    () => {
        concat!(
            callee_saved!(store),
            "sd ra, {PC}(a0)\n", //                  where the caller goes on
            "sd ra, {RA}(a0)\n",
            "sd sp, {SP}(a0)\n",
            "sd zero, {TP}(a0)\n", //                not the kernel's
            "sd zero, {A0}(a0)\n", //                what a resume returns
            "sd tp, {OWNER}(a0)\n",
            "frcsr t1\n",
            "sw t1, {FCSR}(a0)\n",
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
            ".cfi_escape 0x0f, 4, 0x75, ({SP} & 0x7f) | 0x80, {SP} >> 7, 0x06\n",
            ".cfi_escape 0x10, 1, 3, 0x75, ({RA} & 0x7f) | 0x80, {RA} >> 7\n",
            callee_saved!(cfi_stored),
            "lw t1, {FCSR}(t0)\n",
            "fscsr t1\n",
            callee_saved!(load),
            "ld a0, {A0}(t0)\n",
            "ld a1, {A1}(t0)\n",
            "ld a2, {A2}(t0)\n",
            "ld a3, {A3}(t0)\n",
            "ld a4, {A4}(t0)\n",
            "ld a5, {A5}(t0)\n",
            "ld a6, {A6}(t0)\n",
            "ld a7, {A7}(t0)\n",
            "ld ra, {RA}(t0)\n",
            "ld t1, {PC}(t0)\n",
            "ld sp, {SP}(t0)\n",
            ".cfi_def_cfa sp, 0\n",
            ".cfi_same_value ra\n",
            callee_saved!(cfi_loaded),
            "jr t1\n",
        )
    };
}

/// Where the fast path gives up: t0 is the word to save with, made by the policy's slow path, or 0 with
/// errno set. Then as the fast path.
macro_rules! swap_slowly {
    ($($arguments:literal),*) => {
        concat!(
            "addi sp, sp, -32\n",
            ".cfi_def_cfa_offset 32\n",
            "sd ra, 24(sp)\n",
            ".cfi_offset ra, -8\n",
            "sd a0, 0(sp)\n",
            "sd a1, 8(sp)\n",
            $($arguments, "\n",)*
            "call {prepare}\n",
            "mv t0, a0\n",
            "ld a0, 0(sp)\n",
            "ld a1, 8(sp)\n",
            "ld ra, 24(sp)\n",
            ".cfi_same_value ra\n",
            "addi sp, sp, 32\n",
            ".cfi_def_cfa_offset 0\n",
            "beqz t0, 9f\n",
            "sd t0, {FLAGS}(a0)\n",
            save!(),
            "addi sp, sp, -16\n",
            ".cfi_def_cfa_offset 16\n",
            "sd ra, 8(sp)\n",
            ".cfi_offset ra, -8\n",
            "mv a0, a1\n",
            "call {resume}\n", //                    does not return
            "unimp\n", //                            keeps the return address in this function
            ".cfi_def_cfa_offset 0\n",
            ".cfi_same_value ra\n",
            "9:\n",
            "li a0, -1\n",
            "ret\n",
        )
    };
}

/// Loads the running thread's shadow of its mask into t1, and makes t2 not zero when it is unknown. Uses t0.
macro_rules! load_shadow {
    () => {
        concat!(
            "lla t0, {shadow}\n",
            "ld t0, 0(t0)\n",
            "add t0, t0, tp\n",
            "ld t1, 0(t0)\n",
            "andi t2, t1, {UNKNOWN}\n",
        )
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            "beqz a0, 8f",
            "lla t0, {policy}",
            "lbu t0, 0(t0)",
            "li t1, {POSIX}",
            "bne t0, t1, 6f",
            "4:",
            "mv a4, a0",
            "addi a2, a0, {SIGMASK}", //             the old mask goes here
            "li a1, 0", //                           no new one
            "li a0, 0",
            "li a3, {SIGSET_SIZE}",
            "li a7, {SYS_rt_sigprocmask}",
            "ecall", //                              the kernel keeps all but a0
            "bnez a0, 7f",
            "mv a0, a4",
            "5:",
            save!(),
            "li t0, {PLAIN_MASK}",
            "sd t0, {FLAGS}(a0)",
            "li a0, 0",
            "ret",
            "6:",
            "li t1, {NONE}",
            "beq t0, t1, 3f",
            load_shadow!(), //                       policy track
            "bnez t2, 4b",
            "sd t1, {SIGMASK}(a0)",
            "j 5b",
            "3:",
            "tail {maskless}",
            "7:",
            "neg a0, a0",
            "tail {fail}",
            "8:",
            "li a0, {EFAULT}",
            "tail {fail}" ;
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
            "beqz a0, 8f",
            save!(),
            "li t0, {PLAIN}",
            "sd t0, {FLAGS}(a0)",
            "li a0, 0",
            "ret",
            "8:",
            "li a0, {EFAULT}",
            "tail {fail}" ;
            PLAIN = const $crate::context::PLAIN,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
}

macro_rules! setcontext {
    (masked) => {
        context_asm!(
            "beqz a0, 8f",
            "lla t0, {policy}",
            "lbu t0, 0(t0)",
            "li t1, {POSIX}",
            "bne t0, t1, 6f",
            "ld t0, {FLAGS}(a0)",
            "li t1, {PLAIN_MASK}",
            "bne t0, t1, 8f",
            "mv t0, a0",
            "addi a1, a0, {SIGMASK}",
            "li a2, 0", //                           the old mask is not wanted
            "li a0, {SIG_SETMASK}",
            "li a3, {SIGSET_SIZE}",
            "li a7, {SYS_rt_sigprocmask}",
            "ecall",
            "bnez a0, 7f",
            "5:",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6:",
            "li t1, {NONE}",
            "beq t0, t1, 3f",
            "ld t0, {FLAGS}(a0)", //                 policy track
            "li t1, {PLAIN_MASK}",
            "bne t0, t1, 8f",
            load_shadow!(),
            "bnez t2, 8f",
            "ld t0, {SIGMASK}(a0)",
            "bne t0, t1, 8f",
            "mv t0, a0",
            "j 5b",
            "3:",
            "tail {maskless}",
            "7:",
            "neg a0, a0",
            "tail {fail}",
            "8:",
            "li a1, 1",
            "tail {resume_or_fail}" ;
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
            "beqz a0, 8f",
            "ld t0, {FLAGS}(a0)",
            "ori t0, t0, {MASK}",
            "li t1, {PLAIN_MASK}",
            "bne t0, t1, 8f",
            "mv t0, a0",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8:",
            "li a1, 0",
            "tail {resume_or_fail}" ;
            MASK = const $crate::context::MASK,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
}

macro_rules! swapcontext {
    (masked) => {
        context_asm!(
            "beqz a1, 8f",
            "lla t0, {policy}",
            "lbu t0, 0(t0)",
            "li t1, {POSIX}",
            "bne t0, t1, 6f",
            "beqz a0, 8f",
            "ld t0, {FLAGS}(a1)",
            "li t1, {PLAIN_MASK}",
            "bne t0, t1, 8f",
            "beq a0, a1, 8f", //                      its own mask stays
            "mv a4, a0",
            "mv t0, a1",
            "addi a2, a0, {SIGMASK}", //             the old mask goes here
            "addi a1, a1, {SIGMASK}", //             the new one comes from here
            "li a0, {SIG_SETMASK}",
            "li a3, {SIGSET_SIZE}",
            "li a7, {SYS_rt_sigprocmask}",
            "ecall", //                              before the save: a failure leaves oucp as it was
            "bnez a0, 7f",
            "mv a0, a4",
            "5:",
            save!(),
            "li t1, {PLAIN_MASK}",
            "sd t1, {FLAGS}(a0)",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6:",
            "li t1, {NONE}",
            "beq t0, t1, 3f",
            "beqz a0, 8f", //                        policy track
            "ld t0, {FLAGS}(a1)",
            "li t1, {PLAIN_MASK}",
            "bne t0, t1, 8f",
            load_shadow!(),
            "bnez t2, 8f",
            "ld t0, {SIGMASK}(a1)",
            "bne t0, t1, 8f",
            "sd t1, {SIGMASK}(a0)",
            "mv t0, a1",
            "j 5b",
            "3:",
            "tail {maskless}",
            "7:",
            "neg a0, a0",
            "tail {fail}",
            "8:",
            swap_slowly!("li a2, 1") ;
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
            "beqz a1, 8f",
            "beqz a0, 8f",
            "ld t0, {FLAGS}(a1)",
            "ori t0, t0, {MASK}",
            "li t1, {PLAIN_MASK}",
            "bne t0, t1, 8f",
            "mv t0, a1",
            save!(),
            "li t1, {PLAIN}",
            "sd t1, {FLAGS}(a0)",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8:",
            swap_slowly!("li a2, 0") ;
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
            "addi sp, sp, -48",
            ".cfi_def_cfa_offset 48",
            "sd ra, 40(sp)",
            ".cfi_offset ra, -8",
            "sd a3, 0(sp)",
            "sd a4, 8(sp)",
            "sd a5, 16(sp)",
            "sd a6, 24(sp)",
            "sd a7, 32(sp)",
            "mv a3, sp", //                          arguments that came in registers
            "addi a4, sp, 48", //                    and on the stack
            "call {make}",
            "ld ra, 40(sp)",
            ".cfi_same_value ra",
            "addi sp, sp, 48",
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
    context_asm!("mv t0, a0", load_context!() ;)
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
        ".cfi_undefined ra",
        ".option push",
        ".option norvc", //                          so that each instruction is INSTRUCTION long
        "nop", //                                    the unwinder looks up the start less one
        "jalr s1", //                                func
        ".option pop",
        "mv a0, s2", //                              uc_link
        "call {finish}", //                          returns when the thread is to end
        "li a0, 0",
        "call {pthread_exit}",
        "unimp",
        ".cfi_endproc",
        finish = sym context::finish,
        pthread_exit = sym libc::pthread_exit,
    )
}

/// The length of an instruction that is not compressed.
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
        set_field(ucp, S0, 0);
        set_field(ucp, S1, func);
        set_field(ucp, S2, link);
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
            "frcsr {value}",
            "sw {value}, {FCSR}({ucp})",
            ucp = in(reg) ucp, value = out(reg) _, FCSR = const FCSR,
            options(nostack, preserves_flags),
        );
        set_field(ucp, TP, 0);
        set_field(ucp, OWNER, thread_pointer());
    }
}
