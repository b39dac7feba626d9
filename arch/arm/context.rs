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
            ".fnstart",
            $($line,)*
            ".fnend",
            "@ {FLAGS}{SIGMASK}{OWNER}{R0}{R4}{SP}{LR}{PC}{CPSR}{REGSPACE}{D8}{FPSCR}{LIST_END}",
            "@ {VFP_MAGIC}{VFP_SIZE}",
            FLAGS = const $crate::arch::FLAGS,
            SIGMASK = const $crate::arch::SIGMASK,
            OWNER = const $crate::arch::OWNER,
            R0 = const $crate::arch::R0,
            R4 = const $crate::arch::R4,
            SP = const $crate::arch::SP,
            LR = const $crate::arch::LR,
            PC = const $crate::arch::PC,
            CPSR = const $crate::arch::CPSR,
            REGSPACE = const $crate::arch::REGSPACE,
            D8 = const $crate::arch::D8,
            FPSCR = const $crate::arch::FPSCR,
            LIST_END = const $crate::arch::LIST_END,
            VFP_MAGIC = const $crate::arch::VFP_MAGIC,
            VFP_SIZE = const $crate::arch::VFP_SIZE,
            $($operand)*
        )
    };
}

/// Loads a constant of 32 bits.
macro_rules! constant {
    ($register:literal, $name:literal) => {
        concat!(
            "movw ", $register, ", #({", $name, "} & 0xffff)\n",
            "movt ", $register, ", #({", $name, "} >> 16)\n",
        )
    };
}

/// Reads the running floating-point environment into r3.
macro_rules! read_environment {
    () => {
        "vmrs r3, fpscr\n"
    };
}

/// Saves the caller into the context at r0. The return address is in lr. Uses r2, and leaves the
/// floating-point environment in r3.
macro_rules! save {
    () => {
        concat!(
            "add r2, r0, #{R4}\n",
            "stmia r2, {{r4-r11}}\n",
            "str sp, [r0, #{SP}]\n",
            "str lr, [r0, #{LR}]\n",
            "str lr, [r0, #{PC}]\n", //              where the caller goes on
            "mov r2, #0\n",
            "str r2, [r0, #{R0}]\n", //              what a resume returns
            "str r2, [r0, #{CPSR}]\n",
            "str r2, [r0, #{LIST_END}]\n",
            "mrc p15, 0, r2, c13, c0, 3\n",
            "str r2, [r0, #{OWNER}]\n",
            constant!("r2", "VFP_MAGIC"),
            "str r2, [r0, #{REGSPACE}]\n",
            "mov r2, #{VFP_SIZE}\n",
            "str r2, [r0, #{REGSPACE} + 4]\n",
            "add r2, r0, #{D8}\n",
            "vstmia r2, {{d8-d15}}\n",
            read_environment!(),
            "str r3, [r0, #{FPSCR}]\n",
        )
    };
}

/// Loads the general registers of the context at r1 and goes on there. Nothing is read from memory once sp has
/// moved: the program counter waits in s0.
macro_rules! load_registers {
    () => {
        concat!(
            "mov r12, r1\n",
            "add r0, r12, #{R4}\n",
            "ldmia r0, {{r4-r11}}\n",
            "ldr lr, [r12, #{LR}]\n",
            "vldr s0, [r12, #{PC}]\n",
            "add r0, r12, #{R0}\n",
            "ldmia r0, {{r0-r3}}\n",
            "ldr sp, [r12, #{SP}]\n",
            "vmov r12, s0\n",
            "bx r12\n",
        )
    };
}

/// Loads the floating-point registers of the context at r1; r3 is the running environment. A write of FPSCR
/// holds up the instructions that follow, and it often is what it was.
macro_rules! load_vectors {
    () => {
        concat!(
            "add r2, r1, #{D8}\n",
            "vldmia r2, {{d8-d15}}\n",
            "ldr r2, [r1, #{FPSCR}]\n",
            "cmp r2, r3\n",
            "vmsrne fpscr, r2\n",
        )
    };
}

/// Resumes the context of ours at r1; r3 is the running floating-point environment.
macro_rules! load_context {
    () => {
        concat!(load_vectors!(), load_registers!())
    };
}

/// Compares the policy with POSIX. Uses r3.
macro_rules! compare_policy {
    () => {
        concat!(
            "movw r3, #:lower16:({policy} - (2f + 8))\n",
            "movt r3, #:upper16:({policy} - (2f + 8))\n",
            "2:\n",
            "ldrb r3, [pc, r3]\n",
            "cmp r3, #{POSIX}\n",
        )
    };
}

/// The size of the frame that `enter!` makes.
pub const FRAME_SIZE: usize = 24;

/// Makes the one frame that these functions have at their calls: r0, r1, what the kernel wants in r7, lr, and
/// eight bytes for an argument.
macro_rules! enter {
    () => {
        "push {{r0, r1, r7, lr}}\nsub sp, sp, #8\n"
    };
}

macro_rules! leave {
    () => {
        "add sp, sp, #8\npop {{r0, r1, r7, lr}}\n"
    };
}

/// Tells the unwinder of that frame.
macro_rules! describe_frame {
    () => {
        ".save {{r7, lr}}\n.pad #16\n"
    };
}

/// The system call that installs the mask at r1 and stores the one before at r2, either of which may be null.
/// Its outcome is in r3; keeps r0 and r1 of before `$arguments`.
macro_rules! exchange_mask {
    ($($arguments:literal),*) => {
        concat!(
            enter!(),
            $($arguments, "\n",)*
            "mov r0, #{SIG_SETMASK}\n",
            "mov r3, #{SIGSET_SIZE}\n",
            "mov r7, #{SYS_rt_sigprocmask}\n",
            "svc #0\n",
            "mov r3, r0\n",
            leave!(),
            "cmp r3, #0\n",
        )
    };
}

/// Where the fast path gives up: r2 becomes the word to save with, made by the policy's slow path, or 0 with
/// errno set. Then as the fast path.
macro_rules! swap_slowly {
    ($($arguments:literal),*) => {
        concat!(
            enter!(),
            $($arguments, "\n",)*
            "bl {prepare}\n",
            "mov r2, r0\n",
            leave!(),
            "cmp r2, #0\n",
            "beq 9f\n",
            "str r2, [r0, #{FLAGS}]\n",
            save!(),
            enter!(),
            "mov r0, r1\n",
            "bl {resume}\n", //                      does not return
            "udf #0\n", //                           keeps the return address in this function
            "9:\n",
            "mvn r0, #0\n",
            "bx lr\n",
        )
    };
}

/// Leaves with the error that the kernel returned in r3.
macro_rules! fail_with_status {
    () => {
        "rsb r0, r3, #0\nb {fail}"
    };
}

/// Loads the running thread's shadow of its mask into r2, low, and r3, high, and tells whether it is unknown: NE. The
/// low word, which tells it, comes last: a signal in between makes it so.
macro_rules! load_shadow {
    () => {
        concat!(
            "movw r3, #:lower16:({shadow} - (2f + 8))\n",
            "movt r3, #:upper16:({shadow} - (2f + 8))\n",
            "2:\n",
            "ldr r3, [pc, r3]\n",
            "mrc p15, 0, r2, c13, c0, 3\n",
            "add r2, r2, r3\n",
            "ldr r3, [r2, #4]\n",
            "ldr r2, [r2]\n",
            "tst r2, #{UNKNOWN}\n",
        )
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            "cmp r0, #0",
            "beq 8f",
            compare_policy!(),
            "bne 6f",
            "4:",
            exchange_mask!(
                "add r2, r0, #{SIGMASK}", //         the old mask goes here
                "mov r1, #0" //                      no new one
            ),
            "bne 7f",
            "5:",
            save!(),
            constant!("r2", "PLAIN_MASK"),
            "str r2, [r0, #{FLAGS}]",
            "mov r0, #0",
            "bx lr",
            "6:",
            "cmp r3, #{NONE}",
            "beq 9f",
            load_shadow!(), //                       policy track
            "bne 4b",
            "str r2, [r0, #{SIGMASK}]",
            "str r3, [r0, #{SIGMASK} + 4]",
            "b 5b",
            "9:",
            "b {maskless}",
            "7:",
            fail_with_status!(),
            "8:",
            "mov r0, #{EFAULT}",
            "b {fail}" ;
            policy = sym $crate::sigmask::POLICY,
            POSIX = const $crate::sigmask::Policy::Posix as u8,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            maskless = sym $crate::posix::rctx_getcontext,
            SIG_SETMASK = const libc::SIG_SETMASK,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
    (maskless) => {
        context_asm!(
            "cmp r0, #0",
            "beq 8f",
            save!(),
            constant!("r2", "PLAIN"),
            "str r2, [r0, #{FLAGS}]",
            "mov r0, #0",
            "bx lr",
            "8:",
            "mov r0, #{EFAULT}",
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
            "cmp r0, #0",
            "beq 8f",
            compare_policy!(),
            "bne 6f",
            "ldr r2, [r0, #{FLAGS}]",
            constant!("r3", "PLAIN_MASK"),
            "cmp r2, r3",
            "bne 8f",
            exchange_mask!(
                "add r1, r0, #{SIGMASK}",
                "mov r2, #0" //                      the old mask is not wanted
            ),
            "bne 7f",
            "5:",
            "mov r1, r0",
            read_environment!(),
            load_context!(),
            "6:",
            "cmp r3, #{NONE}",
            "beq 9f",
            "ldr r2, [r0, #{FLAGS}]", //             policy track
            constant!("r3", "PLAIN_MASK"),
            "cmp r2, r3",
            "bne 8f",
            load_shadow!(),
            "bne 8f",
            "ldr r12, [r0, #{SIGMASK}]",
            "cmp r12, r2",
            "ldreq r12, [r0, #{SIGMASK} + 4]",
            "cmpeq r12, r3",
            "beq 5b",
            "b 8f",
            "9:",
            "b {maskless}",
            "7:",
            fail_with_status!(),
            "8:",
            "mov r1, #1",
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
            "cmp r0, #0",
            "beq 8f",
            "ldr r2, [r0, #{FLAGS}]",
            "orr r2, r2, #{MASK}",
            constant!("r3", "PLAIN_MASK"),
            "cmp r2, r3",
            "bne 8f",
            "mov r1, r0",
            read_environment!(),
            load_context!(),
            "8:",
            "mov r1, #0",
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
            describe_frame!(),
            "cmp r1, #0",
            "beq 8f",
            compare_policy!(),
            "bne 6f",
            "cmp r0, #0",
            "beq 8f",
            "ldr r2, [r1, #{FLAGS}]",
            constant!("r3", "PLAIN_MASK"),
            "cmp r2, r3",
            "bne 8f",
            "cmp r0, r1",
            "beq 8f", //                             its own mask stays
            exchange_mask!( //                       before the save: a failure leaves oucp as it was
                "add r2, r0, #{SIGMASK}", //         the old mask goes here
                "add r1, r1, #{SIGMASK}" //          the new one comes from here
            ),
            "bne 7f",
            "5:",
            constant!("r2", "PLAIN_MASK"),
            "str r2, [r0, #{FLAGS}]",
            save!(),
            load_context!(),
            "6:",
            "cmp r3, #{NONE}",
            "beq 4f",
            "cmp r0, #0", //                         policy track
            "beq 8f",
            "ldr r2, [r1, #{FLAGS}]",
            constant!("r3", "PLAIN_MASK"),
            "cmp r2, r3",
            "bne 8f",
            load_shadow!(),
            "bne 8f",
            "ldr r12, [r1, #{SIGMASK}]",
            "cmp r12, r2",
            "ldreq r12, [r1, #{SIGMASK} + 4]",
            "cmpeq r12, r3",
            "bne 8f",
            "str r2, [r0, #{SIGMASK}]",
            "str r3, [r0, #{SIGMASK} + 4]",
            "b 5b",
            "4:",
            "b {maskless}",
            "7:",
            fail_with_status!(),
            "8:",
            swap_slowly!("mov r2, #1") ;
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
            describe_frame!(),
            "cmp r1, #0",
            "cmpne r0, #0",
            "beq 8f",
            "ldr r2, [r1, #{FLAGS}]",
            "orr r2, r2, #{MASK}",
            constant!("r3", "PLAIN_MASK"),
            "cmp r2, r3",
            "bne 8f",
            "bic r2, r2, #{MASK}",
            "str r2, [r0, #{FLAGS}]",
            save!(),
            load_context!(),
            "8:",
            swap_slowly!("mov r2, #0") ;
            MASK = const $crate::context::MASK,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            prepare = sym $crate::context::prepare_swap,
            resume = sym $crate::context::resume,
        )
    };
}

/// `makecontext`: the one variable argument in a register becomes an array; the rest are one already.
macro_rules! makecontext {
    () => {
        core::arch::naked_asm!(
            ".fnstart",
            "push {{r3, lr}}",
            ".save {{lr}}",
            "add r12, sp, #8", //                    arguments that came on the stack
            "mov r3, sp", //                         and in a register
            "sub sp, sp, #8",
            ".pad #12",
            "str r12, [sp]",
            "bl {make}",
            "add sp, sp, #12",
            "pop {{pc}}",
            ".fnend",
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
    context_asm!(".cantunwind", "mov r1, r0", read_environment!(), load_context!() ;)
}

/// Resumes a context that was filled in by hand or by another implementation: with its floating-point
/// registers if there is a record of them, else with the running ones.
///
/// # Safety
/// As [`load`].
#[unsafe(naked)]
pub unsafe extern "C" fn load_foreign(ucp: *const ucontext_t) -> ! {
    context_asm!(
        ".cantunwind",
        "mov r1, r0",
        read_environment!(),
        "ldr r2, [r1, #{REGSPACE}]",
        constant!("r0", "VFP_MAGIC"),
        "cmp r2, r0",
        "bne 3f",
        load_vectors!(),
        "3:",
        load_registers!() ;
    )
}

/// The function that a context function returns into. Its caller is nobody: the unwinder stops here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".fnstart",
        ".cantunwind",
        "nop", //                                    the unwinder looks up what is before the return address
        "mov r0, r4", //                             uc_link
        "bl {finish}", //                            returns when the thread is to end
        "mov r0, #0",
        "bl {pthread_exit}",
        "udf #0",
        ".fnend",
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
        set_field(ucp, R4, link);
        set_field(ucp, R11, 0);
        set_field(ucp, LR, trampoline_return());
    }
}

/// Stores the running floating-point environment in `ucp`.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn capture_environment(ucp: *mut ucontext_t) {
    let environment;
    // SAFETY: the register is readable everywhere; every field lies inside the context.
    unsafe {
        asm!(read_environment!(), out("r3") environment, options(nostack, preserves_flags));
        set_field(ucp, FPSCR, environment);
        set_field(ucp, REGSPACE, VFP_MAGIC);
        set_field(ucp, REGSPACE + size_of::<usize>(), VFP_SIZE);
        set_field(ucp, LIST_END, 0);
        set_field(ucp, OWNER, thread_pointer());
    }
}
