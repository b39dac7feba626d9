//! Slices of the stack: the engine of the sliced family, and the compact handle `rctx_slice_*`.

use core::ffi::{c_int, c_void};
use core::mem::{align_of, size_of};
use core::ptr::{null, null_mut};

use crate::arch::{self, ucontext_t};
use crate::context::{self, fail, overlap};
use crate::sanitizer;
use crate::stack::same_stack;

/// A suspended piece of a thread's stack. The bytes follow.
#[repr(C)]
pub struct Slice {
    /// Where the bytes came from: the lowest address.
    pub near: usize,
    /// Bytes that are saved.
    pub len: usize,
    /// Bytes that there is room for.
    pub capacity: usize,
    /// The thread pointer of the thread whose stack it is.
    pub owner: usize,
}

/// What the handle points to; opaque in C.
pub type rctx_slice_t = Slice;

impl Slice {
    /// The saved bytes.
    pub fn bytes(&self) -> *mut u8 {
        // The header is never const: it heads a block of malloc or of the caller.
        (&raw const *self).wrapping_add(1).cast_mut().cast()
    }

    /// The first address that was not saved.
    pub fn far(&self) -> usize {
        self.near + self.len
    }

    /// Whether the running thread may put the slice back without overwriting one of `contexts` or itself.
    ///
    /// # Safety
    /// Each of `contexts` is null or points to a `ucontext_t`.
    #[inline]
    pub unsafe fn check_resume(&self, contexts: &[*const ucontext_t]) -> Result<(), c_int> {
        let itself = &raw const *self as usize;
        let hit = |start, len| overlap(start, len, self.near, self.len);
        if self.owner != arch::thread_pointer()
            || hit(itself, size_of::<Slice>() + self.len)
            || contexts.iter().any(|&ucp| hit(ucp as usize, size_of::<ucontext_t>()))
        {
            return Err(libc::EINVAL);
        }
        Ok(())
    }

    /// Makes this the slice of the running thread's `len` bytes from `near` on, which are to be copied here.
    #[inline]
    pub fn place(&mut self, near: usize, len: usize) {
        self.near = near;
        self.len = len;
        self.owner = arch::thread_pointer();
        sanitizer::wipe(near, near + len);
    }

    /// Copies the bytes out of the stack.
    ///
    /// # Safety
    /// `self` was placed and heads a block with room for so many bytes.
    #[inline]
    pub unsafe fn copy_out(&mut self) {
        // SAFETY: the caller's promise; the stack from `near` on is readable up to the base.
        unsafe { arch::copy(self.bytes(), self.near as *const u8, self.len) }
    }

    /// Whether the bytes from `near` to `far` are known to be one stack, because more of it was saved here.
    #[inline]
    pub fn knows(&self, near: usize, far: usize) -> bool {
        self.owner == arch::thread_pointer() && self.far() == far && self.near <= near
    }
}

/// What a context's `uc_stack` leads to: a slice that knows its context.
#[repr(C)]
pub struct ContextSlice {
    /// The context that the library allocated it for, or null in memory of the caller's.
    pub context: *const ucontext_t,
    _reserved: usize,
    /// The slice; its bytes follow.
    pub slice: Slice,
}

/// Bytes kept free in front of a copied kernel frame. siginfo and other parts that come before the context
/// begin nearer on every instruction set; sigreturn uses none of them, but qemu checks that they are mapped.
const FRAME_HEAD: usize = 512;

/// The room, in bytes, for a copied kernel frame of `len` bytes.
pub const fn frame_room(len: usize) -> usize {
    FRAME_HEAD + len + arch::FRAME_ALIGN
}

/// The alignment of a block, which malloc keeps to: no more than this where `max_align_t` has 8.
pub const BLOCK_ALIGN: usize = align_of::<ContextSlice>();

/// How much of the caller's own memory in `uc_stack` the library uses for itself, in bytes.
pub const RCTX_SLICE_OVERHEAD: usize = 64;
const _: () = assert!(size_of::<ContextSlice>() + BLOCK_ALIGN - 1 <= RCTX_SLICE_OVERHEAD);
const _: () = assert!(size_of::<ContextSlice>().is_multiple_of(BLOCK_ALIGN));

impl ContextSlice {
    /// The slice of a context whose word says that it has one.
    ///
    /// # Safety
    /// As said.
    #[inline]
    pub unsafe fn of<'a>(ucp: *const ucontext_t) -> &'a mut ContextSlice {
        // SAFETY: the block lies at the first aligned address of uc_stack.
        unsafe {
            let block = ((*ucp).uc_stack.ss_sp as usize).next_multiple_of(BLOCK_ALIGN);
            &mut *(block as *mut ContextSlice)
        }
    }

    /// The copied kernel frame that a context of the kind FRAME keeps here, aligned as the original was.
    pub fn frame(&self) -> *mut ucontext_t {
        let start = self.slice.bytes().wrapping_add(FRAME_HEAD);
        start.wrapping_add(self.slice.near.wrapping_sub(start as usize) % arch::FRAME_ALIGN).cast()
    }
}

/// A base that a slice can end at: where its frame begins, if the base was captured by this thread and is
/// further up than `near`.
///
/// # Safety
/// `base` is null or points to a `ucontext_t`.
#[inline]
pub unsafe fn far_of(base: *const ucontext_t, near: usize) -> Result<usize, c_int> {
    if base.is_null() {
        return Err(libc::EFAULT);
    }
    // SAFETY: not null.
    unsafe {
        let far = arch::stack_pointer(base).wrapping_add(arch::CALLEE_AREA);
        let captured_here =
            context::is_ours(context::word(base)) && arch::owner(base) == arch::thread_pointer();
        if captured_here && far >= near { Ok(far) } else { Err(libc::EINVAL) }
    }
}

/// Checks that the bytes from `near` to `far` are one stack, unless `known` shows it.
#[inline]
pub fn check_stack(known: Option<&Slice>, near: usize, far: usize) -> Result<(), c_int> {
    if known.is_some_and(|slice| slice.knows(near, far)) {
        return Ok(());
    }
    if same_stack(near, far.wrapping_sub(arch::CALLEE_AREA))? { Ok(()) } else { Err(libc::EINVAL) }
}

/// Suspends the caller into `*from` and calls `func(arg)` at `base`'s position on the stack.
///
/// - `from`: the caller's handle, outside the slice: null, or the block of an earlier suspension, which is
///   reused and may move; changed only on success. A null `from` drops the running context.
/// - `base`: a context that the running thread captured with `getcontext` in a frame that is still active
///   further up this stack.
/// - `func`, `arg`: the function, which does not return: it leaves by `rctx_slice_swap` with a null `from`.
///   Returning ends the process with a line on stderr.
///
/// Returns 0 each time that the caller is resumed, or -1 with errno: `EFAULT` for a null `base`; `EINVAL`
/// for a null `func`, an unusable base or a `from` inside the slice; `ENOMEM`. Never touches the signal
/// mask. Thread-safe; async-signal-safe when it does not allocate.
///
/// # Safety
/// `base` is null or a live capture. Nobody uses pointers into the slice while it is suspended.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_slice_start(
    from: *mut *mut rctx_slice_t,
    base: *const ucontext_t,
    func: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    arg: *mut c_void,
) -> c_int {
    arch::slice_start!()
}

/// Suspends the caller into `*from` and resumes `to`.
///
/// - `from`: as for `rctx_slice_start`.
/// - `to`: what to resume. It is not consumed: it may be resumed again.
/// - `base`: as for `rctx_slice_start`; may be null when `from` is.
///
/// Returns 0 each time that the caller is resumed, or -1 with errno: `EFAULT` for a null `to`, or a null
/// `base` with a `from`; `EINVAL` for an unusable base, a `to` that reaches past it or belongs to another
/// thread, a `from` inside the slice; `ENOMEM`. Never touches the signal mask and makes no system call on
/// the steady path. Thread-safe; async-signal-safe when it does not allocate.
///
/// # Safety
/// As [`rctx_slice_start`]; `to` is null or a live handle.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_slice_swap(
    from: *mut *mut rctx_slice_t,
    to: *mut rctx_slice_t,
    base: *const ucontext_t,
) -> c_int {
    arch::slice_swap!()
}

/// Releases a handle's block. A null pointer does nothing. The block of a running context may be released,
/// and its handle set to null. Thread-safe; not async-signal-safe.
///
/// # Safety
/// `slice` is null or a live handle, which ends here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_slice_free(slice: *mut rctx_slice_t) {
    // SAFETY: the block came from malloc.
    unsafe { libc::free(slice.cast()) }
}

/// What the body of [`rctx_slice_swap`] calls before it copies the running slice into the block of `*from`,
/// unless `from` is null, and puts the target's bytes back. Returns the target, or null with errno set.
///
/// # Safety
/// Called from the arch body only; `near` is where the registers have their place on the stack.
pub unsafe extern "C" fn swap(
    from: *mut *mut Slice,
    to: *mut Slice,
    base: *const ucontext_t,
    near: usize,
) -> *const Slice {
    // SAFETY: the pointers are checked for null; else they are what the caller vouches for.
    match unsafe { try_swap(from, to, base, near) } {
        Ok(target) => {
            // SAFETY: not null, and live.
            let target = unsafe { &*target };
            sanitizer::before_resume(target.near, target.far());
            target
        }
        Err(errno) => {
            fail(errno);
            null()
        }
    }
}

/// # Safety
/// As [`swap`].
#[inline]
unsafe fn try_swap(
    from: *mut *mut Slice,
    to: *mut Slice,
    base: *const ucontext_t,
    near: usize,
) -> Result<*const Slice, c_int> {
    // SAFETY: null or a live handle, which nothing else uses during the call.
    let target = unsafe { to.as_ref() }.ok_or(libc::EFAULT)?;
    if from.is_null() && base.is_null() {
        // SAFETY: no context is named.
        unsafe { target.check_resume(&[])? };
        return Ok(to);
    }
    // SAFETY: far_of accepts any base; `from` is null or a handle.
    unsafe {
        let far = far_of(base, near)?;
        if target.far() > far {
            return Err(libc::EINVAL);
        }
        target.check_resume(&[])?;
        if !from.is_null() {
            let to_itself = *from == to;
            if overlap(from as usize, size_of::<*mut Slice>(), target.near, target.len) {
                return Err(libc::EINVAL);
            }
            prepare(from, near, far)?;
            if to_itself {
                return Ok(*from);
            }
        } else {
            check_stack(None, near, far)?;
        }
    }
    Ok(to)
}

/// What the body of [`rctx_slice_start`] calls. Returns the stack pointer to start at, or 0 with errno set.
///
/// # Safety
/// Called from the arch body only; `near` is where it pushed the registers.
pub unsafe extern "C" fn start(
    from: *mut *mut Slice,
    base: *const ucontext_t,
    func: usize,
    near: usize,
) -> usize {
    // SAFETY: far_of accepts any base; `from` is null or a handle.
    let outcome = unsafe {
        far_of(base, near).and_then(|far| {
            if func == 0 {
                return Err(libc::EINVAL);
            }
            if from.is_null() {
                check_stack(None, near, far)
            } else {
                prepare(from, near, far).map(|()| (**from).copy_out())
            }
        })
    };
    match outcome {
        // SAFETY: far_of has read the base.
        Ok(()) => unsafe { arch::stack_pointer(base) & !(arch::STACK_ALIGN - 1) },
        Err(errno) => context::refuse(errno),
    }
}

/// Makes the block of `*from`, or a new one of the right size, the slice from `near` to `far`, which is yet to
/// be copied there.
///
/// # Safety
/// `from` points to null or a live handle.
#[inline]
unsafe fn prepare(from: *mut *mut Slice, near: usize, far: usize) -> Result<(), c_int> {
    let len = far - near;
    if overlap(from as usize, size_of::<*mut Slice>(), near, len) {
        return Err(libc::EINVAL);
    }
    // SAFETY: a handle's block is null or live, and from malloc.
    unsafe {
        let old = *from;
        check_stack(old.as_ref(), near, far)?;
        let fits = old.as_ref().is_some_and(|old| len <= old.capacity && len >= old.capacity / 2);
        if !fits {
            // Nothing of the old content is needed: not realloc, which would copy it.
            let new = libc::malloc(size_of::<Slice>() + len).cast::<Slice>();
            if !new.is_null() {
                new.write(Slice { near, len: 0, capacity: len, owner: 0 });
                *from = new;
                libc::free(old.cast());
            } else if old.as_ref().is_none_or(|old| len > old.capacity) {
                return Err(libc::ENOMEM);
            }
        }
        (**from).place(near, len);
    }
    Ok(())
}

/// Where a function started by [`rctx_slice_start`] ends if it returns.
pub extern "C" fn returned() -> ! {
    const MESSAGE: &[u8] = b"rctx: the function of rctx_slice_start returned; \
        it must leave by rctx_slice_swap with from == NULL\n";
    // SAFETY: the message is as long as said; abort does not return.
    unsafe {
        libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::abort()
    }
}

/// `ss_flags` of a context whose `uc_stack` the library allocated: "rc" and a bit that no C library uses.
const OWNED: c_int = 0x7263_0001;

/// Where the bytes of a context's slice go.
pub enum Storage<'a> {
    /// The library's, maybe not allocated yet.
    Library(Option<&'a mut ContextSlice>),
    /// The caller's, with room for so many bytes.
    Caller(&'a mut ContextSlice, usize),
}

/// Whether the library allocated what `uc_stack` of `ucp` leads to, and for `ucp`: not for the context that this is
/// an assigned copy of.
///
/// # Safety
/// `ucp` points to an initialised context.
#[inline]
pub unsafe fn is_owner(ucp: *const ucontext_t) -> bool {
    // SAFETY: the caller's promise; a block marked as the library's is live.
    unsafe { (*ucp).uc_stack.ss_flags == OWNED && ContextSlice::of(ucp).context == ucp }
}

/// Reads `uc_stack`: where a slice of `ucp` goes.
///
/// # Safety
/// `ucp` points to an initialised context.
pub unsafe fn storage<'a>(ucp: *const ucontext_t) -> Result<Storage<'a>, c_int> {
    // SAFETY: the caller's promise, and the owner's block is live.
    unsafe {
        let stack = (*ucp).uc_stack;
        match stack.ss_flags {
            OWNED if is_owner(ucp) => Ok(Storage::Library(Some(ContextSlice::of(ucp)))),
            0 if stack.ss_sp.is_null() && stack.ss_size == 0 => Ok(Storage::Library(None)),
            0 if !stack.ss_sp.is_null() => {
                let capacity =
                    stack.ss_size.checked_sub(RCTX_SLICE_OVERHEAD).ok_or(libc::ENOMEM)?;
                Ok(Storage::Caller(ContextSlice::of(ucp), capacity))
            }
            _ => Err(libc::EINVAL),
        }
    }
}

/// Allocates a block of the library's for `len` bytes of `ucp`, not yet entered in `uc_stack`.
pub fn allocate<'a>(ucp: *const ucontext_t, len: usize) -> Result<&'a mut ContextSlice, c_int> {
    let size = size_of::<ContextSlice>().checked_add(len).ok_or(libc::ENOMEM)?;
    // SAFETY: a fresh block, as large as the header and aligned for it, is initialised before it is used.
    unsafe {
        let block = libc::malloc(size).cast::<ContextSlice>();
        if block.is_null() {
            return Err(libc::ENOMEM);
        }
        let slice = Slice { near: 0, len: 0, capacity: len, owner: 0 };
        block.write(ContextSlice { context: ucp, _reserved: 0, slice });
        Ok(&mut *block)
    }
}

/// Makes `block` the one that `ucp` owns, and releases the one before.
///
/// # Safety
/// `block` came from [`allocate`] for `ucp`; `uc_stack` of `ucp` holds no memory of the program's.
pub unsafe fn adopt(ucp: *mut ucontext_t, block: &mut ContextSlice) {
    // SAFETY: the caller's promise.
    unsafe {
        release(ucp);
        (*ucp).uc_stack.ss_sp = (&raw mut *block).cast();
        (*ucp).uc_stack.ss_size = size_of::<ContextSlice>() + block.slice.capacity;
        (*ucp).uc_stack.ss_flags = OWNED;
    }
}

/// Releases what the library allocated for `ucp`, and says whether there was something; `uc_stack` is zero
/// then. Leaves an assigned copy alone.
///
/// # Safety
/// `ucp` points to a writable context.
pub unsafe fn release(ucp: *mut ucontext_t) -> bool {
    // SAFETY: only the owner's block is released, and forgotten.
    unsafe {
        let is_owner = is_owner(ucp);
        if is_owner {
            libc::free((*ucp).uc_stack.ss_sp);
            forget(ucp);
        }
        is_owner
    }
}

/// Empties a `uc_stack` that is marked as the library's.
///
/// # Safety
/// `ucp` points to a writable context.
pub unsafe fn forget(ucp: *mut ucontext_t) {
    // SAFETY: the caller's promise.
    unsafe {
        if (*ucp).uc_stack.ss_flags == OWNED {
            (*ucp).uc_stack.ss_sp = null_mut();
            (*ucp).uc_stack.ss_size = 0;
            (*ucp).uc_stack.ss_flags = 0;
        }
    }
}
