//! Saving and loading a `ucontext_t`, and the first frame of a fresh one.

use core::arch::{asm, naked_asm};

use libc::ucontext_t;

use super::*;
use crate::context;

/// `naked_asm!` with every offset of a context by name. The comment uses each name once, because an operand
/// that no line mentions is an error.
macro_rules! context_asm {
    ($($line:expr),* ; $($operand:tt)*) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $($line,)*
            ".cfi_endproc",
            "// {FLAGS}{SIGMASK}{OWNER}{X0}{X19}{X30}{SP}{PC}{PSTATE}{RESERVED}{FPSR}{V8}{LIST_END}",
            "// {FPSIMD_HEAD}",
            FLAGS = const $crate::arch::FLAGS,
            SIGMASK = const $crate::arch::SIGMASK,
            OWNER = const $crate::arch::OWNER,
            X0 = const $crate::arch::X0,
            X19 = const $crate::arch::X19,
            X30 = const $crate::arch::X30,
            SP = const $crate::arch::SP,
            PC = const $crate::arch::PC,
            PSTATE = const $crate::arch::PSTATE,
            RESERVED = const $crate::arch::RESERVED,
            FPSR = const $crate::arch::FPSR,
            V8 = const $crate::arch::V8,
            LIST_END = const $crate::arch::LIST_END,
            FPSIMD_HEAD = const $crate::arch::FPSIMD_HEAD,
            $($operand)*
        )
    };
}

/// Loads a constant of 32 bits.
macro_rules! constant {
    ($register:literal, $name:literal) => {
        concat!(
            "movz ", $register, ", #({", $name, "} & 0xffff)\n",
            "movk ", $register, ", #({", $name, "} >> 16), lsl #16\n",
        )
    };
}

/// Reads the running floating-point environment into x5: FPSR below, FPCR above. Uses x4.
macro_rules! read_environment {
    () => {
        concat!(
            "mrs x5, fpsr\n",
            "mrs x4, fpcr\n",
            "orr x5, x5, x4, lsl #32\n",
        )
    };
}

/// Saves the caller into the context at x0. The return address is in x30. Uses x2 to x5, and leaves the
/// floating-point environment in x5.
macro_rules! save {
    () => {
        concat!(
            "stp x19, x20, [x0, #{X19}]\n",
            "stp x21, x22, [x0, #{X19} + 16]\n",
            "stp x23, x24, [x0, #{X19} + 32]\n",
            "stp x25, x26, [x0, #{X19} + 48]\n",
            "stp x27, x28, [x0, #{X19} + 64]\n",
            "stp x29, x30, [x0, #{X19} + 80]\n",
            "mov x2, sp\n",
            "stp x2, x30, [x0, #{SP}]\n", //         and where the caller goes on
            "str xzr, [x0, #{PSTATE}]\n",
            "str xzr, [x0, #{X0}]\n", //             what a resume returns
            "mrs x3, tpidr_el0\n",
            "str x3, [x0, #{OWNER}]\n",
            read_environment!(),
            "movz x2, #({FPSIMD_HEAD} & 0xffff)\n",
            "movk x2, #(({FPSIMD_HEAD} >> 16) & 0xffff), lsl #16\n",
            "movk x2, #({FPSIMD_HEAD} >> 32), lsl #32\n",
            "stp x2, x5, [x0, #{RESERVED}]\n",
            "stp q8, q9, [x0, #{V8}]\n",
            "stp q10, q11, [x0, #{V8} + 32]\n",
            "stp q12, q13, [x0, #{V8} + 64]\n",
            "stp q14, q15, [x0, #{V8} + 96]\n",
            "str xzr, [x0, #{LIST_END}]\n",
        )
    };
}

/// The register with this DWARF number is where the save put it. DW_OP_breg1 is x1.
macro_rules! cfi_saved {
    ($number:literal, $offset:literal) => {
        concat!(
            ".cfi_escape 0x10, ", $number, ", 3, 0x71, ((", $offset, ") & 0x7f) | 0x80, (", $offset,
            ") >> 7\n"
        )
    };
}

/// From here on the unwinder sees the context at x1, whatever the registers hold: the CFA is its stack
/// pointer, and each callee-saved register is where the save put it. The return address is its x30, not its
/// program counter: they differ where the context is about to enter a function, which the column of x30 cannot
/// say; so a fresh context is seen to end at the trampoline before it starts.
macro_rules! cfi_in_context {
    () => {
        concat!(
            ".cfi_remember_state\n",
            ".cfi_escape 0x0f, 4, 0x71, ({SP} & 0x7f) | 0x80, {SP} >> 7, 0x06\n",
            cfi_saved!("19", "{X19}"),
            cfi_saved!("20", "{X19} + 8"),
            cfi_saved!("21", "{X19} + 16"),
            cfi_saved!("22", "{X19} + 24"),
            cfi_saved!("23", "{X19} + 32"),
            cfi_saved!("24", "{X19} + 40"),
            cfi_saved!("25", "{X19} + 48"),
            cfi_saved!("26", "{X19} + 56"),
            cfi_saved!("27", "{X19} + 64"),
            cfi_saved!("28", "{X19} + 72"),
            cfi_saved!("29", "{X19} + 80"),
            cfi_saved!("30", "{X30}"),
            cfi_saved!("72", "{V8}"),
            cfi_saved!("73", "{V8} + 16"),
            cfi_saved!("74", "{V8} + 32"),
            cfi_saved!("75", "{V8} + 48"),
            cfi_saved!("76", "{V8} + 64"),
            cfi_saved!("77", "{V8} + 80"),
            cfi_saved!("78", "{V8} + 96"),
            cfi_saved!("79", "{V8} + 112"),
        )
    };
}

/// Behind a load: the unwinder sees the caller again.
macro_rules! cfi_of_caller {
    () => {
        ".cfi_restore_state"
    };
}

/// Loads the general registers of the context at x1 and goes on there. The jump is a `ret`, which needs no
/// landing pad where it lands.
macro_rules! load_registers {
    () => {
        concat!(
            "ldp x19, x20, [x1, #{X19}]\n",
            "ldp x21, x22, [x1, #{X19} + 16]\n",
            "ldp x23, x24, [x1, #{X19} + 32]\n",
            "ldp x25, x26, [x1, #{X19} + 48]\n",
            "ldp x27, x28, [x1, #{X19} + 64]\n",
            "ldp x29, x30, [x1, #{X19} + 80]\n",
            "ldp x17, x16, [x1, #{SP}]\n", //        and the program counter
            "ldp x2, x3, [x1, #{X0} + 16]\n",
            "ldp x4, x5, [x1, #{X0} + 32]\n",
            "ldp x6, x7, [x1, #{X0} + 48]\n",
            "mov sp, x17\n",
            "ldp x0, x1, [x1, #{X0}]\n",
            ".cfi_def_cfa sp, 0\n",
            ".cfi_same_value x30\n",
            ".cfi_same_value x19\n",
            ".cfi_same_value x20\n",
            ".cfi_same_value x21\n",
            ".cfi_same_value x22\n",
            ".cfi_same_value x23\n",
            ".cfi_same_value x24\n",
            ".cfi_same_value x25\n",
            ".cfi_same_value x26\n",
            ".cfi_same_value x27\n",
            ".cfi_same_value x28\n",
            ".cfi_same_value x29\n",
            ".cfi_same_value d8\n",
            ".cfi_same_value d9\n",
            ".cfi_same_value d10\n",
            ".cfi_same_value d11\n",
            ".cfi_same_value d12\n",
            ".cfi_same_value d13\n",
            ".cfi_same_value d14\n",
            ".cfi_same_value d15\n",
            "ret x16\n",
        )
    };
}

/// Loads the floating-point registers of the context at x1; x5 is the running environment. A write of FPCR
/// holds up the instructions that follow, and it nearly always is what it was.
macro_rules! load_vectors {
    () => {
        concat!(
            "ldp q8, q9, [x1, #{V8}]\n",
            "ldp q10, q11, [x1, #{V8} + 32]\n",
            "ldp q12, q13, [x1, #{V8} + 64]\n",
            "ldp q14, q15, [x1, #{V8} + 96]\n",
            "ldr x2, [x1, #{FPSR}]\n", //            and FPCR
            write_environment!(),
        )
    };
}

/// Makes x2 the floating-point environment, which is x5. Uses x3 and x4.
macro_rules! write_environment {
    () => {
        concat!(
            "cmp x2, x5\n",
            "b.eq 2f\n",
            "mov w3, w2\n",
            "lsr x4, x2, #32\n",
            "msr fpsr, x3\n",
            "msr fpcr, x4\n",
            "2:\n",
        )
    };
}

/// Resumes the context of ours at x1; x5 is the running floating-point environment.
macro_rules! load_context {
    () => {
        concat!(cfi_in_context!(), load_vectors!(), load_registers!())
    };
}

/// Where the fast path gives up: x0 becomes the word to save with, made by the policy's slow path, or 0 with
/// errno set. Then as the fast path.
macro_rules! swap_slowly {
    ($($arguments:literal),*) => {
        concat!(
            "stp x29, x30, [sp, #-32]!\n",
            ".cfi_def_cfa_offset 32\n",
            ".cfi_offset x29, -32\n",
            ".cfi_offset x30, -24\n",
            "mov x29, sp\n",
            "stp x0, x1, [sp, #16]\n",
            $($arguments, "\n",)*
            "bl {prepare}\n",
            "mov x2, x0\n",
            "ldp x0, x1, [sp, #16]\n",
            "ldp x29, x30, [sp], #32\n",
            ".cfi_def_cfa_offset 0\n",
            ".cfi_same_value x29\n",
            ".cfi_same_value x30\n",
            "cbz x2, 9f\n",
            "str x2, [x0, #{FLAGS}]\n",
            save!(),
            "mov x0, x1\n",
            "stp x29, x30, [sp, #-16]!\n",
            ".cfi_def_cfa_offset 16\n",
            ".cfi_offset x29, -16\n",
            ".cfi_offset x30, -8\n",
            "bl {resume}\n", //                      does not return
            "brk #1\n", //                           keeps the return address in this function
            ".cfi_def_cfa_offset 0\n",
            ".cfi_same_value x29\n",
            ".cfi_same_value x30\n",
            "9:\n",
            "mov w0, #-1\n",
            "ret\n",
        )
    };
}

/// Leaves with the error that the kernel returned in x0.
macro_rules! fail_with_status {
    () => {
        "neg w0, w0\nb {fail}"
    };
}

/// Loads the running thread's shadow of its mask into x9 and tells whether it is unknown: NE. Uses x8.
macro_rules! load_shadow {
    () => {
        concat!(
            "adrp x8, {shadow}\n",
            "ldr x8, [x8, :lo12:{shadow}]\n",
            "mrs x9, tpidr_el0\n",
            "ldr x9, [x9, x8]\n",
            "tst x9, #{UNKNOWN}\n",
        )
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            "cbz x0, 8f",
            "adrp x8, {policy}",
            "ldrb w8, [x8, :lo12:{policy}]",
            "cmp w8, #{POSIX}",
            "b.ne 6f",
            "4:",
            "mov x6, x0",
            "add x2, x0, #{SIGMASK}", //             the old mask goes here
            "mov x1, #0", //                         no new one
            "mov w0, #0",
            "mov x3, #{SIGSET_SIZE}",
            "mov x8, #{SYS_rt_sigprocmask}",
            "svc #0", //                             the kernel keeps all but x0
            "cbnz x0, 7f",
            "mov x0, x6",
            "5:",
            save!(),
            constant!("x2", "PLAIN_MASK"),
            "str x2, [x0, #{FLAGS}]",
            "mov w0, #0",
            "ret",
            "6:",
            "cmp w8, #{NONE}",
            "b.eq 9f",
            load_shadow!(), //                       policy track
            "b.ne 4b",
            "str x9, [x0, #{SIGMASK}]",
            "b 5b",
            "9:",
            "b {maskless}",
            "7:",
            fail_with_status!(),
            "8:",
            "mov w0, #{EFAULT}",
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
            "cbz x0, 8f",
            save!(),
            constant!("x2", "PLAIN"),
            "str x2, [x0, #{FLAGS}]",
            "mov w0, #0",
            "ret",
            "8:",
            "mov w0, #{EFAULT}",
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
            "cbz x0, 8f",
            "adrp x8, {policy}",
            "ldrb w8, [x8, :lo12:{policy}]",
            "cmp w8, #{POSIX}",
            "b.ne 6f",
            "ldr x9, [x0, #{FLAGS}]",
            constant!("x10", "PLAIN_MASK"),
            "cmp x9, x10",
            "b.ne 8f",
            "mov x7, x0",
            "add x1, x0, #{SIGMASK}",
            "mov w0, #{SIG_SETMASK}",
            "mov x2, #0", //                         the old mask is not wanted
            "mov x3, #{SIGSET_SIZE}",
            "mov x8, #{SYS_rt_sigprocmask}",
            "svc #0",
            "cbnz x0, 7f",
            "mov x1, x7",
            "5:",
            read_environment!(),
            load_context!(),
            cfi_of_caller!(),
            "6:",
            "cmp w8, #{NONE}",
            "b.eq 9f",
            "ldr x9, [x0, #{FLAGS}]", //             policy track
            constant!("x10", "PLAIN_MASK"),
            "cmp x9, x10",
            "b.ne 8f",
            load_shadow!(),
            "b.ne 8f",
            "ldr x8, [x0, #{SIGMASK}]",
            "cmp x9, x8",
            "b.ne 8f",
            "mov x1, x0",
            "b 5b",
            "9:",
            "b {maskless}",
            "7:",
            fail_with_status!(),
            "8:",
            "mov w1, #1",
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
            "cbz x0, 8f",
            "ldr x9, [x0, #{FLAGS}]",
            "orr x9, x9, #{MASK}",
            constant!("x10", "PLAIN_MASK"),
            "cmp x9, x10",
            "b.ne 8f",
            "mov x1, x0",
            read_environment!(),
            load_context!(),
            cfi_of_caller!(),
            "8:",
            "mov w1, #0",
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
            "cbz x1, 8f",
            "adrp x8, {policy}",
            "ldrb w8, [x8, :lo12:{policy}]",
            "cmp w8, #{POSIX}",
            "b.ne 6f",
            "cbz x0, 8f",
            "ldr x9, [x1, #{FLAGS}]",
            constant!("x10", "PLAIN_MASK"),
            "cmp x9, x10",
            "b.ne 8f",
            "cmp x0, x1",
            "b.eq 8f", //                             its own mask stays
            "mov x6, x0",
            "mov x7, x1",
            "add x2, x0, #{SIGMASK}", //             the old mask goes here
            "add x1, x1, #{SIGMASK}", //             the new one comes from here
            "mov w0, #{SIG_SETMASK}",
            "mov x3, #{SIGSET_SIZE}",
            "mov x8, #{SYS_rt_sigprocmask}",
            "svc #0", //                             before the save: a failure leaves oucp as it was
            "cbnz x0, 7f",
            "mov x0, x6",
            "mov x1, x7",
            "5:",
            save!(),
            "str x10, [x0, #{FLAGS}]",
            load_context!(),
            cfi_of_caller!(),
            "6:",
            "cmp w8, #{NONE}",
            "b.eq 3f",
            "cbz x0, 8f", //                         policy track
            "ldr x9, [x1, #{FLAGS}]",
            constant!("x10", "PLAIN_MASK"),
            "cmp x9, x10",
            "b.ne 8f",
            load_shadow!(),
            "b.ne 8f",
            "ldr x8, [x1, #{SIGMASK}]",
            "cmp x9, x8",
            "b.ne 8f",
            "str x9, [x0, #{SIGMASK}]",
            "b 5b",
            "3:",
            "b {maskless}",
            "7:",
            fail_with_status!(),
            "8:",
            swap_slowly!("mov w2, #1") ;
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
            "cbz x1, 8f",
            "ldr x9, [x1, #{FLAGS}]",
            "cbz x0, 8f",
            "orr x9, x9, #{MASK}",
            constant!("x10", "PLAIN_MASK"),
            "cmp x9, x10",
            "b.ne 8f",
            save!(),
            "bic x10, x10, #{MASK}",
            "str x10, [x0, #{FLAGS}]",
            load_context!(),
            cfi_of_caller!(),
            "8:",
            swap_slowly!("mov w2, #0") ;
            MASK = const $crate::context::MASK,
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
            "stp x29, x30, [sp, #-64]!",
            ".cfi_def_cfa_offset 64",
            ".cfi_offset x29, -64",
            ".cfi_offset x30, -56",
            "mov x29, sp",
            "stp x3, x4, [sp, #16]",
            "stp x5, x6, [sp, #32]",
            "str x7, [sp, #48]",
            "add x3, sp, #16", //                    arguments that came in registers
            "add x4, sp, #64", //                    and on the stack
            "bl {make}",
            "ldp x29, x30, [sp], #64",
            ".cfi_def_cfa_offset 0",
            ".cfi_same_value x29",
            ".cfi_same_value x30",
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
    context_asm!("mov x1, x0", read_environment!(), load_context!() ;)
}

/// Resumes a context that was filled in by hand or by another implementation: with its floating-point
/// registers if there is a record of them, else with the running ones.
///
/// # Safety
/// As [`load`].
#[unsafe(naked)]
pub unsafe extern "C" fn load_foreign(ucp: *const ucontext_t) -> ! {
    context_asm!(
        "mov x1, x0",
        read_environment!(),
        cfi_in_context!(),
        "ldr w2, [x1, #{RESERVED}]",
        constant!("w3", "FPSIMD_MAGIC"),
        "cmp w2, w3",
        "b.ne 3f",
        load_vectors!(),
        "3:",
        load_registers!() ;
        FPSIMD_MAGIC = const FPSIMD_MAGIC,
    )
}

/// The function that a context function returns into. Its caller is nobody: the unwinder stops here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined x30",
        "nop", //                                    the unwinder looks up the return address less one
        "mov x0, x19", //                            uc_link
        "bl {finish}", //                            returns when the thread is to end
        "mov x0, #0",
        "bl {pthread_exit}",
        "brk #1",
        ".cfi_endproc",
        finish = sym context::finish,
        pthread_exit = sym libc::pthread_exit,
    )
}

/// The return address of a context function: behind the trampoline's `nop`.
fn trampoline_return() -> usize {
    trampoline as *const () as usize + size_of::<u32>()
}

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
        set_field(ucp, SP, sp);
        set_field(ucp, PC, func);
        set_field(ucp, X19, link);
        set_field(ucp, x(29), 0);
        set_field(ucp, X30, trampoline_return());
    }
}

/// Stores the running floating-point environment in `ucp`.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn capture_environment(ucp: *mut ucontext_t) {
    let environment;
    // SAFETY: both registers are readable everywhere; every field lies inside the context.
    unsafe {
        asm!(read_environment!(), out("x4") _, out("x5") environment,
            options(nostack, preserves_flags));
        set_field(ucp, FPSR, environment);
        set_field(ucp, RESERVED, FPSIMD_HEAD);
        set_field(ucp, LIST_END, 0);
        set_field(ucp, OWNER, thread_pointer());
    }
}
