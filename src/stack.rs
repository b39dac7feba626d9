//! Stacks for contexts, and the running thread's own.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, Ordering};

use libc::stack_t;

use crate::context::fail;
use crate::fibers;
use crate::pool;

fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions; the page size is always known.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Allocates a stack for `makecontext` or `rctx_call`, with a guard page below it.
///
/// - `ss`: set to the stack: `ss_sp`, `ss_size` (rounded up to whole pages), `ss_flags` 0. Memory is taken
///   as it is touched. What it holds is not defined: a stack that was released may be given out again.
/// - `size`: bytes that are usable at least.
///
/// Returns 0, or -1 with errno `EFAULT` for a null `ss`, `EINVAL` for size 0, `ENOMEM` when the memory
/// cannot be had; `*ss` is unchanged then. The stack is released by `rctx_stack_free`. Thread-safe. It takes no
/// lock and calls only the kernel, so it is async-signal-safe, and a child of `fork` may use it at once.
///
/// # Safety
/// `ss` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_stack_alloc(ss: *mut stack_t, size: usize) -> c_int {
    if ss.is_null() {
        return fail(libc::EFAULT);
    }
    if size == 0 {
        return fail(libc::EINVAL);
    }
    let page = page_size();
    // A page is a power of two.
    let Some(total) = size.checked_add(2 * page - 1).map(|total| total & !(page - 1)) else {
        return fail(libc::ENOMEM);
    };
    let size = total - page;
    let Some(low) = pool::take(page, size).or_else(|| map(page, total)) else {
        return fail(libc::ENOMEM);
    };
    // SAFETY: `ss` is not null.
    unsafe {
        (*ss).ss_sp = low as *mut c_void;
        (*ss).ss_size = size;
        (*ss).ss_flags = 0;
    }
    0
}

/// Maps `total` bytes, the lowest page of which is the guard. Returns the address above it.
fn map(page: usize, total: usize) -> Option<usize> {
    const FLAGS: c_int =
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping at an address of the kernel's choice; what is made accessible lies inside it.
    unsafe {
        let map = libc::mmap(null_mut(), total, libc::PROT_NONE, FLAGS, -1, 0);
        if map == libc::MAP_FAILED {
            return None;
        }
        let low = map.byte_add(page);
        if libc::mprotect(low, total - page, libc::PROT_READ | libc::PROT_WRITE) != 0 {
            libc::munmap(map, total);
            return None;
        }
        Some(low as usize)
    }
}

/// Releases a stack of `rctx_stack_alloc`. Up to 64 released stacks of at most 1 MiB each are kept for the next
/// `rctx_stack_alloc` of the same size, with at most 64 KiB of memory each; the others go back to the kernel.
///
/// - `ss`: as it was set; null pointer and size 0 are stored in it.
///
/// Returns 0, or -1 with errno `EFAULT` for a null `ss`, `EINVAL` for a stack that cannot be one of
/// `rctx_stack_alloc`'s or was released before and not given out since. Thread-safe, async-signal-safe and usable
/// after `fork`, as `rctx_stack_alloc`.
///
/// # Safety
/// `ss` is null or leads to what `rctx_stack_alloc` stored or to no stack. No context runs on it or will be
/// resumed on it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_stack_free(ss: *mut stack_t) -> c_int {
    if ss.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: `ss` is not null; the mapping is the one that rctx_stack_alloc made, as the caller promises.
    unsafe {
        let (low, size) = ((*ss).ss_sp as usize, (*ss).ss_size);
        let page = page_size();
        if low == 0 || size == 0 || (low | size) & (page - 1) != 0 {
            return fail(libc::EINVAL);
        }
        let errno = *libc::__errno_location();
        fibers::released(low, low + size);
        if let Err(errno) = pool::put(page, low, size) {
            return fail(errno);
        }
        *libc::__errno_location() = errno;
        (*ss).ss_sp = null_mut();
        (*ss).ss_size = 0;
    }
    0
}

/// The lowest address of a thread's own stack and the first behind it.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub low: usize,
    pub high: usize,
}

impl Bounds {
    pub fn holds(self, address: usize) -> bool {
        (self.low..self.high).contains(&address)
    }

    fn hold_both_or_neither(self, near: usize, far: usize) -> bool {
        self.holds(near) == self.holds(far)
    }
}

/// Tells whether `near` and `far` can lie on one stack: both in the thread's own, or both outside.
///
/// Asks the C library, once a thread and again when the answer is no (the main thread's stack grows): that
/// allocates. `ENOMEM` when it cannot.
pub fn same_stack(near: usize, far: usize) -> Result<bool, c_int> {
    let key = bounds_key()?;
    // SAFETY: the key was made by bounds_key; its values are null or Bounds of this thread, from malloc.
    let known = unsafe { libc::pthread_getspecific(key).cast::<Bounds>() };
    // SAFETY: as above.
    if let Some(known) = unsafe { known.as_ref() }
        && known.hold_both_or_neither(near, far)
    {
        return Ok(true);
    }
    let bounds = own_bounds()?;
    let slot = if known.is_null() {
        // SAFETY: malloc has no preconditions.
        let slot = unsafe { libc::malloc(size_of::<Bounds>()) }.cast::<Bounds>();
        // SAFETY: the value is null or from malloc, as the destructor expects.
        if slot.is_null() || unsafe { libc::pthread_setspecific(key, slot.cast()) } != 0 {
            // SAFETY: null or fresh from malloc.
            unsafe { libc::free(slot.cast()) };
            return Err(libc::ENOMEM);
        }
        slot
    } else {
        known
    };
    // SAFETY: `slot` is as large as Bounds and this thread's alone.
    unsafe { slot.write(bounds) };
    Ok(bounds.hold_both_or_neither(near, far))
}

/// The running thread's own stack, from the C library.
pub fn own_bounds() -> Result<Bounds, c_int> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut low = null_mut();
    let mut size = 0;
    // SAFETY: the attributes are initialised by the first call, read and released by the others.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return Err(libc::ENOMEM);
        }
        libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    Ok(Bounds { low: low as usize, high: low as usize + size })
}

/// The key under which each thread keeps its bounds, made at the first call; 1 more than libc's, 0 for none.
static KEY: AtomicU32 = AtomicU32::new(0);

fn bounds_key() -> Result<libc::pthread_key_t, c_int> {
    unsafe extern "C" fn free(bounds: *mut c_void) {
        // SAFETY: the value was malloc's.
        unsafe { libc::free(bounds) }
    }
    match KEY.load(Ordering::Acquire) {
        0 => {
            let mut key = 0;
            // SAFETY: `key` is written by the call.
            if unsafe { libc::pthread_key_create(&mut key, Some(free)) } != 0 {
                return Err(libc::ENOMEM);
            }
            match KEY.compare_exchange(0, key + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => Ok(key),
                Err(other) => {
                    // SAFETY: nobody has seen this key.
                    unsafe { libc::pthread_key_delete(key) };
                    Ok(other - 1)
                }
            }
        }
        key => Ok(key - 1),
    }
}
