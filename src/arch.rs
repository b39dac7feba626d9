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
//! | `VARIADIC_REGISTERS` | constant | how many of `makecontext`'s variable arguments come in registers |
//! | `CALLEE_AREA` | constant | bytes above a caller's stack pointer that its callees write |
//! | `START_FRAME` | constant | bytes of the first frame of a sliced context |
//! | `LAYOUT` | table | every offset and size of `ucontext_t` in use, for the comparison with `<ucontext.h>` |
//! | `program_counter`, `stack_pointer`, `owner` | function | fields of a saved context |
//! | `thread_pointer` | function | what identifies the running thread |
//! | `make_entry` | function | registers and first frame of a fresh context |
//! | `capture_environment`, `own_environment` | function | the floating-point environment |
//! | `copy` | function | moves stack bytes without calling anything a sanitizer watches |
//! | `valgrind_request` | function | valgrind's client request; may be empty |
//! | `load`, `load_foreign`, `restore` | function | resume; do not return |
//! | `kernel_frame`, `relocate_frame`, `share_environment`, `edit_frame`, `sigreturn` | function | contexts that the kernel made for a signal handler |
//!
//! A body expands to the one `naked_asm!` of an exported function, so that documentation and signature
//! stand once, in `src/`. Each body writes its own unwind table.

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
