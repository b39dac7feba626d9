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
            "# {FLAGS}{EDI}{ESI}{EBP}{ESP}{EBX}{EIP}{OWNER}{FPREGS}{SIGMASK}{X87_CONTROL}{MXCSR}",
            FLAGS = const $crate::arch::FLAGS,
            EDI = const $crate::arch::EDI,
            ESI = const $crate::arch::ESI,
            EBP = const $crate::arch::EBP,
            ESP = const $crate::arch::ESP,
            EBX = const $crate::arch::EBX,
            EIP = const $crate::arch::EIP,
            OWNER = const $crate::arch::OWNER,
            FPREGS = const $crate::arch::FPREGS,
            SIGMASK = const $crate::arch::SIGMASK,
            X87_CONTROL = const $crate::arch::X87_CONTROL,
            MXCSR = const $crate::arch::MXCSR,
            $($operand)*
        )
    };
}

/// Saves the caller into the context at ecx. The return address is at [esp]. Uses eax.
macro_rules! save {
    () => {
        concat!(
            "mov [ecx + {EBX}], ebx\n",
            "mov [ecx + {ESI}], esi\n",
            "mov [ecx + {EDI}], edi\n",
            "mov [ecx + {EBP}], ebp\n",
            "stmxcsr [ecx + {MXCSR}]\n",
            "fnstcw [ecx + {X87_CONTROL}]\n",
            "mov eax, [esp]\n",
            "mov [ecx + {EIP}], eax\n", //           where the caller goes on
            "lea eax, [esp + 4]\n",
            "mov [ecx + {ESP}], eax\n", //           as it will be after the return
            "mov eax, gs:[0]\n",
            "mov [ecx + {OWNER}], eax\n",
            "lea eax, [ecx + {X87_CONTROL}]\n",
            "mov [ecx + {FPREGS}], eax\n",
        )
    };
}

/// From here on the unwinder sees the context at edx, whatever the registers hold: the CFA is its stack
/// pointer, and each callee-saved register is where the save put it. DW_OP_breg2 is edx. A table of its own,
/// marked as a signal's frame is, so that the unwinder looks up the program counter itself and not the byte
/// before it, which belongs to another function when a fresh context starts at its first instruction.
macro_rules! cfi_in_context {
    () => {
        concat!(
            ".cfi_endproc\n",
            ".cfi_startproc\n",
            ".cfi_signal_frame\n",
            ".cfi_escape 0x0f, 4, 0x72, ({ESP} & 0x7f) | 0x80, {ESP} >> 7, 0x06\n",
            ".cfi_escape 0x10, 3, 3, 0x72, ({EBX} & 0x7f) | 0x80, {EBX} >> 7\n",
            ".cfi_escape 0x10, 5, 3, 0x72, ({EBP} & 0x7f) | 0x80, {EBP} >> 7\n",
            ".cfi_escape 0x10, 6, 3, 0x72, ({ESI} & 0x7f) | 0x80, {ESI} >> 7\n",
            ".cfi_escape 0x10, 7, 3, 0x72, ({EDI} & 0x7f) | 0x80, {EDI} >> 7\n",
            ".cfi_escape 0x10, 8, 3, 0x72, ({EIP} & 0x7f) | 0x80, {EIP} >> 7\n",
        )
    };
}

/// Behind a load: the unwinder sees the caller again.
macro_rules! cfi_of_caller {
    () => {
        ".cfi_endproc\n.cfi_startproc"
    };
}

/// Loads the registers of the context at edx and goes on there; the floating-point environment is loaded.
macro_rules! load_registers {
    () => {
        concat!(
            "mov ebx, [edx + {EBX}]\n",
            "mov esi, [edx + {ESI}]\n",
            "mov edi, [edx + {EDI}]\n",
            "mov ebp, [edx + {EBP}]\n",
            "mov ecx, [edx + {EIP}]\n",
            "xor eax, eax\n",
            "mov esp, [edx + {ESP}]\n",
            ".cfi_def_cfa esp, 0\n",
            ".cfi_register eip, ecx\n",
            ".cfi_same_value ebx\n",
            ".cfi_same_value esi\n",
            ".cfi_same_value edi\n",
            ".cfi_same_value ebp\n",
            "jmp ecx\n",
        )
    };
}

/// Resumes the context of ours at edx.
macro_rules! load_context {
    () => {
        concat!(
            cfi_in_context!(),
            "ldmxcsr [edx + {MXCSR}]\n",
            "fldcw [edx + {X87_CONTROL}]\n",
            load_registers!(),
        )
    };
}

/// Compares the policy with POSIX. Uses eax, which holds the GOT's address in between.
macro_rules! compare_policy {
    () => {
        concat!(
            "call 2f\n", //                          processors know it from a call that returns
            ".cfi_adjust_cfa_offset 4\n",
            "2:\n",
            "pop eax\n",
            ".cfi_adjust_cfa_offset -4\n",
            "add eax, offset _GLOBAL_OFFSET_TABLE_ + 1\n", // the length of the pop
            "cmp byte ptr [eax + {policy}@GOTOFF], {POSIX}\n",
        )
    };
}

/// The system call that installs the mask at ecx and stores the one before at edx, either of which may be
/// null. Its outcome is in eax; the kernel keeps every other register.
macro_rules! exchange_mask {
    () => {
        concat!(
            "push ebx\n",
            ".cfi_adjust_cfa_offset 4\n",
            ".cfi_rel_offset ebx, 0\n",
            "push esi\n",
            ".cfi_adjust_cfa_offset 4\n",
            ".cfi_rel_offset esi, 0\n",
            "mov ebx, {SIG_SETMASK}\n",
            "mov esi, {SIGSET_SIZE}\n",
            "mov eax, {SYS_rt_sigprocmask}\n",
            "int 0x80\n",
            "pop esi\n",
            ".cfi_adjust_cfa_offset -4\n",
            ".cfi_same_value esi\n",
            "pop ebx\n",
            ".cfi_adjust_cfa_offset -4\n",
            ".cfi_same_value ebx\n",
        )
    };
}

/// Sets errno to what the system call has left in eax, and returns -1. The caller's first argument is the
/// callee's to change.
macro_rules! fail_with_eax {
    () => {
        concat!(
            "neg eax\n", //                          the kernel answers -errno
            "mov [esp + 4], eax\n",
            "jmp {fail}\n",
        )
    };
}

macro_rules! fail_with_efault {
    () => {
        concat!(
            "mov dword ptr [esp + 4], {EFAULT}\n", // in place of the first argument
            "jmp {fail}\n",
        )
    };
}

/// Asks the policy's slow path for the word to save with, and saves the caller into the first argument. The
/// word is 0 when errno is set: goes on at `finish_swap!`'s label 9 then. Leaves the second argument in edx.
macro_rules! prepare_swap {
    ($($argument:literal),*) => {
        concat!(
            "sub esp, 28\n", //                      up to five arguments, and the alignment
            ".cfi_adjust_cfa_offset 28\n",
            "mov eax, [esp + 32]\n",
            "mov [esp], eax\n",
            "mov eax, [esp + 36]\n",
            "mov [esp + 4], eax\n",
            $($argument, "\n",)*
            "call {prepare}\n",
            "add esp, 28\n",
            ".cfi_adjust_cfa_offset -28\n",
            "test eax, eax\n",
            "jz 9f\n",
            "mov ecx, [esp + 4]\n",
            "mov edx, [esp + 8]\n",
            "mov [ecx + {FLAGS}], eax\n",
            save!(),
        )
    };
}

/// Resumes the context at edx, of whatever kind.
macro_rules! finish_swap {
    () => {
        concat!(
            "sub esp, 28\n",
            ".cfi_adjust_cfa_offset 28\n",
            "mov [esp], edx\n",
            "call {resume}\n", //                    does not return
            "ud2\n", //                              keeps the return address in this function
            ".cfi_adjust_cfa_offset -28\n",
            "9:\n",
            "mov eax, -1\n",
            "ret\n",
        )
    };
}

/// Where the fast path of `swapcontext` gives up.
macro_rules! swap_slowly {
    ($masked:literal) => {
        concat!(prepare_swap!($masked), finish_swap!())
    };
}

/// Where the fast path of `setcontext` gives up.
macro_rules! set_slowly {
    ($masked:literal) => {
        concat!(
            "sub esp, 28\n",
            ".cfi_adjust_cfa_offset 28\n",
            "mov eax, [esp + 32]\n",
            "mov [esp], eax\n",
            "mov dword ptr [esp + 4], ",
            $masked,
            "\n",
            "call {resume_or_fail}\n",
            "add esp, 28\n",
            ".cfi_adjust_cfa_offset -28\n",
            "ret\n",
        )
    };
}

/// `rctx_getcontext`; the masked function goes on here, too, because a jump to a function that others may
/// replace would need a GOT pointer.
macro_rules! get_maskless {
    () => {
        concat!(
            "mov ecx, [esp + 4]\n",
            "test ecx, ecx\n",
            "jz 8f\n",
            save!(),
            "mov dword ptr [ecx + {FLAGS}], {PLAIN}\n",
            "xor eax, eax\n",
            "ret\n",
            "8:\n",
            fail_with_efault!(),
        )
    };
}

macro_rules! set_maskless {
    () => {
        concat!(
            "mov edx, [esp + 4]\n",
            "test edx, edx\n",
            "jz 8f\n",
            "mov eax, [edx + {FLAGS}]\n",
            "or eax, {MASK}\n",
            "cmp eax, {PLAIN_MASK}\n",
            "jne 8f\n",
            load_context!(),
            cfi_of_caller!(),
            "\n8:\n",
            set_slowly!("0"),
        )
    };
}

macro_rules! swap_maskless {
    () => {
        concat!(
            "mov ecx, [esp + 4]\n",
            "mov edx, [esp + 8]\n",
            "test edx, edx\n",
            "jz 8f\n",
            "test ecx, ecx\n",
            "jz 8f\n",
            "mov eax, [edx + {FLAGS}]\n",
            "or eax, {MASK}\n",
            "cmp eax, {PLAIN_MASK}\n",
            "jne 8f\n",
            save!(),
            "mov dword ptr [ecx + {FLAGS}], {PLAIN}\n",
            load_context!(),
            cfi_of_caller!(),
            "\n8:\n",
            swap_slowly!("mov dword ptr [esp + 8], 0"),
        )
    };
}

/// With the GOT's address in eax, loads the running thread's shadow of its mask into eax, low, and ecx, high, and tells
/// whether it is unknown: not zero. The low word, which tells it, comes last: a signal in between makes it so.
macro_rules! load_shadow {
    () => {
        concat!(
            "mov eax, [eax + {shadow}@GOTOFF]\n",
            "mov ecx, gs:[eax + 4]\n",
            "mov eax, gs:[eax]\n",
            "test eax, {UNKNOWN}\n",
        )
    };
}

/// Behind `compare_policy!`, under another policy than POSIX: goes on at 6 under NONE.
macro_rules! compare_none {
    () => {
        concat!(
            "cmp byte ptr [eax + {policy}@GOTOFF], {NONE}\n",
            "je 6f\n",
        )
    };
}

macro_rules! getcontext {
    (masked) => {
        context_asm!(
            "cmp dword ptr [esp + 4], 0",
            "je 6f",
            compare_policy!(),
            "jne 4f",
            "3:",
            "xor ecx, ecx", //                       no new mask
            "mov edx, [esp + 4]",
            "add edx, {SIGMASK}", //                 the old one goes here
            exchange_mask!(),
            "test eax, eax",
            "jnz 7f",
            "mov ecx, [esp + 4]",
            "5:",
            save!(),
            "mov dword ptr [ecx + {FLAGS}], {PLAIN_MASK}",
            "xor eax, eax",
            "ret",
            "4:",
            compare_none!(),
            load_shadow!(), //                       policy track
            "jnz 3b",
            "mov edx, [esp + 4]",
            "mov [edx + {SIGMASK}], eax",
            "mov [edx + {SIGMASK} + 4], ecx",
            "mov ecx, edx",
            "jmp 5b",
            "7:",
            fail_with_eax!(),
            "6:",
            get_maskless!() ;
            policy = sym $crate::sigmask::POLICY,
            POSIX = const $crate::sigmask::Policy::Posix as u8,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            SIG_SETMASK = const libc::SIG_SETMASK,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            PLAIN = const $crate::context::PLAIN,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
    (maskless) => {
        context_asm!(
            get_maskless!() ;
            PLAIN = const $crate::context::PLAIN,
            EFAULT = const libc::EFAULT,
            fail = sym $crate::context::fail,
        )
    };
}

macro_rules! setcontext {
    (masked) => {
        context_asm!(
            "mov edx, [esp + 4]",
            "test edx, edx",
            "jz 5f",
            compare_policy!(),
            "jne 4f",
            "cmp dword ptr [edx + {FLAGS}], {PLAIN_MASK}",
            "jne 5f",
            "lea ecx, [edx + {SIGMASK}]",
            "xor edx, edx", //                       the old mask is not wanted
            exchange_mask!(),
            "test eax, eax",
            "jnz 7f",
            "mov edx, [esp + 4]",
            "3:",
            load_context!(),
            cfi_of_caller!(),
            "4:",
            compare_none!(),
            "cmp dword ptr [edx + {FLAGS}], {PLAIN_MASK}", // policy track
            "jne 5f",
            load_shadow!(),
            "jnz 5f",
            "cmp eax, [edx + {SIGMASK}]",
            "jne 5f",
            "cmp ecx, [edx + {SIGMASK} + 4]",
            "je 3b",
            "jmp 5f",
            "7:",
            fail_with_eax!(),
            "5:",
            set_slowly!("1"),
            "6:",
            set_maskless!() ;
            policy = sym $crate::sigmask::POLICY,
            POSIX = const $crate::sigmask::Policy::Posix as u8,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            SIG_SETMASK = const libc::SIG_SETMASK,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            MASK = const $crate::context::MASK,
            fail = sym $crate::context::fail,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
    (maskless) => {
        context_asm!(
            set_maskless!() ;
            MASK = const $crate::context::MASK,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            resume_or_fail = sym $crate::context::resume_or_fail,
        )
    };
}

macro_rules! swapcontext {
    (masked) => {
        context_asm!(
            "mov ecx, [esp + 4]",
            "mov edx, [esp + 8]",
            "test edx, edx",
            "jz 5f",
            compare_policy!(),
            "jne 4f",
            "test ecx, ecx",
            "jz 5f",
            "cmp dword ptr [edx + {FLAGS}], {PLAIN_MASK}",
            "jne 5f",
            "cmp ecx, edx",
            "je 5f", //                              its own mask stays
            "xchg ecx, edx",
            "add ecx, {SIGMASK}", //                 the new mask comes from here
            "add edx, {SIGMASK}", //                 the old one goes here
            exchange_mask!(), //                     before the save: a failure leaves oucp as it was
            "test eax, eax",
            "jnz 7f",
            "mov ecx, [esp + 4]",
            "mov edx, [esp + 8]",
            "3:",
            save!(),
            "mov dword ptr [ecx + {FLAGS}], {PLAIN_MASK}",
            load_context!(),
            cfi_of_caller!(),
            "4:",
            compare_none!(),
            "test ecx, ecx", //                      policy track
            "jz 5f",
            "cmp dword ptr [edx + {FLAGS}], {PLAIN_MASK}",
            "jne 5f",
            load_shadow!(),
            "jnz 5f",
            "cmp eax, [edx + {SIGMASK}]",
            "jne 5f",
            "cmp ecx, [edx + {SIGMASK} + 4]",
            "jne 5f",
            "mov edx, [esp + 4]",
            "mov [edx + {SIGMASK}], eax",
            "mov [edx + {SIGMASK} + 4], ecx",
            "mov ecx, edx",
            "mov edx, [esp + 8]",
            "jmp 3b",
            "7:",
            fail_with_eax!(),
            "5:",
            swap_slowly!("mov dword ptr [esp + 8], 1"),
            "6:",
            swap_maskless!() ;
            policy = sym $crate::sigmask::POLICY,
            POSIX = const $crate::sigmask::Policy::Posix as u8,
            NONE = const $crate::sigmask::Policy::None as u8,
            shadow = sym $crate::sigmask::SHADOW,
            UNKNOWN = const $crate::tracking::UNKNOWN,
            SIG_SETMASK = const libc::SIG_SETMASK,
            SIGSET_SIZE = const $crate::sigmask::KERNEL_SIGSET_SIZE,
            SYS_rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            PLAIN_MASK = const $crate::context::PLAIN_MASK,
            PLAIN = const $crate::context::PLAIN,
            MASK = const $crate::context::MASK,
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

/// `makecontext`: the variable arguments are an array already, behind the return address and three others.
macro_rules! makecontext {
    () => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "sub esp, 28",
            ".cfi_adjust_cfa_offset 28",
            "lea eax, [esp + 44]",
            "mov [esp + 16], eax",
            "mov dword ptr [esp + 12], 0", //        none came in registers
            "mov eax, [esp + 40]",
            "mov [esp + 8], eax",
            "mov eax, [esp + 36]",
            "mov [esp + 4], eax",
            "mov eax, [esp + 32]",
            "mov [esp], eax",
            "call {make}",
            "add esp, 28",
            ".cfi_adjust_cfa_offset -28",
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
    context_asm!("mov edx, [esp + 4]", load_context!() ;)
}

/// Resumes a context that was filled in by hand or by another implementation: its x87 control word is where its
/// pointer says, or the running one when that is null; the image that libc defines has no MXCSR.
///
/// # Safety
/// As [`load`]; `fpregs` is null or points to an FNSTENV image.
#[unsafe(naked)]
pub unsafe extern "C" fn load_foreign(ucp: *const ucontext_t) -> ! {
    context_asm!(
        "mov edx, [esp + 4]",
        cfi_in_context!(),
        "mov eax, [edx + {FPREGS}]",
        "test eax, eax",
        "jz 2f",
        "fldcw [eax]",
        "2:",
        load_registers!() ;
    )
}

/// The function that a context function returns into. Its caller is nobody: the unwinder stops here.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined eip",
        "nop", //                                    the unwinder looks up the return address less one
        "sub esp, 16",
        "mov [esp], ebx", //                         uc_link
        "call {finish}", //                          returns when the thread is to end
        "call {end_of_thread}",
        "mov dword ptr [esp], 0",
        "call eax",
        "ud2",
        ".cfi_endproc",
        finish = sym context::finish,
        end_of_thread = sym end_of_thread,
    )
}

/// The address of `pthread_exit`.
extern "C" fn end_of_thread() -> usize {
    libc::pthread_exit as *const () as usize
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
        set_field(ucp, ESP, sp);
        set_field(ucp, EIP, func);
        set_field(ucp, EBX, link);
        set_field(ucp, EBP, 0);
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
