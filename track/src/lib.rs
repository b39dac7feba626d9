//! librctx-track.so: tells librctx what changes the signal mask of a thread, for its policy `track`.
//!
//! Everything here stands in front of a function of the C library of the same name. Nothing is done at the places that
//! restore the mask which they found (`sigsuspend`, `ppoll`, `pselect`, `posix_spawn`, ...): what changes it within
//! them is a signal handler.
//!
//! The shadow of a thread, see `tracking`, may always be made unknown; that costs a swap its saving, never its
//! correctness. So whatever is rare is not understood but forgotten:
//!
//! | what happens | what is done | where |
//! | --- | --- | --- |
//! | `sigprocmask`, `pthread_sigmask` | the new mask is recorded | `masks` |
//! | `sigblock`, `sighold`, `sigset` and their kin, `longjmp` and its kin | the shadow is forgotten first | `masks` |
//! | a signal handler is entered or left | forgotten, by the thunk that the handler hides behind | `handlers` |
//! | `vfork`, `clone` with shared memory, `syscall` | forgotten, or masks are tracked no longer | `processes` |
//!
//! A handler that ends makes the shadow unknown, and does not put back what it found: the mask is that of the kernel's
//! frame from the `sigreturn` on, which no code of ours follows. A handler that does not end leaves the shadow as it is
//! to be: unknown, or what swaps and mask calls have recorded in it.

#![no_std]

#[path = "../../src/tracking.rs"]
mod tracking;

mod handlers;
mod masks;
mod processes;
mod real;

use core::ffi::{CStr, c_int};
use core::ptr::null;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use handlers::{HANDLERS, THUNKS};
use tracking::{Tracking, UNKNOWN};

macro_rules! architectures {
    ($($name:literal => $path:literal),* $(,)?) => {
        $(
            #[cfg(target_arch = $name)]
            #[path = $path]
            #[macro_use]
            mod port;
        )*
    };
}

architectures! {
    "aarch64" => "../../arch/aarch64/track.rs",
    "arm" => "../../arch/arm/track.rs",
    "loongarch64" => "../../arch/loongarch64/track.rs",
    "powerpc64" => "../../arch/powerpc64/track.rs",
    "riscv64" => "../../arch/riscv64/track.rs",
    "s390x" => "../../arch/s390x/track.rs",
    "x86" => "../../arch/i686/track.rs",
    "x86_64" => "../../arch/x86_64/track.rs",
}

// The thread-local words of `Tracking`: unknown in a new thread. Stable Rust has no name for such a place.
core::arch::global_asm!(
    ".pushsection .tdata, \"awT\", %progbits",
    ".p2align 3",
    "rctx_track_words:",
    ".quad {UNKNOWN}, {UNKNOWN}",
    ".popsection",
    UNKNOWN = const UNKNOWN,
);

#[link(name = "rctx")]
unsafe extern "C" {
    fn rctx_private_track(tracking: *const Tracking);
}

/// Whether librctx records what its swaps install: no shadow is known otherwise.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// The running thread's shadow.
fn shadow<'a>() -> &'a AtomicU64 {
    // SAFETY: thread-local words live as long as the thread; only it accesses them, and its signal handlers.
    unsafe { &*port::words().cast() }
}

/// Makes the running thread's shadow unknown. One that is unknown is left alone: it may be of the swap that is about
/// to make it known, and calls `syscall`.
fn forget() {
    let shadow = shadow();
    if shadow.load(Ordering::Relaxed) & UNKNOWN == 0 {
        shadow.store(UNKNOWN, Ordering::Relaxed);
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: unsafe extern "C" fn() = start;

/// Begins to track.
///
/// # Safety
/// Called by the loader, before `main`.
unsafe extern "C" fn start() {
    // Not RTLD_DEFAULT, which finds an object's own functions first.
    // SAFETY: null stands for the program.
    let program = unsafe { libc::dlopen(null(), libc::RTLD_LAZY) };
    // By dlopen we come behind the C library, to which all names lead already.
    if real::all().any(|function| function.is_called_past_ours(program)) {
        return tell(
            c"posix: librctx-track.so was loaded behind the C library: preload it, or link it",
        );
    }
    tell_of(null());
    ACTIVE.store(true, Ordering::Release);
}

/// Tracks no longer, because of `reason`.
#[cold]
fn give_up(reason: &'static CStr) {
    if ACTIVE.swap(false, Ordering::Relaxed) {
        tell(reason);
    }
}

fn tell(refused: &'static CStr) {
    tell_of(refused.as_ptr());
}

fn tell_of(refused: *const core::ffi::c_char) {
    let tracking = Tracking { words: port::words(), refused, differ };
    // SAFETY: the library reads it before it returns; the words are thread-local, of the initial-exec model.
    unsafe { rctx_private_track(&tracking) }
}

/// The check mode's end: says which signals are not as the shadow has them, and where, and aborts.
unsafe extern "C" fn differ(kernel: u64, shadow: u64) -> c_int {
    let mut line = Line { bytes: [0; 512], len: 0 };
    line.push(
        b"rctx: RCTX_SIGMASK_CHECK: the signal mask was changed unseen before the swap below:",
    );
    for (what, signals) in [(&b" blocked"[..], kernel & !shadow), (b" unblocked", shadow & !kernel)]
    {
        if signals != 0 {
            line.push(what);
        }
        for signal in (1..=64).filter(|signal| signals >> (signal - 1) & 1 != 0) {
            line.push(b" ");
            if signal >= 10 {
                line.push(&[b'0' + signal / 10]);
            }
            line.push(&[b'0' + signal % 10]);
        }
    }
    line.push(
        b"\nrctx: docs/track.md says what is not seen; run the program under --sigmask=posix\n",
    );
    // SAFETY: the line holds so many bytes; the two functions are glibc's, of that signature.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.len);
        let find = |name: &CStr| libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
        let (backtrace, print) = (find(c"backtrace"), find(c"backtrace_symbols_fd"));
        if !backtrace.is_null() && !print.is_null() {
            let backtrace: extern "C" fn(*mut usize, c_int) -> c_int =
                core::mem::transmute(backtrace);
            let print: extern "C" fn(*const usize, c_int, c_int) = core::mem::transmute(print);
            let mut frames = [0usize; 64];
            let len = backtrace(frames.as_mut_ptr(), frames.len() as c_int);
            print(frames.as_ptr(), len, libc::STDERR_FILENO);
        }
        libc::abort()
    }
}

struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    fn push(&mut self, text: &[u8]) {
        for (place, byte) in self.bytes[self.len..].iter_mut().zip(text) {
            *place = *byte;
            self.len += 1;
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: abort takes no arguments and does not return.
    unsafe { libc::abort() }
}
