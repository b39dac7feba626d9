//! What a context is, and how each kind is resumed.
//!
//! `uc_flags` is the first word of every Linux `ucontext_t`, and the C libraries do not use it. Every save
//! of ours writes it, so that one compare on the fast path tells a plain context of ours from all else.

use core::ffi::c_int;
use core::mem::size_of;
use core::ptr::{null, null_mut};

use libc::sigset_t;

use crate::arch::{self, KernelFrame, ucontext_t};
use crate::fibers;
use crate::sanitizer;
use crate::sigmask::{self, Policy};
use crate::slice::ContextSlice;

/// The upper bits of the word of every context of ours: "rct" and the state below.
const MAGIC: usize = 0x7263_7400;
/// Set when the context holds a signal mask.
pub const MASK: usize = 1;
/// Registers only.
pub const PLAIN: usize = MAGIC;
/// Plain with a mask: what the masked functions save, and the only word on their fast path.
pub const PLAIN_MASK: usize = PLAIN | MASK;
/// Plain, in a process where a sanitizer follows the stacks: no fast path knows it.
pub const WATCHED: usize = MAGIC | 8;
/// Registers and a slice, which `uc_stack.ss_sp` leads to.
pub const SLICED: usize = MAGIC | 2;
/// A copy of a signal handler's context, whose frame `uc_stack.ss_sp` leads to.
pub const FRAME: usize = MAGIC | 4;
/// `makecontext` could not use what it was given; the errno stands in the bits above.
const POISON: usize = MAGIC | 6;
const KIND: usize = 6;
const ERRNO_SHIFT: u32 = 3;

/// Makes the word of a context that answers every resume with `-1` and `errno`.
pub const fn poison(errno: c_int) -> usize {
    POISON | (errno as usize) << ERRNO_SHIFT
}

/// True for a word that a save of ours wrote.
pub const fn is_ours(word: usize) -> bool {
    word & !0xff == MAGIC
}

/// True for a word whose `uc_stack` leads to a slice.
pub const fn is_sliced(word: usize) -> bool {
    word & !MASK == SLICED
}

/// The kinds of context that a resume tells apart.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Ours, registers only.
    Plain,
    /// Ours, with a slice.
    Sliced,
    /// Ours, a copy of a kernel frame.
    Frame,
    /// Made by the kernel for a signal handler.
    Kernel,
    /// Not ours: filled in by hand, or by another implementation.
    Foreign,
}

/// Reads the word of `ucp`.
///
/// # Safety
/// `ucp` points to a `ucontext_t`, whose content may be anything.
pub unsafe fn word(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise; the word may be uninitialised for Rust's rules, hence volatile.
    unsafe { ucp.cast::<usize>().read_volatile() }
}

/// Writes the word of `ucp`.
///
/// # Safety
/// `ucp` points to a writable `ucontext_t`.
pub unsafe fn set_word(ucp: *mut ucontext_t, word: usize) {
    // SAFETY: the caller's promise.
    unsafe { ucp.cast::<usize>().write(word) }
}

/// Tells what `ucp` is, or with which errno it cannot be resumed.
///
/// # Safety
/// `ucp` is null or points to a `ucontext_t`.
pub unsafe fn classify(ucp: *const ucontext_t) -> Result<Kind, c_int> {
    if ucp.is_null() {
        return Err(libc::EFAULT);
    }
    // SAFETY: not null, so the caller's promise covers every read below.
    unsafe {
        let word = word(ucp);
        if !is_ours(word) {
            return match arch::kernel_frame(ucp) {
                KernelFrame::Original => Ok(Kind::Kernel),
                KernelFrame::Assigned => Err(libc::EINVAL),
                KernelFrame::No if !arch::has_registers(ucp) => Err(libc::EINVAL),
                KernelFrame::No => Ok(Kind::Foreign),
            };
        }
        match word & KIND | MAGIC {
            POISON if word == poison(libc::ENOMEM) => Err(libc::ENOMEM),
            POISON => Err(libc::EINVAL),
            FRAME => Ok(Kind::Frame),
            _ if !arch::has_registers(ucp) => Err(libc::EINVAL),
            SLICED => Ok(Kind::Sliced),
            _ => Ok(Kind::Plain),
        }
    }
}

/// The mask that a resume of `ucp` installs, or null when the context leaves the mask alone.
///
/// # Safety
/// `ucp` points to a context that [`classify`] found to be of `kind`.
unsafe fn mask_of(ucp: *const ucontext_t, kind: Kind) -> *const sigset_t {
    // SAFETY: the caller's promise.
    let held = unsafe {
        match kind {
            Kind::Foreign => true,
            Kind::Kernel | Kind::Frame => false,
            Kind::Plain | Kind::Sliced => word(ucp) & MASK != 0,
        }
    };
    // SAFETY: the field lies inside the context.
    if held { unsafe { &raw const (*ucp).uc_sigmask } } else { null() }
}

/// Installs the mask of `ucp` and stores the one before in `oucp`, as the policy says.
/// Returns whether `oucp` now holds a mask.
///
/// # Safety
/// `ucp` is null (no mask to install) or was classified as `kind`; `oucp` is null or writable.
pub unsafe fn exchange_mask(
    oucp: *mut ucontext_t,
    ucp: Option<(*const ucontext_t, Kind)>,
    masked: bool,
) -> Result<bool, c_int> {
    if !masked || sigmask::policy() == Policy::None {
        return Ok(false);
    }
    // SAFETY: the caller's promise; the old mask's field lies inside `oucp`.
    unsafe {
        let new = ucp.map_or(null(), |(ucp, kind)| mask_of(ucp, kind));
        let old = if oucp.is_null() { null_mut() } else { &raw mut (*oucp).uc_sigmask };
        if !(new.is_null() && old.is_null()) {
            sigmask::exchange(new, old)?;
        }
    }
    Ok(true)
}

/// The slow path of `swapcontext`: everything that can fail.
///
/// Returns the word to store in `oucp`, after which the caller saves its registers there and calls
/// [`resume`]; or 0 with errno set and nothing changed.
///
/// # Safety
/// Called from an arch body with the arguments of `swapcontext`.
pub unsafe extern "C" fn prepare_swap(
    oucp: *mut ucontext_t,
    ucp: *const ucontext_t,
    masked: bool,
) -> usize {
    if oucp.is_null() {
        return refuse(libc::EFAULT);
    }
    // SAFETY: `oucp` is not null; `classify` accepts any `ucp`.
    let outcome = unsafe {
        let target = if oucp.cast_const() == ucp {
            Ok(None) // what is saved now is what is resumed
        } else {
            classify(ucp).and_then(|kind| check_resume(oucp, ucp, kind).map(|()| Some((ucp, kind))))
        };
        target.and_then(|target| exchange_mask(oucp, target, masked))
    };
    match outcome {
        Ok(holds_mask) => {
            if oucp.cast_const() != ucp {
                // SAFETY: `ucp` was classified.
                unsafe { fibers::resume(ucp) };
            }
            fibers::captured() | (holds_mask as usize * MASK)
        }
        Err(errno) => refuse(errno),
    }
}

/// Resumes `ucp`, or returns -1 with errno set: all of `setcontext` but its fast path.
///
/// # Safety
/// Called with the argument of `setcontext`.
pub unsafe extern "C" fn resume_or_fail(ucp: *const ucontext_t, masked: bool) -> c_int {
    // SAFETY: `classify` accepts any pointer; what it found is passed on.
    unsafe {
        let outcome = classify(ucp).and_then(|kind| {
            check_resume(null(), ucp, kind)?;
            exchange_mask(null_mut(), Some((ucp, kind)), masked)
        });
        match outcome {
            Ok(_) => {
                fibers::resume(ucp);
                resume(ucp)
            }
            Err(errno) => fail(errno),
        }
    }
}

/// The checks that a resume of `ucp` needs beyond its kind: a slice belongs to this thread, and putting it
/// back overwrites none of the structures in use.
///
/// # Safety
/// `ucp` was classified as `kind`; `oucp` is null or points to a `ucontext_t`.
pub unsafe fn check_resume(
    oucp: *const ucontext_t,
    ucp: *const ucontext_t,
    kind: Kind,
) -> Result<(), c_int> {
    if !matches!(kind, Kind::Sliced) {
        return Ok(());
    }
    // SAFETY: a sliced context leads to its slice.
    unsafe { ContextSlice::of(ucp).slice.check_resume(&[oucp, ucp]) }
}

/// Resumes a context that passed [`classify`] and [`check_resume`] and whose mask is installed.
///
/// # Safety
/// As said; the bytes of the running stack that are still needed have been saved.
pub unsafe extern "C" fn resume(ucp: *const ucontext_t) -> ! {
    // SAFETY: each kind is handed to the one function that is made for it.
    unsafe {
        match classify(ucp) {
            Ok(Kind::Plain) => arch::load(ucp),
            Ok(Kind::Sliced) => {
                let slice = &ContextSlice::of(ucp).slice;
                sanitizer::before_resume(slice.near, slice.far());
                arch::restore(ucp, slice.near, slice.bytes(), slice.len)
            }
            Ok(Kind::Foreign) => arch::load_foreign(ucp),
            Ok(Kind::Kernel) => resume_frame(ucp.cast_mut()),
            Ok(Kind::Frame) => {
                let frame = ContextSlice::of(ucp).frame();
                arch::edit_frame(frame, ucp);
                resume_frame(frame)
            }
            Err(_) => libc::abort(), // was checked before: another thread has changed it
        }
    }
}

/// Hands a kernel frame back to the kernel, which restores all of it.
///
/// # Safety
/// `ucp` lies in a frame that the kernel made, or in a complete copy.
unsafe fn resume_frame(ucp: *mut ucontext_t) -> ! {
    // SAFETY: all signals are blocked before the stack pointer moves to the frame, where a signal's own
    // frame could land on bytes that a suspended context still needs; sigreturn installs the frame's mask.
    unsafe {
        let _ = sigmask::block_all();
        keep_alternate_stack(ucp);
        arch::sigreturn(ucp)
    }
}

/// Writes the running thread's alternate signal stack into the frame, since sigreturn installs the one that
/// it finds there, and the frame may be another thread's.
///
/// # Safety
/// `ucp` is a writable kernel frame.
unsafe fn keep_alternate_stack(ucp: *mut ucontext_t) {
    const SS_AUTODISARM: c_int = 1 << 31;
    // SAFETY: `current` is written by the call; the frame is writable.
    unsafe {
        let mut current = core::mem::zeroed::<libc::stack_t>();
        let disarmed = (*ucp).uc_stack.ss_flags & SS_AUTODISARM != 0;
        if libc::sigaltstack(null(), &mut current) == 0
            // Disarmed at the handler's entry, to be armed again from the frame.
            && !(disarmed && current.ss_flags & libc::SS_DISABLE != 0)
        {
            (*ucp).uc_stack = current;
        }
    }
}

/// Where a context function ends: resumes `link`. Returns when there is none and the trampoline shall end the
/// thread by `pthread_exit`, which unwinds the stack and so must find no Rust frame on it.
///
/// # Safety
/// Called by a trampoline with the `uc_link` that `makecontext` copied.
pub unsafe extern "C" fn finish(link: *const ucontext_t) {
    // SAFETY: `link` is null or, as the caller of makecontext promised, a context; the rest are libc
    // functions with valid arguments.
    unsafe {
        if link.is_null() {
            if libc::getpid() == libc::syscall(libc::SYS_gettid) as libc::pid_t {
                libc::exit(0);
            }
            fibers::end_thread();
            return;
        }
        resume_or_fail(link, true);
        // glibc's answer to a uc_link that cannot be resumed is exit(-1); ours says why.
        const MESSAGE: &[u8] = b"rctx: the context in uc_link cannot be resumed\n";
        libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::exit(-1)
    }
}

/// Sets errno and returns -1.
pub extern "C" fn fail(errno: c_int) -> c_int {
    // SAFETY: the location of errno is valid in every thread.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// Sets errno and returns 0, which is no word.
pub fn refuse(errno: c_int) -> usize {
    fail(errno);
    0
}

/// The bytes from `start` up to `start + len` and from `other` up to `other + other_len` have one in common.
pub const fn overlap(start: usize, len: usize, other: usize, other_len: usize) -> bool {
    start < other + other_len && other < start + len
}

/// The slow path takes the first word of a context, under whatever name libc has for it; so does the fast path.
const _: () = assert!(arch::FLAGS == 0 && size_of::<sigset_t>() >= 8);
