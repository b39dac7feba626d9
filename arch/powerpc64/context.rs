//! Saving and loading a `ucontext_t`, and the first frame of a fresh one.

use core::arch::{asm, naked_asm};

use super::*;
use crate::context;

/// The global entry of an exported function: r2 becomes our TOC, found from r12. Calls inside the module go to
/// the local entry behind it.
macro_rules! entry {
    () => {
        ".cfi_startproc\n\
         3: addis 2, 12, .TOC.-3b@ha\n\
         addi 2, 2, .TOC.-3b@l\n\
         .localentry {this}, .-{this}\n"
    };
}

/// `naked_asm!` with every offset of a context by name. The comment uses each name once, because an operand
/// that no line mentions is an error.
macro_rules! context_asm {
    ($($line:expr),* ; $($operand:tt)*) => {
        core::arch::naked_asm!(
            $($line,)*
            ".cfi_endproc",
            "# {FLAGS}{R0}{NIP}{LR}{CR}{F0}{FPSCR}{V_REGS}{V0}{SIGMASK}",
            FLAGS = const $crate::arch::FLAGS,
            R0 = const $crate::arch::R0,
            NIP = const $crate::arch::NIP,
            LR = const $crate::arch::LR,
            CR = const $crate::arch::CR,
            F0 = const $crate::arch::F0,
            FPSCR = const $crate::arch::FPSCR,
            V_REGS = const $crate::arch::V_REGS,
            V0 = const $crate::arch::V0,
            SIGMASK = const $crate::arch::SIGMASK,
            $($operand)*
        )
    };
}

/// Repeats lines for each callee-saved register of one file: `\n` is its number.
macro_rules! each {
    (r, $($line:literal),*) => {
        concat!(".irp n,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n", $($line, "\n",)* ".endr\n")
    };
    (v, $($line:literal),*) => {
        concat!(".irp n,20,21,22,23,24,25,26,27,28,29,30,31\n", $($line, "\n",)* ".endr\n")
    };
    (cr, $($line:literal),*) => {
        concat!(".irp n,2,3,4\n", $($line, "\n",)* ".endr\n")
    };
}

/// Saves the caller into the context at r3; LR is its return address. Uses r0, r11, r12, vs0.
macro_rules! save {
    () => {
        concat!(
            "mflr 0\n",
            "mfcr 12\n",
            "std 0, {NIP}(3)\n", //                  where the caller goes on
            "std 0, {LR}(3)\n",
            "std 12, {CR}(3)\n",
            "li 0, 0\n",
            "std 1, {R0}+8*1(3)\n",
            "std 0, {R0}+8*3(3)\n", //               what a resume returns
            "std 13, {R0}+8*13(3)\n",
            each!(r, "std \\n, {R0}+8*\\n(3)"),
            each!(r, "stfd \\n, {F0}+8*\\n(3)"),
            "mffs 0\n",
            "stfd 0, {FPSCR}(3)\n",
            "addi 11, 3, {V0}\n",
            "std 11, {V_REGS}(3)\n",
            "addi 11, 11, 16*20\n",
            // In the order of stvx, which would want alignment.
            each!(v, "xxswapd 0, 32+\\n", "stxvd2x 0, 0, 11", "addi 11, 11, 16"),
        )
    };
}

/// From here on the unwinder sees the context at r4, whatever the registers hold: the CFA is its stack pointer,
/// and each callee-saved register is where the save put it. DW_OP_breg4 is 0x74; 32 + n is fn, 77 + n vn, 68 + n
/// CRn, 65 LR. A fresh context is seen as one whose function returns: LR leads to the trampoline.
macro_rules! cfi_in_context {
    () => {
        concat!(
            ".cfi_escape 0x0f, 4, 0x74, (({R0}+8) & 0x7f) | 0x80, ({R0}+8) >> 7, 0x06\n",
            each!(r, ".cfi_escape 0x10, \\n, 3, 0x74, (({R0}+8*\\n) & 0x7f) | 0x80, ({R0}+8*\\n) >> 7"),
            each!(r, ".cfi_escape 0x10, 32+\\n, 3, 0x74, (({F0}+8*\\n) & 0x7f) | 0x80, ({F0}+8*\\n) >> 7"),
            each!(v, ".cfi_escape 0x10, 77+\\n, 3, 0x74, (({V0}+16*\\n) & 0x7f) | 0x80, ({V0}+16*\\n) >> 7"),
            each!(cr, ".cfi_escape 0x10, 68+\\n, 3, 0x74, ({CR} & 0x7f) | 0x80, {CR} >> 7"),
            ".cfi_escape 0x10, 65, 3, 0x74, ({LR} & 0x7f) | 0x80, {LR} >> 7\n",
        )
    };
}

/// Every register holds what the caller had, as at the entry of a function.
macro_rules! cfi_loaded {
    () => {
        concat!(
            ".cfi_def_cfa 1, 0\n",
            each!(r, ".cfi_same_value \\n", ".cfi_same_value 32+\\n"),
            each!(v, ".cfi_same_value 77+\\n"),
            each!(cr, ".cfi_same_value 68+\\n"),
            ".cfi_same_value 65\n",
        )
    };
}

/// Loads v20 to v31 from the vector area at r11.
macro_rules! load_vectors {
    () => {
        concat!(
            "addi 11, 11, 16*20\n",
            each!(v, "lxvd2x 32+\\n, 0, 11", "xxswapd 32+\\n, 32+\\n", "addi 11, 11, 16"),
        )
    };
}

/// Loads all but the vectors of the context at r4 and goes on there.
macro_rules! load_registers {
    () => {
        concat!(
            "lfd 0, {FPSCR}(4)\n",
            "mtfsf 255, 0, 1, 0\n", //               all 64 bits
            each!(r, "lfd \\n, {F0}+8*\\n(4)"),
            "ld 0, {CR}(4)\n",
            "mtocrf 0x20, 0\n",
            "mtocrf 0x10, 0\n",
            "mtocrf 0x08, 0\n",
            "ld 0, {LR}(4)\n",
            "ld 12, {NIP}(4)\n", //                  as a function finds it at its global entry
            "mtlr 0\n",
            "mtctr 12\n",
            each!(r, "ld \\n, {R0}+8*\\n(4)"),
            "ld 3, {R0}+8*3(4)\n",
            "ld 5, {R0}+8*5(4)\n",
            "ld 6, {R0}+8*6(4)\n",
            "ld 7, {R0}+8*7(4)\n",
            "ld 8, {R0}+8*8(4)\n",
            "ld 9, {R0}+8*9(4)\n",
            "ld 10, {R0}+8*10(4)\n",
            "ld 1, {R0}+8*1(4)\n",
            cfi_loaded!(),
            "ld 4, {R0}+8*4(4)\n",
            "bctr\n",
        )
    };
}

/// Resumes the context of ours at r4.
macro_rules! load_context {
    () => {
        concat!(cfi_in_context!(), "addi 11, 4, {V0}\n", load_vectors!(), load_registers!())
    };
}

/// Where the fast path gives up: the slow path's function is called with the contexts and what `arguments`
/// add, and returns the word to save with, or 0 with errno set. Then as the fast path.
macro_rules! swap_slowly {
    ($($arguments:literal),*) => {
        concat!(
            "mflr 0\n",
            "std 0, 16(1)\n",
            ".cfi_offset 65, 16\n",
            "stdu 1, -48(1)\n",
            ".cfi_adjust_cfa_offset 48\n",
            "std 3, 32(1)\n",
            "std 4, 40(1)\n",
            $($arguments, "\n",)*
            "bl {prepare}\n",
            "nop\n",
            "mr. 11, 3\n",
            "ld 3, 32(1)\n",
            "ld 4, 40(1)\n",
            "addi 1, 1, 48\n",
            ".cfi_adjust_cfa_offset -48\n",
            "ld 0, 16(1)\n",
            "mtlr 0\n",
            ".cfi_same_value 65\n",
            "beq 9f\n",
            "std 11, {FLAGS}(3)\n",
            save!(),
            "mr 3, 4\n",
            "stdu 1, -32(1)\n",
            ".cfi_adjust_cfa_offset 32\n",
            ".cfi_offset 65, 16\n",
            "bl {resume}\n", //                      does not return
            "trap\n", //                             keeps the return address in this function
            ".cfi_adjust_cfa_offset -32\n",
            ".cfi_same_value 65\n",
            "9:\n",
            "li 3, -1\n",
            "blr\n",
        )
    };
}

/// Loads a word of 31 bits.
macro_rules! load_word {
    ($register:literal, $word:literal) => {
        concat!(
            "lis ", $register, ", ", $word, " >> 16\n",
            "ori ", $register, ", ", $register, ", ", $word, " & 0xffff\n",
        )
    };
}

/// Loads the byte of the policy into r12 and compares it with POSIX.
macro_rules! compare_policy {
    () => {
        "addis 12, 2, {policy}@toc@ha\n\
         lbz 12, {policy}@toc@l(12)\n\
         cmpwi 12, {POSIX}\n"
    };
}

/// Loads the running thread's shadow of its mask into r12 and tells whether it is unknown: NE. Uses r0.
macro_rules! load_shadow {
    () => {
        "addis 12, 2, {shadow}@toc@ha\n\
         ld 12, {shadow}@toc@l(12)\n\
         ldx 12, 12, 13\n\
         andi. 0, 12, {UNKNOWN}\n"
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            entry!(),
            "cmpdi 3, 0",
            "beq 8f",
            compare_policy!(),
            "bne 6f",
            "4:",
            "std 3, -8(1)", //                       in the red zone
            "addi 5, 3, {SIGMASK}", //               the old mask goes here
            "li 4, 0", //                            no new one
            "li 3, 0",
            "li 6, {SIGSET_SIZE}",
            "li 0, {SYS_rt_sigprocmask}",
            "sc",
            "bso 7f",
            "ld 3, -8(1)",
            "5:",
            save!(),
            load_word!("12", "{PLAIN_MASK}"),
            "std 12, {FLAGS}(3)",
            "li 3, 0",
            "blr",
            "6: cmpwi 12, {NONE}",
            "beq 9f",
            load_shadow!(), //                       policy track
            "bne 4b",
            "std 12, {SIGMASK}(3)",
            "b 5b",
            "8: li 3, {EFAULT}",
            "7: b {fail}", //                        r3 is the errno
            "9: b {maskless}" ;
            this = sym $crate::posix::getcontext,
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
            entry!(),
            "cmpdi 3, 0",
            "beq 8f",
            save!(),
            load_word!("12", "{PLAIN}"),
            "std 12, {FLAGS}(3)",
            "li 3, 0",
            "blr",
            "8: li 3, {EFAULT}",
            "b {fail}" ;
            this = sym $crate::posix::rctx_getcontext,
            PLAIN = const $crate::context::PLAIN,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
}

macro_rules! setcontext {
    (masked) => {
        context_asm!(
            entry!(),
            "cmpdi 3, 0",
            "beq 8f",
            compare_policy!(),
            "bne 6f",
            "ld 0, {FLAGS}(3)",
            load_word!("12", "{PLAIN_MASK}"),
            "cmpd 0, 12",
            "bne 8f",
            "std 3, -8(1)",
            "addi 4, 3, {SIGMASK}",
            "li 5, 0", //                            the old mask is not wanted
            "li 3, {SIG_SETMASK}",
            "li 6, {SIGSET_SIZE}",
            "li 0, {SYS_rt_sigprocmask}",
            "sc",
            "bso 7f",
            "ld 4, -8(1)",
            "5:",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6: cmpwi 12, {NONE}",
            "beq 9f",
            "ld 0, {FLAGS}(3)", //                   policy track
            load_word!("12", "{PLAIN_MASK}"),
            "cmpd 0, 12",
            "bne 8f",
            load_shadow!(),
            "bne 8f",
            "ld 0, {SIGMASK}(3)",
            "cmpd 0, 12",
            "bne 8f",
            "mr 4, 3",
            "b 5b",
            "7: b {fail}", //                        r3 is the errno
            "8: li 4, 1",
            "b {resume_or_fail}",
            "9: b {maskless}" ;
            this = sym $crate::posix::setcontext,
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
            entry!(),
            "cmpdi 3, 0",
            "beq 8f",
            "ld 0, {FLAGS}(3)",
            load_word!("12", "{PLAIN_MASK}"),
            "ori 0, 0, {MASK}",
            "cmpd 0, 12",
            "bne 8f",
            "mr 4, 3",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8: li 4, 0",
            "b {resume_or_fail}" ;
            this = sym $crate::posix::rctx_setcontext,
            MASK = const $crate::context::MASK,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
}

macro_rules! swapcontext {
    (masked) => {
        context_asm!(
            entry!(),
            "cmpdi 4, 0",
            "beq 8f",
            compare_policy!(),
            "bne 6f",
            "cmpdi 3, 0",
            "beq 8f",
            "ld 0, {FLAGS}(4)",
            load_word!("12", "{PLAIN_MASK}"),
            "cmpd 0, 12",
            "bne 8f",
            "cmpd 3, 4",
            "beq 8f", //                             its own mask stays
            "std 3, -8(1)", //                       in the red zone
            "std 4, -16(1)",
            "addi 5, 3, {SIGMASK}", //               the old mask goes here
            "addi 4, 4, {SIGMASK}", //               the new one comes from here
            "li 3, {SIG_SETMASK}",
            "li 6, {SIGSET_SIZE}",
            "li 0, {SYS_rt_sigprocmask}",
            "sc", //                                 before the save: a failure leaves oucp as it was
            "bso 7f",
            "ld 3, -8(1)",
            "ld 4, -16(1)",
            "5:",
            save!(),
            load_word!("12", "{PLAIN_MASK}"),
            "std 12, {FLAGS}(3)",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "6: cmpwi 12, {NONE}",
            "beq 4f",
            "cmpdi 3, 0", //                         policy track
            "beq 8f",
            "ld 0, {FLAGS}(4)",
            load_word!("12", "{PLAIN_MASK}"),
            "cmpd 0, 12",
            "bne 8f",
            load_shadow!(),
            "bne 8f",
            "ld 0, {SIGMASK}(4)",
            "cmpd 0, 12",
            "bne 8f",
            "std 12, {SIGMASK}(3)",
            "b 5b",
            "7: b {fail}", //                        r3 is the errno
            "4: b {maskless}",
            "8:",
            swap_slowly!("li 5, 1") ;
            this = sym $crate::posix::swapcontext,
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
            entry!(),
            "cmpdi 4, 0",
            "beq 8f",
            "cmpdi 3, 0",
            "beq 8f",
            "ld 0, {FLAGS}(4)",
            load_word!("12", "{PLAIN_MASK}"),
            "ori 0, 0, {MASK}",
            "cmpd 0, 12",
            "bne 8f",
            save!(),
            load_word!("12", "{PLAIN}"),
            "std 12, {FLAGS}(3)",
            ".cfi_remember_state",
            load_context!(),
            ".cfi_restore_state",
            "8:",
            swap_slowly!("li 5, 0") ;
            this = sym $crate::posix::rctx_swapcontext,
            MASK = const $crate::context::MASK,
            PLAIN = const $crate::context::PLAIN,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            prepare = sym $crate::context::prepare_swap,
            resume = sym $crate::context::resume,
        )
    };
}

/// `makecontext`: the variable arguments in r6 to r10 are stored in their slots of the parameter save area, which
/// the caller of a variadic function provides; the rest are behind them.
macro_rules! makecontext {
    () => {
        core::arch::naked_asm!(
            entry!(),
            ".irp n,6,7,8,9,10",
            "std \\n, 32+8*(\\n-3)(1)",
            ".endr",
            "mflr 0",
            "std 0, 16(1)",
            ".cfi_offset 65, 16",
            "addi 6, 1, 32+8*3", //                  arguments that came in registers
            "addi 7, 1, 32+8*8", //                  and on the stack
            "stdu 1, -32(1)",
            ".cfi_adjust_cfa_offset 32",
            "bl {make}",
            "nop",
            "addi 1, 1, 32",
            ".cfi_adjust_cfa_offset -32",
            "ld 0, 16(1)",
            "mtlr 0",
            ".cfi_same_value 65",
            "blr",
            ".cfi_endproc",
            this = sym $crate::posix::makecontext,
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
    context_asm!(".cfi_startproc", "mr 4, 3", load_context!() ;)
}

/// Resumes a context that was filled in by hand or by another implementation: its vector registers are where its
/// pointer says, or the running ones when that is null.
///
/// # Safety
/// As [`load`]; `v_regs` is null or points to a vector area.
#[unsafe(naked)]
pub unsafe extern "C" fn load_foreign(ucp: *const ucontext_t) -> ! {
    context_asm!(
        ".cfi_startproc",
        "mr 4, 3",
        cfi_in_context!(),
        each!(v, ".cfi_same_value 77+\\n"),
        "ld 11, {V_REGS}(4)",
        "cmpdi 11, 0",
        "beq 2f",
        load_vectors!(),
        "2:",
        load_registers!() ;
    )
}

/// The function that a context function returns into. Its caller is nobody: the unwinder stops here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined 65",
        "nop", //                                    the unwinder looks up the return address less one
        "bcl 20, 31, 2f", //                         r2 may be another module's
        "2: mflr 12",
        "addis 2, 12, .TOC.-2b@ha",
        "addi 2, 2, .TOC.-2b@l",
        "mr 3, 14", //                               uc_link
        "bl {finish}", //                            returns when the thread is to end
        "nop",
        "li 3, 0",
        "bl {pthread_exit}",
        "nop",
        "trap",
        ".cfi_endproc",
        finish = sym context::finish,
        pthread_exit = sym libc::pthread_exit,
    )
}

/// The return address of a context function: behind the trampoline's `nop`.
fn trampoline_return() -> usize {
    const NOP_SIZE: usize = 4;
    trampoline as *const () as usize + NOP_SIZE
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
        set_field(ucp, R1, sp);
        set_field(ucp, NIP, func);
        set_field(ucp, LR, trampoline_return());
        set_field(ucp, R14, link);
    }
}

/// Stores the running floating-point environment in `ucp`.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn capture_environment(ucp: *mut ucontext_t) {
    let fpscr: f64;
    // SAFETY: only reads; the fields lie inside the context.
    unsafe {
        asm!("mffs {}", out(freg) fpscr, options(nostack, preserves_flags, nomem));
        set_field(ucp, FPSCR, fpscr.to_bits() as usize);
        set_field(ucp, R13, thread_pointer());
        set_field(ucp, V_REGS, ucp as usize + V0);
    }
}
