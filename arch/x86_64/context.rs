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
            "# {FLAGS}{R8}{R9}{R12}{R13}{R14}{R15}{RDI}{RSI}{RBP}{RBX}{RDX}{RCX}{RSP}{RIP}{OWNER}{FPREGS}",
            "# {SIGMASK}{X87_CONTROL}{MXCSR}",
            FLAGS = const $crate::arch::FLAGS,
            R8 = const $crate::arch::R8,
            R9 = const $crate::arch::R9,
            R12 = const $crate::arch::R12,
            R13 = const $crate::arch::R13,
            R14 = const $crate::arch::R14,
            R15 = const $crate::arch::R15,
            RDI = const $crate::arch::RDI,
            RSI = const $crate::arch::RSI,
            RBP = const $crate::arch::RBP,
            RBX = const $crate::arch::RBX,
            RDX = const $crate::arch::RDX,
            RCX = const $crate::arch::RCX,
            RSP = const $crate::arch::RSP,
            RIP = const $crate::arch::RIP,
            OWNER = const $crate::arch::OWNER,
            FPREGS = const $crate::arch::FPREGS,
            SIGMASK = const $crate::arch::SIGMASK,
            X87_CONTROL = const $crate::arch::X87_CONTROL,
            MXCSR = const $crate::arch::MXCSR,
            $($operand)*
        )
    };
}

/// Saves the caller into the context at rdi. The return address is at [rsp]. Uses rax.
macro_rules! save {
    () => {
        concat!(
            "mov [rdi + {RBX}], rbx\n",
            "mov [rdi + {RBP}], rbp\n",
            "mov [rdi + {R12}], r12\n",
            "mov [rdi + {R13}], r13\n",
            "mov [rdi + {R14}], r14\n",
            "mov [rdi + {R15}], r15\n",
            "stmxcsr [rdi + {MXCSR}]\n",
            "fnstcw [rdi + {X87_CONTROL}]\n",
            "mov rax, [rsp]\n",
            "mov [rdi + {RIP}], rax\n", //           where the caller goes on
            "lea rax, [rsp + 8]\n",
            "mov [rdi + {RSP}], rax\n", //           as it will be after the return
            "mov rax, fs:[0]\n",
            "mov [rdi + {OWNER}], rax\n",
            "lea rax, [rdi + {X87_CONTROL}]\n",
            "mov [rdi + {FPREGS}], rax\n",
        )
    };
}

/// From here on the unwinder sees the context at rsi, whatever the registers hold: the CFA is its stack
/// pointer, and each callee-saved register is where the save put it. DW_OP_breg4 is rsi. A table of its own,
/// marked as a signal's frame is, so that the unwinder looks up the program counter itself and not the byte
/// before it, which belongs to another function when a fresh context starts at its first instruction.
macro_rules! cfi_in_context {
    () => {
        concat!(
            ".cfi_endproc\n",
            ".cfi_startproc\n",
            ".cfi_signal_frame\n",
            ".cfi_escape 0x0f, 4, 0x74, ({RSP} & 0x7f) | 0x80, {RSP} >> 7, 0x06\n",
            ".cfi_escape 0x10, 3, 3, 0x74, ({RBX} & 0x7f) | 0x80, {RBX} >> 7\n",
            ".cfi_escape 0x10, 6, 3, 0x74, ({RBP} & 0x7f) | 0x80, {RBP} >> 7\n",
            ".cfi_escape 0x10, 12, 3, 0x74, ({R12} & 0x7f) | 0x80, {R12} >> 7\n",
            ".cfi_escape 0x10, 13, 3, 0x74, ({R13} & 0x7f) | 0x80, {R13} >> 7\n",
            ".cfi_escape 0x10, 14, 3, 0x74, ({R14} & 0x7f) | 0x80, {R14} >> 7\n",
            ".cfi_escape 0x10, 15, 3, 0x74, ({R15} & 0x7f) | 0x80, {R15} >> 7\n",
            ".cfi_escape 0x10, 16, 3, 0x74, ({RIP} & 0x7f) | 0x80, {RIP} >> 7\n",
        )
    };
}

/// Behind a load: the unwinder sees the caller again.
macro_rules! cfi_of_caller {
    () => {
        ".cfi_endproc\n.cfi_startproc"
    };
}

/// Loads the registers of the context at rsi and goes on there; the floating-point environment is loaded.
macro_rules! load_registers {
    () => {
        concat!(
            "mov rbx, [rsi + {RBX}]\n",
            "mov rbp, [rsi + {RBP}]\n",
            "mov r12, [rsi + {R12}]\n",
            "mov r13, [rsi + {R13}]\n",
            "mov r14, [rsi + {R14}]\n",
            "mov r15, [rsi + {R15}]\n",
            "mov rdi, [rsi + {RDI}]\n",
            "mov rdx, [rsi + {RDX}]\n",
            "mov rcx, [rsi + {RCX}]\n",
            "mov r8, [rsi + {R8}]\n",
            "mov r9, [rsi + {R9}]\n",
            "mov r11, [rsi + {RIP}]\n",
            "xor eax, eax\n",
            "mov rsp, [rsi + {RSP}]\n",
            "mov rsi, [rsi + {RSI}]\n",
            ".cfi_def_cfa rsp, 0\n",
            ".cfi_register rip, r11\n",
            ".cfi_same_value rbx\n",
            ".cfi_same_value rbp\n",
            ".cfi_same_value r12\n",
            ".cfi_same_value r13\n",
            ".cfi_same_value r14\n",
            ".cfi_same_value r15\n",
            "jmp r11\n",
        )
    };
}

/// Resumes the context of ours at rsi.
macro_rules! load_context {
    () => {
        concat!(
            cfi_in_context!(),
            "ldmxcsr [rsi + {MXCSR}]\n",
            "fldcw [rsi + {X87_CONTROL}]\n",
            load_registers!(),
        )
    };
}

/// The same behind a save into the context at rdi, which holds the running control words. The x87 one is loaded
/// only where it differs, which saves a cycle or two; for MXCSR the look costs more than the load
/// (docs/performance.md).
macro_rules! load_other_context {
    () => {
        concat!(
            cfi_in_context!(),
            "ldmxcsr [rsi + {MXCSR}]\n",
            "movzx eax, word ptr [rdi + {X87_CONTROL}]\n",
            "cmp ax, [rsi + {X87_CONTROL}]\n",
            "je 6f\n",
            "fldcw [rsi + {X87_CONTROL}]\n",
            "6:\n",
            load_registers!(),
        )
    };
}

/// Asks the policy's slow path for the word to save with, and saves the caller into the context at rdi. The
/// word is 0 when errno is set: goes on at `finish_swap!`'s label 9 then.
macro_rules! prepare_swap {
    ($($arguments:literal),*) => {
        concat!(
            "sub rsp, 24\n", //                      two arguments, and the alignment
            ".cfi_adjust_cfa_offset 24\n",
            "mov [rsp], rdi\n",
            "mov [rsp + 8], rsi\n",
            $($arguments, "\n",)*
            "call {prepare}\n",
            "mov rdi, [rsp]\n",
            "mov rsi, [rsp + 8]\n",
            "add rsp, 24\n",
            ".cfi_adjust_cfa_offset -24\n",
            "test rax, rax\n",
            "jz 9f\n",
            "mov [rdi + {FLAGS}], rax\n",
            save!(),
        )
    };
}

/// Resumes the context at rsi, of whatever kind.
macro_rules! finish_swap {
    () => {
        concat!(
            "mov rdi, rsi\n",
            "sub rsp, 8\n",
            ".cfi_adjust_cfa_offset 8\n",
            "call {resume}\n", //                    does not return
            "ud2\n", //                              keeps the return address in this function
            ".cfi_adjust_cfa_offset -8\n",
            "9:\n",
            "mov eax, -1\n",
            "ret\n",
        )
    };
}

/// Where the fast path gives up.
macro_rules! swap_slowly {
    ($($arguments:literal),*) => {
        concat!(prepare_swap!($($arguments),*), finish_swap!())
    };
}

/// Loads the running thread's shadow of its mask into rax: not zero when it is unknown.
macro_rules! load_shadow {
    () => {
        concat!(
            "mov rax, [rip + {shadow}]\n",
            "mov rax, fs:[rax]\n",
            "test eax, {UNKNOWN}\n",
        )
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            "cmp byte ptr [rip + {policy}], {NONE}",
            "jae 4f",
            "test rdi, rdi",
            "jz 8f",
            "2:",
            "mov r8, rdi",
            "lea rdx, [rdi + {SIGMASK}]", //         the old mask goes here
            "xor esi, esi", //                       no new one
            "xor edi, edi",
            "mov r10d, {SIGSET_SIZE}",
            "mov eax, {SYS_rt_sigprocmask}",
            "syscall", //                            the kernel keeps all but rax, rcx and r11
            "mov rdi, r8",
            "test eax, eax",
            "jnz 7f",
            "3:",
            save!(),
            "mov rax, [rip + {captured}]",
            "or rax, {MASK}",
            "mov [rdi + {FLAGS}], rax",
            "xor eax, eax",
            "ret",
            "4:",
            "je {maskless}",
            "test rdi, rdi", //                      policy track
            "jz 8f",
            load_shadow!(),
            "jnz 2b",
            "mov [rdi + {SIGMASK}], rax",
            "jmp 3b",
            "7:",
            "mov edi, eax",
            "neg edi",
            "jmp {fail}",
            "8:",
            "mov edi, {EFAULT}",
            "jmp {fail}" ;
            policy = sym $crate::sigmask::POLICY,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            maskless = sym $crate::posix::rctx_getcontext,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            captured = sym $crate::fibers::CAPTURED,
            MASK = const $crate::context::MASK,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
    (maskless) => {
        context_asm!(
            "test rdi, rdi",
            "jz 8f",
            save!(),
            "mov rax, [rip + {captured}]",
            "mov [rdi + {FLAGS}], rax",
            "xor eax, eax",
            "ret",
            "8:",
            "mov edi, {EFAULT}",
            "jmp {fail}" ;
            captured = sym $crate::fibers::CAPTURED,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
}

macro_rules! setcontext {
    (masked) => {
        context_asm!(
            "cmp byte ptr [rip + {policy}], {NONE}",
            "jae 4f",
            "test rdi, rdi",
            "jz 8f",
            "cmp qword ptr [rdi + {FLAGS}], {PLAIN_MASK}",
            "jne 8f",
            "mov r8, rdi",
            "lea rsi, [rdi + {SIGMASK}]",
            "xor edx, edx", //                       the old mask is not wanted
            "mov edi, {SIG_SETMASK}",
            "mov r10d, {SIGSET_SIZE}",
            "mov eax, {SYS_rt_sigprocmask}",
            "syscall",
            "test eax, eax",
            "jnz 7f",
            "mov rsi, r8",
            "3:",
            load_context!(),
            cfi_of_caller!(),
            "4:",
            "je {maskless}",
            "test rdi, rdi", //                      policy track
            "jz 8f",
            "cmp qword ptr [rdi + {FLAGS}], {PLAIN_MASK}",
            "jne 8f",
            load_shadow!(),
            "jnz 8f",
            "mov rsi, rdi",
            "cmp rax, [rdi + {SIGMASK}]",
            "je 3b",
            "jmp 8f",
            "7:",
            "mov edi, eax",
            "neg edi",
            "jmp {fail}",
            "8:",
            "mov esi, 1",
            "jmp {resume_or_fail}" ;
            policy = sym $crate::sigmask::POLICY,
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
            "test rdi, rdi",
            "jz 8f",
            "mov rax, [rdi + {FLAGS}]",
            "or rax, {MASK}",
            "cmp rax, {PLAIN_MASK}",
            "jne 8f",
            "mov rsi, rdi",
            load_context!(),
            cfi_of_caller!(),
            "8:",
            "xor esi, esi",
            "jmp {resume_or_fail}" ;
            MASK = const $crate::context::MASK,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
}

/// A swap that leaves the mask alone.
macro_rules! swap_maskless {
    () => {
        concat!(
            "test rsi, rsi\n",
            "jz 8f\n",
            "mov rax, [rsi + {FLAGS}]\n",
            "test rdi, rdi\n",
            "jz 8f\n",
            "or rax, {MASK}\n",
            "cmp rax, {PLAIN_MASK}\n",
            "jne 8f\n",
            save!(),
            "mov qword ptr [rdi + {FLAGS}], {PLAIN}\n",
            load_other_context!(),
            cfi_of_caller!(),
            "\n8:\n",
            swap_slowly!("xor edx, edx"),
        )
    };
}

macro_rules! swapcontext {
    (masked) => {
        context_asm!(
            "cmp byte ptr [rip + {policy}], {NONE}",
            "jne 2f",
            swap_maskless!(),
            "2:",
            "ja 4f",
            "test rsi, rsi",
            "jz 8f",
            "test rdi, rdi",
            "jz 8f",
            "cmp qword ptr [rsi + {FLAGS}], {PLAIN_MASK}",
            "jne 8f",
            "cmp rdi, rsi",
            "je 8f", //                              its own mask stays
            "mov r8, rdi",
            "mov r9, rsi",
            "lea rdx, [rdi + {SIGMASK}]", //         the old mask goes here
            "add rsi, {SIGMASK}", //                 the new one comes from here
            "mov edi, {SIG_SETMASK}",
            "mov r10d, {SIGSET_SIZE}",
            "mov eax, {SYS_rt_sigprocmask}",
            "syscall", //                            before the save: a failure leaves oucp as it was
            "mov rdi, r8",
            "mov rsi, r9",
            "test eax, eax",
            "jnz 7f",
            "3:",
            save!(),
            "mov qword ptr [rdi + {FLAGS}], {PLAIN_MASK}",
            load_other_context!(),
            cfi_of_caller!(),
            "4:", //                                 policy track
            "test rsi, rsi",
            "jz 8f",
            "test rdi, rdi",
            "jz 8f",
            "cmp qword ptr [rsi + {FLAGS}], {PLAIN_MASK}",
            "jne 8f",
            load_shadow!(),
            "jnz 8f",
            "cmp rax, [rsi + {SIGMASK}]",
            "jne 8f",
            "mov [rdi + {SIGMASK}], rax",
            "jmp 3b",
            "7:",
            "mov edi, eax",
            "neg edi",
            "jmp {fail}",
            "8:",
            swap_slowly!("mov edx, 1") ;
            policy = sym $crate::sigmask::POLICY,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            MASK = const $crate::context::MASK,
            PLAIN = const $crate::context::PLAIN,
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
            swap_maskless!() ;
            MASK = const $crate::context::MASK,
            PLAIN = const $crate::context::PLAIN,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            prepare = sym $crate::context::prepare_swap,
            resume = sym $crate::context::resume,
        )
    };
}

/// `makecontext`: the three variable arguments in registers are laid out as an array; the rest are one already.
macro_rules! makecontext {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "sub rsp, 24",
            ".cfi_adjust_cfa_offset 24",
            "mov [rsp], rcx",
            "mov [rsp + 8], r8",
            "mov [rsp + 16], r9",
            "mov rcx, rsp", //                       arguments that came in registers
            "lea r8, [rsp + 32]", //                 and on the stack, behind the return address
            "call {make}",
            "add rsp, 24",
            ".cfi_adjust_cfa_offset -24",
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
    context_asm!("mov rsi, rdi", load_context!() ;)
}

/// Resumes a context that was filled in by hand or by another implementation: its floating-point environment
/// is where its pointer says, or the running one when that is null.
///
/// # Safety
/// As [`load`]; `fpregs` is null or points to an FXSAVE image.
#[unsafe(naked)]
pub unsafe extern "C" fn load_foreign(ucp: *const ucontext_t) -> ! {
    context_asm!(
        "mov rsi, rdi",
        cfi_in_context!(),
        "mov rax, [rsi + {FPREGS}]",
        "test rax, rax",
        "jz 2f",
        "ldmxcsr [rax + {MXCSR_IN_FPREGS}]",
        "fldcw [rax]",
        "2:",
        load_registers!() ;
        MXCSR_IN_FPREGS = const MXCSR_IN_FPREGS,
    )
}

/// The function that a context function returns into. Its caller is nobody: the unwinder stops here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "nop", //                                    the unwinder looks up the return address less one
        "mov rdi, rbx", //                           uc_link
        "call {finish}", //                          returns when the thread is to end
        "xor edi, edi",
        "call {pthread_exit}",
        "ud2",
        ".cfi_endproc",
        finish = sym context::finish,
        pthread_exit = sym libc::pthread_exit,
    )
}

/// The return address of a context function: behind the trampoline's `nop`.
fn trampoline_return() -> usize {
    trampoline as *const () as usize + 1
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
        frame.write(trampoline_return());
        set_field(ucp, RSP, sp);
        set_field(ucp, RIP, func);
        set_field(ucp, RBX, link);
        set_field(ucp, RBP, 0);
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
            "stmxcsr [{0} + {MXCSR}]",
            "fnstcw [{0} + {X87_CONTROL}]",
            in(reg) ucp, MXCSR = const MXCSR, X87_CONTROL = const X87_CONTROL,
            options(nostack, preserves_flags),
        );
        set_field(ucp, FPREGS, ucp as usize + X87_CONTROL);
        set_field(ucp, OWNER, thread_pointer());
    }
}
