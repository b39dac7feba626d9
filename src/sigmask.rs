//! The policy for signal masks, and the environment that chooses it.

use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU8, AtomicU64, Ordering};

use libc::sigset_t;

use crate::arch;
use crate::context::fail;
use crate::fibers;
use crate::tracking::{NEVER_BLOCKED, Tracking, UNKNOWN};

/// The unprefixed functions save and install the signal mask, with one system call a swap. The default.
pub const RCTX_SIGMASK_POSIX: c_int = 0;
/// The unprefixed functions leave the signal mask alone.
pub const RCTX_SIGMASK_NONE: c_int = 1;
/// The unprefixed functions save and install the signal mask, and make the system call only where the mask changes
/// or is not known. It takes librctx-track.so, preloaded or linked, which sees what changes the mask; without it
/// this is `RCTX_SIGMASK_POSIX`.
pub const RCTX_SIGMASK_TRACK: c_int = 2;

/// [`RCTX_SIGMASK_POSIX`] and its kin, as the assembly and the slow path compare them.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum Policy {
    /// The mask is saved and installed.
    Posix = RCTX_SIGMASK_POSIX as u8,
    /// The mask is left alone.
    None = RCTX_SIGMASK_NONE as u8,
    /// The mask is saved and installed where the shadow says that it changes.
    Track = RCTX_SIGMASK_TRACK as u8,
}

/// Every policy with its word in the environment.
const POLICIES: [(Policy, &CStr); 3] =
    [(Policy::Posix, c"posix"), (Policy::None, c"none"), (Policy::Track, c"track")];

/// The way of the unprefixed functions, read by each of them: one byte, no lock. While masks are tracked, it is
/// `Track` for the policy `posix` as well, whose system calls must be recorded.
pub static POLICY: AtomicU8 = AtomicU8::new(Policy::Posix as u8);

/// The policy that was chosen, and is in force as far as it can be.
static CHOSEN: AtomicU8 = AtomicU8::new(Policy::Posix as u8);

/// From the thread pointer to what the way `Track` takes for the running thread's mask: its shadow; or, where each
/// mask is to be exchanged with the kernel's (policy `posix`, check mode), the word that stays unknown.
pub static SHADOW: AtomicIsize = AtomicIsize::new(0);

/// From the thread pointer to the shadow, while masks are tracked.
static TRACKED: AtomicIsize = AtomicIsize::new(NOT_TRACKED);

/// No distance: 0 is one where the first thread-local variable lies at the thread pointer.
const NOT_TRACKED: isize = isize::MIN;

/// The check mode's function, or null when it is off.
static DIFFER: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// Whether the environment names a policy; if not, the tracking object's presence chooses.
static NAMED: AtomicBool = AtomicBool::new(false);
/// RCTX_VERBOSE.
static VERBOSE: AtomicBool = AtomicBool::new(false);
/// RCTX_SIGMASK_CHECK.
static CHECK: AtomicBool = AtomicBool::new(false);

/// The policy in force.
pub fn policy() -> Policy {
    let byte = CHOSEN.load(Ordering::Relaxed);
    match POLICIES.iter().find(|row| row.0 as u8 == byte) {
        Some(&(Policy::Track, _)) if !is_tracked() => Policy::Posix,
        Some(row) => row.0,
        None => Policy::Posix,
    }
}

fn is_tracked() -> bool {
    TRACKED.load(Ordering::Relaxed) != NOT_TRACKED
}

/// Makes `CHOSEN` the way of the unprefixed functions.
fn follow() {
    let (policy, tracked) = (policy(), TRACKED.load(Ordering::Relaxed));
    let never_known = policy != Policy::Track || CHECK.load(Ordering::Relaxed);
    SHADOW.store(tracked + never_known as isize * size_of::<u64>() as isize, Ordering::Relaxed);
    let way = if policy == Policy::Posix && is_tracked() { Policy::Track } else { policy };
    // Behind the word that it leads to.
    POLICY.store(way as u8, Ordering::Release);
}

/// Chooses how the unprefixed functions treat the signal mask, for the whole process.
///
/// - `policy`: `RCTX_SIGMASK_POSIX`, `RCTX_SIGMASK_NONE` or `RCTX_SIGMASK_TRACK`. Where masks cannot be tracked,
///   because librctx-track.so is neither preloaded nor linked, `RCTX_SIGMASK_TRACK` is `RCTX_SIGMASK_POSIX`: a
///   second call tells, since it returns what is in force.
///
/// Returns the policy before, or -1 with errno `EINVAL` for a number that is no policy, which changes
/// nothing. Contexts that exist keep or lack their mask as they were saved. Async-signal-safe and
/// thread-safe; a swap that runs in another thread meanwhile follows either policy.
#[unsafe(no_mangle)]
pub extern "C" fn rctx_sigmask(policy: c_int) -> c_int {
    match POLICIES.iter().find(|row| row.0 as c_int == policy) {
        Some(row) => {
            let before = self::policy();
            CHOSEN.store(row.0 as u8, Ordering::Relaxed);
            follow();
            if row.0 == Policy::Track && self::policy() == Policy::Posix {
                say_if_verbose(c"posix: librctx-track.so is neither preloaded nor linked");
            }
            before as c_int
        }
        None => fail(libc::EINVAL),
    }
}

/// What the tracking object calls when it is loaded, and again when it must give up.
///
/// # Safety
/// Called by librctx-track.so of the same version only, with a `Tracking` of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_private_track(tracking: *const Tracking) {
    // SAFETY: the caller's promise.
    let Tracking { words, refused, differ } = unsafe { tracking.read() };
    // SAFETY: null, or a string, as the caller promised.
    let refused = (!refused.is_null()).then(|| unsafe { CStr::from_ptr(refused) });
    if refused.is_none() {
        if CHECK.load(Ordering::Relaxed) {
            DIFFER.store(differ as *mut (), Ordering::Relaxed);
        }
        let distance = (words as isize).wrapping_sub(arch::thread_pointer() as isize);
        TRACKED.store(distance, Ordering::Relaxed);
        if !NAMED.load(Ordering::Relaxed) {
            CHOSEN.store(Policy::Track as u8, Ordering::Relaxed);
        }
    } else {
        TRACKED.store(NOT_TRACKED, Ordering::Relaxed);
    }
    follow();
    if let Some(refused) = refused {
        say_if_verbose(refused);
    } else if policy() == Policy::Track {
        let checked = CHECK.load(Ordering::Relaxed);
        say_if_verbose(if checked { c"track, checked at every swap" } else { c"track" });
    }
}

/// The size of the kernel's signal set, which the raw system call asks for.
pub const KERNEL_SIGSET_SIZE: usize = 8;

/// The running thread's shadow, while masks are tracked.
fn shadow<'a>() -> Option<&'a AtomicU64> {
    let distance = TRACKED.load(Ordering::Acquire);
    if distance == NOT_TRACKED {
        return None;
    }
    let word = arch::thread_pointer().wrapping_add_signed(distance) as *const AtomicU64;
    // SAFETY: so far from the thread pointer lies the word, in every thread.
    Some(unsafe { &*word })
}

/// Makes the running thread's shadow unknown.
fn forget() {
    if let Some(shadow) = shadow() {
        shadow.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// Installs the mask `new` unless it is null and stores the mask before in `old` unless that is null. Makes no
/// system call where the shadow says that there is nothing to install.
///
/// # Safety
/// Each pointer is null or leads to a `sigset_t`.
pub unsafe fn exchange(new: *const sigset_t, old: *mut sigset_t) -> Result<(), c_int> {
    let Some(shadow) = shadow() else {
        // SAFETY: the caller's promise.
        return unsafe { exchange_with_kernel(new, old) };
    };
    // SAFETY: the kernel's part of a signal set, at the caller's pointers; `new` may be `old`.
    let wanted = (!new.is_null()).then(|| unsafe { new.cast::<u64>().read_unaligned() });
    let store = |mask: u64| {
        if !old.is_null() {
            // SAFETY: as above.
            unsafe { old.cast::<u64>().write_unaligned(mask) }
        }
    };
    let known = shadow.load(Ordering::Relaxed);
    let trusted = SHADOW.load(Ordering::Relaxed) == TRACKED.load(Ordering::Relaxed);
    if trusted && known & UNKNOWN == 0 && wanted.is_none_or(|wanted| wanted == known) {
        store(known);
        return Ok(());
    }
    // A kind of unknown that no other exchange in flight has, in whatever thread: a signal handler makes it plain
    // unknown, and may take this function to another thread.
    let mut before = 0u64;
    let pending = (&raw const before as u64) << libc::SIGKILL | UNKNOWN;
    let known = shadow.swap(pending, Ordering::Relaxed);
    // SAFETY: `before` is all that the kernel writes of a signal set.
    unsafe { exchange_with_kernel(new, (&raw mut before).cast())? };
    let now = wanted.map_or(before, |wanted| wanted & !NEVER_BLOCKED);
    let undisturbed = self::shadow().is_some_and(|shadow| {
        shadow.compare_exchange(pending, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    });
    if undisturbed && known & UNKNOWN == 0 {
        check(before, known);
    }
    store(before);
    Ok(())
}

/// In the check mode, ends the process when the kernel's mask is another than the shadow.
fn check(kernel: u64, shadow: u64) {
    /// The C library blocks its own signals as it likes, musl one more than glibc.
    const OF_LIBC: u64 = 0b111 << 31;
    let differ = DIFFER.load(Ordering::Relaxed);
    if (kernel ^ shadow) & !OF_LIBC != 0 && !differ.is_null() {
        // SAFETY: stored from `Tracking::differ`.
        unsafe {
            let differ: unsafe extern "C" fn(u64, u64) -> c_int = core::mem::transmute(differ);
            differ(kernel, shadow);
        }
    }
}

/// [`exchange`] with the kernel's mask.
///
/// The raw system call, because libc's functions clear the signals that it reserves for itself out of the
/// mask, and because only the kernel's eight bytes of `old` may be written.
///
/// # Safety
/// As [`exchange`].
unsafe fn exchange_with_kernel(new: *const sigset_t, old: *mut sigset_t) -> Result<(), c_int> {
    // SAFETY: the kernel reads and writes eight bytes at most at pointers that the caller vouches for.
    let status = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, KERNEL_SIGSET_SIZE)
    };
    // SAFETY: errno was just set.
    if status == 0 { Ok(()) } else { Err(unsafe { *libc::__errno_location() }) }
}

/// Blocks every signal of the calling thread, until a kernel frame's mask is installed.
pub fn block_all() -> Result<(), c_int> {
    let all = [!0u8; size_of::<sigset_t>()];
    // SAFETY: `all` is as large as a signal set.
    unsafe { exchange_with_kernel(all.as_ptr().cast(), null_mut())? };
    forget();
    Ok(())
}

/// Reads the environment, once, when the library is loaded.
///
/// # Safety
/// Called by the loader, before `main`.
unsafe extern "C" fn read_environment() {
    fibers::start();
    // SAFETY: secure_getenv takes a C string and returns one or null; nothing changes the environment yet.
    let variable = |name: &CStr| unsafe {
        let value = secure_getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    };
    let is_on = |name| variable(name).is_some_and(|value| value == c"1");
    VERBOSE.store(is_on(c"RCTX_VERBOSE"), Ordering::Relaxed);
    CHECK.store(is_on(c"RCTX_SIGMASK_CHECK"), Ordering::Relaxed);
    let mut chosen = POLICIES[0];
    if let Some(name) = variable(c"RCTX_SIGMASK") {
        match POLICIES.iter().find(|row| row.1 == name) {
            Some(&row) => chosen = row,
            None => report(&[
                c"rctx: RCTX_SIGMASK=",
                name,
                c" is not a policy (posix, none, track): using posix\n",
            ]),
        }
        NAMED.store(true, Ordering::Relaxed);
        CHOSEN.store(chosen.0 as u8, Ordering::Relaxed);
        follow();
    }
    say_if_verbose(match chosen.0 {
        Policy::Track => c"posix, until librctx-track.so is loaded",
        _ => chosen.1,
    });
}

fn say_if_verbose(masks: &CStr) {
    if VERBOSE.load(Ordering::Relaxed) {
        report(&[c"rctx ", crate::VERSION, c" ", arch::NAME, c", signal masks: ", masks, c"\n"]);
    }
}

unsafe extern "C" {
    /// Missing from the libc crate.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

#[used]
#[unsafe(link_section = ".init_array")]
static READ_ENVIRONMENT: unsafe extern "C" fn() = read_environment;

/// Writes one line to stderr, in one call as far as 256 bytes hold it.
fn report(parts: &[&CStr]) {
    let mut line = [0u8; 256];
    let bytes = parts.iter().flat_map(|part| part.to_bytes());
    let len = line.iter_mut().zip(bytes).map(|(place, byte)| *place = *byte).count();
    // SAFETY: `line` holds `len` bytes.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), len) };
}
