//! The table of instruction sets. A port is a folder of `arch/` and one row here; it provides:
//!
//! | name | kind | what it does |
//! | --- | --- | --- |
//! | `getcontext!`, `setcontext!`, `swapcontext!` | body | with the argument `masked` or `maskless`; the fast path, and calls of `context::` for every other case |
//! | `makecontext!` | body | passes its variable arguments on as two arrays to `posix::make` |
//! | `swapcontext_sliced!`, `getcontext_sliced!` | body | calls `sliced::suspend` or `sliced::capture`, then saves the registers |
//! | `slice_swap!` | body | calls `slice::swap`, copies registers and stack into the block of `*from`, puts the target's bytes back |
//! | `slice_start!` | body | pushes the registers, calls `slice::start`, goes on at the base |
//! | `switch!`, `call!`, `stacktop!` | body | `rctx_switch`, `rctx_call`, `getstacktop` |
//! | `NAME` | constant | the machine's name, for the reader |
//! | `CALLEE_AREA` | constant | bytes above a caller's stack pointer that its callees write |
//! | `STACK_ALIGN` | constant | the stack pointer's alignment at a call, in bytes |
//! | `ARGUMENT_REGISTERS` | constant | where integer arguments that come in registers lie in a context |
//! | `ENTRY_AREA` | constant | bytes between the stack pointer and the stack arguments at a function's entry |
//! | `LINKED` | constant | the part of a context behind a pointer, if there is one |
//! | `LAYOUT` | table | every offset and size of `ucontext_t` in use, for the comparison with `<ucontext.h>` |
//! | `PROGRAM_COUNTER`, `STACK_POINTER`, `OWNER` | constant | fields of a saved context: where it goes on (not all are 0), on which stack, whose it is |
//! | `thread_pointer` | function | what identifies the running thread |
//! | `set_entry` | function | the registers of a fresh context |
//! | `capture_environment` | function | stores the floating-point environment |
//! | `copy` | function | moves stack bytes without calling anything a sanitizer watches |
//! | `valgrind_request` | function | valgrind's client request, and its answer; may be empty, and 0 |
//! | `load`, `load_foreign`, `restore` | function | resume; do not return |
//! | `kernel_frame`, `frame_size`, `FRAME_ALIGN`, `KERNEL_UCONTEXT_SIZE`, `relocate_frame`, `edit_frame`, `sigreturn` | function | contexts that the kernel made for a signal handler |
//!
//! A body expands to the one `naked_asm!` of an exported function, so that documentation and signature
//! stand once, in `src/`. Each body writes its own unwind table.

/// A port's table of fields: constants with their offsets, and [`LAYOUT`].
macro_rules! layout {
    ($($name:ident = $field:tt: $offset:expr;)*) => {
        $(pub const $name: usize = $offset;)*
        /// Each field in use as a C designator, with its offset; the type's own size is what is touched.
        pub const LAYOUT: &[(&str, usize)] = &[$(($field, $name)),*];
    };
}

macro_rules! architectures {
    ($($name:literal => $path:literal),* $(,)?) => {
        $(
            #[cfg(target_arch = $name)]
            #[path = $path]
            #[macro_use]
            mod port;
        )*
        #[cfg(not(any($(target_arch = $name),*)))]
        compile_error!("rctx does not know this instruction set yet: \
                        CONTRIBUTING.md, \"A new port in five steps\", says how to add it");
    };
}

architectures! {
    "aarch64" => "../arch/aarch64/mod.rs",
    "arm" => "../arch/arm/mod.rs",
    "loongarch64" => "../arch/loongarch64/mod.rs",
    "powerpc64" => "../arch/powerpc64/mod.rs",
    "riscv64" => "../arch/riscv64/mod.rs",
    "s390x" => "../arch/s390x/mod.rs",
    "x86" => "../arch/i686/mod.rs",
    "x86_64" => "../arch/x86_64/mod.rs",
}

pub use port::*;

/// The libc crate lacks it for powerpc64 with musl, and part of it for loongarch64: those ports bring their own.
#[cfg(not(any(
    all(target_arch = "powerpc64", target_env = "musl"),
    target_arch = "loongarch64"
)))]
pub use libc::ucontext_t;

/// What a context that no save of ours wrote turns out to be.
#[allow(dead_code)] // a port where nothing in a frame depends on its address has no `Assigned`
pub enum KernelFrame {
    /// The structure that the kernel made, or a copy as good as that.
    Original,
    /// An assigned copy of it: some of its registers are not where the kernel would look.
    Assigned,
    /// Neither.
    No,
}

/// A part of a context that is found by a pointer, which an assignment leaves at the source.
pub struct Linked {
    /// The offset of the pointer.
    pub link: usize,
    /// The offset of the part inside a context of ours.
    pub area: usize,
    /// Its size in bytes.
    pub size: usize,
}

/// Reads the machine word at `offset` of a context.
///
/// # Safety
/// `ucp` points to a `ucontext_t`; `offset` is one of [`LAYOUT`].
pub unsafe fn field(ucp: *const ucontext_t, offset: usize) -> usize {
    // SAFETY: the caller's promise; the field may be uninitialised for Rust's rules, hence volatile.
    unsafe { ucp.byte_add(offset).cast::<usize>().read_volatile() }
}

/// Writes the machine word at `offset` of a context.
///
/// # Safety
/// As [`field`], and writable.
pub unsafe fn set_field(ucp: *mut ucontext_t, offset: usize, value: usize) {
    // SAFETY: the caller's promise.
    unsafe { ucp.byte_add(offset).cast::<usize>().write(value) }
}

/// True for a context that says where to go on, and on which stack.
///
/// # Safety
/// `ucp` points to a `ucontext_t`.
pub unsafe fn has_registers(ucp: *const ucontext_t) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        stack_pointer(ucp) != 0 && PROGRAM_COUNTER.iter().any(|&offset| field(ucp, offset) != 0)
    }
}

/// The stack pointer that a saved context goes on with.
///
/// # Safety
/// `ucp` points to a `ucontext_t`.
pub unsafe fn stack_pointer(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    unsafe { field(ucp, STACK_POINTER) }
}

/// The [`thread_pointer`] of the thread that saved a context.
///
/// # Safety
/// `ucp` points to a context that a save of ours wrote.
pub unsafe fn owner(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    unsafe { field(ucp, OWNER) }
}

/// Makes the pointer of a context to its [`Linked`] part lead into the context itself, after a copy.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn own_linked(ucp: *mut ucontext_t) {
    if let Some(Linked { link, area, .. }) = LINKED {
        // SAFETY: the caller's promise.
        unsafe { set_field(ucp, link, ucp as usize + area) }
    }
}

/// Takes the [`Linked`] part of a context that is not ours into the context itself.
///
/// # Safety
/// `ucp` is writable; its pointer is null or leads to such a part.
pub unsafe fn adopt_linked(ucp: *mut ucontext_t) {
    if let Some(Linked { link, area, size }) = LINKED {
        // SAFETY: the caller's promise; both parts are of that size.
        unsafe {
            let part = field(ucp, link);
            if part != 0 {
                core::ptr::copy(part as *const u8, ucp.byte_add(area).cast(), size);
                set_field(ucp, link, ucp as usize + area);
            }
        }
    }
}

/// Makes the pointer of `ucp` lead to the [`Linked`] part of the frame that it keeps.
///
/// # Safety
/// `ucp` is writable, `frame` a kernel frame.
pub unsafe fn share_linked(ucp: *mut ucontext_t, frame: *const ucontext_t) {
    if let Some(Linked { link, .. }) = LINKED {
        // SAFETY: the caller's promise.
        unsafe { set_field(ucp, link, field(frame, link)) }
    }
}
