//! Contexts that share one C stack: each suspended one keeps a copy of the bytes that it uses, up to a base.

use core::ffi::{c_int, c_void};
use core::mem::size_of;

use crate::arch::{self, ucontext_t};
use crate::context::{self, FRAME, Kind, MASK, SLICED, fail, overlap, refuse};
use crate::entry;
use crate::fibers;
use crate::posix::adopt_caller;
use crate::sanitizer;
use crate::sigmask::{self, Policy};
pub use crate::slice::RCTX_SLICE_OVERHEAD;
use crate::slice::{self, ContextSlice, Storage, check_stack, far_of, storage};

/// Suspends the caller into `oucp` with its slice, the stack between the caller and `base`, and resumes
/// `ucp`, putting its slice back at the addresses that it came from.
///
/// - `oucp`: an initialised context: its `uc_stack` is zero, and the library allocates, or names the
///   caller's own memory of `RCTX_SLICE_OVERHEAD` bytes more than the slice. May be the same as `ucp`: then
///   the slice is replaced and the call returns.
/// - `ucp`: any context that can be resumed.
/// - `base`: a context that the running thread captured with `getcontext` in a frame that is still active
///   further up this stack; frames older than it are shared and never copied. Null saves no slice.
///
/// Returns 0 when the caller is resumed. Returns -1 with errno `EFAULT` for a null context; `ENOMEM` when
/// memory cannot be had or the caller's is too small; `EINVAL` for a base that is nearer than the caller, of
/// another thread or on another stack, a slice of `ucp` that reaches past the base or belongs to another
/// thread, an assigned copy as `oucp`, a `uc_stack` that is the running stack, and for `oucp`, `ucp` or a
/// buffer inside bytes that the switch overwrites; or as `setcontext`. Nothing was switched then, and no
/// context has changed. The signal mask is kept as by `swapcontext`. Thread-safe; async-signal-safe when it
/// does not allocate: when the slice fits where the last one went.
///
/// # Safety
/// Nobody uses pointers into the slice while it is suspended; `base`'s frame is still active.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn swapcontext_sliced(
    oucp: *mut ucontext_t,
    ucp: *const ucontext_t,
    base: *const ucontext_t,
) -> c_int {
    arch::swapcontext_sliced!(masked)
}

/// `swapcontext_sliced` that leaves the signal mask alone and makes no system call on the steady path.
///
/// - `oucp`, `ucp`, `base`: as for `swapcontext_sliced`, with the same errors and safety.
///
/// # Safety
/// As [`swapcontext_sliced`].
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_swapcontext_sliced(
    oucp: *mut ucontext_t,
    ucp: *const ucontext_t,
    base: *const ucontext_t,
) -> c_int {
    arch::swapcontext_sliced!(maskless)
}

/// Captures the caller with its slice, without the signal mask.
///
/// - `ucp`: an initialised context, as `oucp` of `swapcontext_sliced`.
/// - `base`: as there.
///
/// Returns 0 now and again at each resume, with the frames as they were at the call; or -1 with errno as
/// `swapcontext_sliced`. Thread-safe; async-signal-safe when it does not allocate.
///
/// # Safety
/// As [`swapcontext_sliced`].
///
/// cbindgen:postfix=RCTX_RETURNS_TWICE
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn rctx_getcontext_sliced(
    ucp: *mut ucontext_t,
    base: *const ucontext_t,
) -> c_int {
    arch::getcontext_sliced!()
}

/// Makes a context that calls `func(arg)` at `base`'s position on the stack: no stack size, and memory only
/// for what it uses when it is suspended. When `func` returns, the context in `uc_link` is resumed, with its
/// slice if it has one, or the thread exits if it is null.
///
/// - `ucp`: an initialised context, as `oucp` of `swapcontext_sliced`; it needs no `getcontext` before. Mask
///   and floating-point environment are the caller's; `uc_sigmask` may be changed afterwards. `uc_link` is
///   set before the call.
/// - `base`: a context that the running thread captured in a frame that stays active.
/// - `func`, `arg`: the function and its argument.
///
/// Returns 0, or -1 with errno `EFAULT` for a null context, `EINVAL` for a null `func`, a base of another
/// thread or an assigned copy as `ucp`, `ENOMEM`. Thread-safe; not async-signal-safe unless `uc_stack` names
/// memory.
///
/// # Safety
/// `ucp` and `base` are null or contexts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_makecontext_sliced(
    ucp: *mut ucontext_t,
    base: *const ucontext_t,
    func: Option<unsafe extern "C" fn(arg: *mut c_void)>,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { make(ucp, base, func.map_or(0, |func| func as usize), arg as usize) } {
        Ok(()) => 0,
        Err(errno) => fail(errno),
    }
}

/// # Safety
/// As [`rctx_makecontext_sliced`].
unsafe fn make(
    ucp: *mut ucontext_t,
    base: *const ucontext_t,
    func: usize,
    arg: usize,
) -> Result<(), c_int> {
    if ucp.is_null() || base.is_null() {
        return Err(libc::EFAULT);
    }
    // SAFETY: `ucp` is writable; the slice has room for the frame before it is written.
    unsafe {
        let start = arch::stack_pointer(base);
        let near = (start & !(arch::STACK_ALIGN - 1)).wrapping_sub(entry::FRAME_SIZE);
        let len = (start + arch::CALLEE_AREA).wrapping_sub(near);
        let storage = storage(ucp)?;
        check_room(&storage, len)?;
        far_of(base, near)?;
        if func == 0 {
            return Err(libc::EINVAL);
        }
        let block = find_room(ucp, storage, len)?.enter(ucp);
        let slice = &mut block.slice;
        (slice.near, slice.len, slice.owner) = (near, len, arch::thread_pointer());
        let shift = (slice.bytes() as isize).wrapping_sub(near as isize);
        let frame_len = start - near;
        // What lies above the start is the base's own frame, which a callee may write to.
        arch::copy(slice.bytes().add(frame_len), start as *const u8, len - frame_len);
        let holds_mask = adopt_caller(ucp);
        let link = (*ucp).uc_link;
        entry::make(ucp, (near, start), shift, func, 1, |_| arg, link)?;
        context::set_word(ucp, SLICED | (holds_mask as usize * MASK));
    }
    Ok(())
}

/// Refuses memory of the caller's that is too small for `len` bytes.
fn check_room(storage: &Storage, len: usize) -> Result<(), c_int> {
    match storage {
        Storage::Caller(_, capacity) if *capacity < len => Err(libc::ENOMEM),
        _ => Ok(()),
    }
}

/// Room for a slice. Nothing has changed until it is entered in `uc_stack`.
enum Room<'a> {
    /// Where the last slice went.
    Kept(&'a mut ContextSlice),
    /// Fresh from malloc.
    Fresh(&'a mut ContextSlice),
    /// The caller's, with room for so many bytes.
    Caller(&'a mut ContextSlice, usize),
}

/// Finds room for `len` bytes of `ucp`, whose storage was found by [`check_room`] to be large enough.
fn find_room(ucp: *mut ucontext_t, storage: Storage, len: usize) -> Result<Room, c_int> {
    Ok(match storage {
        Storage::Library(Some(block)) if len <= block.slice.capacity => Room::Kept(block),
        // A little more than asked for, so that a slice of varying depth is soon at rest.
        Storage::Library(_) => Room::Fresh(slice::allocate(ucp, len.next_multiple_of(64))?),
        Storage::Caller(block, capacity) => Room::Caller(block, capacity),
    })
}

impl<'a> Room<'a> {
    /// Enters the room in `uc_stack`.
    ///
    /// # Safety
    /// It was found for `ucp`.
    unsafe fn enter(self, ucp: *mut ucontext_t) -> &'a mut ContextSlice {
        match self {
            Room::Kept(block) => block,
            Room::Fresh(block) => {
                // SAFETY: fresh, for `ucp`, whose memory is the library's.
                unsafe { slice::adopt(ucp, block) };
                block
            }
            Room::Caller(block, capacity) => {
                block.context = core::ptr::null();
                block.slice.capacity = capacity;
                block
            }
        }
    }

    /// Gives the room up.
    fn give_back(self) {
        if let Room::Fresh(block) = self {
            // SAFETY: fresh from malloc, and nobody else has seen it.
            unsafe { libc::free((&raw mut *block).cast()) }
        }
    }
}

/// What the bodies of `swapcontext_sliced` and its twin call: everything that can fail, and the copy out.
/// Returns the word to store in `oucp`, or 0 with errno set and nothing changed. The body may put back the
/// slice of `ucp` itself.
///
/// # Safety
/// Called from an arch body only; `near` is the caller's stack pointer.
pub unsafe extern "C" fn suspend(
    oucp: *mut ucontext_t,
    ucp: *const ucontext_t,
    base: *const ucontext_t,
    near: usize,
    masked: bool,
) -> usize {
    // SAFETY: the caller's promise.
    let word = unsafe {
        if base.is_null() {
            context::prepare_swap(oucp, ucp, masked)
        } else if oucp.is_null() || ucp.is_null() {
            refuse(libc::EFAULT)
        } else if (!masked || sigmask::policy() == Policy::None)
            && save_steadily(oucp, ucp, base, near)
        {
            SLICED
        } else {
            let target = (oucp.cast_const() != ucp).then_some(ucp);
            let word = save(oucp, target, base, near, masked).unwrap_or_else(refuse);
            if word != 0 && target.is_some() {
                fibers::resume(ucp);
            }
            word
        }
    };
    // SAFETY: after success `ucp` is a context; its word says whether it leads to a slice.
    unsafe {
        if word != 0 && context::is_sliced(context::word(ucp)) {
            let slice = &ContextSlice::of(ucp).slice;
            sanitizer::before_resume(slice.near, slice.far());
        }
    }
    word
}

/// The steady path of [`save`], without a mask: both contexts are of this base, and the caller's slice fits
/// where its last one went. Returns false, with nothing done, wherever there is more to look at.
///
/// # Safety
/// All three are initialised contexts.
#[inline]
unsafe fn save_steadily(
    oucp: *mut ucontext_t,
    ucp: *const ucontext_t,
    base: *const ucontext_t,
    near: usize,
) -> bool {
    // SAFETY: the caller's promise; a block is reached through a word that says it is there.
    unsafe {
        let words = (context::word(oucp) | MASK, context::word(ucp) | MASK);
        if words != (SLICED | MASK, SLICED | MASK) || !context::is_ours(context::word(base)) {
            return false;
        }
        let (block, target) = (ContextSlice::of(oucp), &raw const *ContextSlice::of(ucp));
        let far = arch::stack_pointer(base).wrapping_add(arch::CALLEE_AREA);
        let Some(len) = far.checked_sub(near) else {
            return false;
        };
        if !slice::is_owner(oucp)
            || &raw const *block == target
            || arch::owner(base) != arch::thread_pointer()
            || !block.slice.knows(near, far)
            || len > block.slice.capacity
        {
            return false;
        }
        let target = &(*target).slice;
        // Whatever is read or written on the way lies outside of all the bytes that change.
        let lowest = near.min(target.near);
        let hit = |start, len| overlap(start, len, lowest, far - lowest);
        if target.owner != block.slice.owner
            || target.far() > far
            || hit(oucp as usize, size_of::<ucontext_t>())
            || hit(ucp as usize, size_of::<ucontext_t>())
            || hit(&raw const *target as usize, size_of::<slice::Slice>() + target.len)
            || !arch::has_registers(ucp)
        {
            return false;
        }
        block.slice.place(near, len);
        block.slice.copy_out();
        true
    }
}

/// What the body of `rctx_getcontext_sliced` calls; as [`suspend`] without a target.
///
/// # Safety
/// As [`suspend`].
pub unsafe extern "C" fn capture(
    ucp: *mut ucontext_t,
    base: *const ucontext_t,
    near: usize,
) -> usize {
    if ucp.is_null() {
        return refuse(libc::EFAULT);
    }
    if base.is_null() {
        return fibers::captured();
    }
    // SAFETY: the caller's promise.
    unsafe { save(ucp, None, base, near, false) }.unwrap_or_else(refuse)
}

/// Saves the stack from `near` to `base` into `oucp`, if `target` can be resumed afterwards.
///
/// # Safety
/// `oucp` is an initialised context, the others contexts.
#[inline]
unsafe fn save(
    oucp: *mut ucontext_t,
    target: Option<*const ucontext_t>,
    base: *const ucontext_t,
    near: usize,
    masked: bool,
) -> Result<usize, c_int> {
    // SAFETY: the caller's promise; every slice is reached through a word that says it is there.
    unsafe {
        let storage = storage(oucp)?;
        let wanted = arch::stack_pointer(base).wrapping_add(arch::CALLEE_AREA).wrapping_sub(near);
        if wanted as isize > 0 {
            check_room(&storage, wanted)?;
        }
        let far = far_of(base, near)?;
        let len = far - near;

        let old = match &storage {
            Storage::Library(None) => None,
            Storage::Library(Some(block)) | Storage::Caller(block, _) => Some(&raw const **block),
        };
        let held = (*oucp).uc_stack;
        let (buffer, buffer_len) = match storage {
            Storage::Caller(..) => (held.ss_sp as usize, held.ss_size),
            _ => (0, 0), // malloc's memory is on no stack
        };
        let in_buffer = |start, len| overlap(start, len, buffer, buffer_len);
        if overlap(oucp as usize, size_of::<ucontext_t>(), near, len)
            || in_buffer(oucp as usize, size_of::<ucontext_t>())
            || in_buffer(near, len.max(1))
        {
            return Err(libc::EINVAL);
        }
        let target = match target {
            None => None,
            Some(ucp) => {
                let kind = context::classify(ucp)?;
                context::check_resume(oucp, ucp, kind)?;
                if in_buffer(ucp as usize, size_of::<ucontext_t>())
                    || in_buffer(arch::stack_pointer(ucp), 1)
                {
                    return Err(libc::EINVAL);
                }
                if let Kind::Sliced = kind {
                    let block = ContextSlice::of(ucp);
                    let slice = &block.slice;
                    if slice.far() > far
                        || old == Some(&raw const *block) // an assigned copy of oucp
                        || in_buffer(slice.near, slice.len)
                        || in_buffer(&raw const *slice as usize, size_of::<slice::Slice>() + slice.len)
                    {
                        return Err(libc::EINVAL);
                    }
                }
                Some((ucp, kind))
            }
        };
        let known = old.filter(|_| context::is_sliced(context::word(oucp)));
        check_stack(known.map(|block| &(*block).slice), near, far)?;

        let room = find_room(oucp, storage, len)?;
        let holds_mask = match context::exchange_mask(oucp, target, masked) {
            Ok(holds_mask) => holds_mask,
            Err(errno) => {
                room.give_back();
                return Err(errno);
            }
        };
        let slice = &mut room.enter(oucp).slice;
        slice.place(near, len);
        slice.copy_out();
        Ok(SLICED | (holds_mask as usize * MASK))
    }
}

/// Copies any context, with its slice and with what the pointers inside it lead to.
///
/// - `dst`: an initialised context; where its slice goes is said by its `uc_stack`, as for `oucp` of
///   `swapcontext_sliced`.
/// - `src`: unchanged. The context of a signal handler that has not returned may be copied; the copy
///   outlives the handler.
///
/// Returns 0, or -1 with errno `EFAULT` for a null pointer; `ENOMEM`; `EINVAL` for an assigned copy as `dst`
/// or of a handler's context as `src`, or a handler's context whose size cannot be told. `dst` is released
/// with `rctx_freecontext`. Thread-safe; async-signal-safe when it does not allocate.
///
/// # Safety
/// `dst` and `src` are null or contexts that do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_copycontext(dst: *mut ucontext_t, src: *const ucontext_t) -> c_int {
    if dst.is_null() || src.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: the caller's promise.
    match unsafe { copy(dst, src) } {
        Ok(()) => 0,
        Err(errno) => fail(errno),
    }
}

/// # Safety
/// As [`rctx_copycontext`].
unsafe fn copy(dst: *mut ucontext_t, src: *const ucontext_t) -> Result<(), c_int> {
    // SAFETY: the caller's promise; each block is written within its capacity.
    unsafe {
        let kind = match context::classify(src) {
            _ if context::is_sliced(context::word(src)) => Kind::Sliced,
            // What cannot be resumed is copied as it is, unless it is an assigned copy already.
            Err(_) if context::is_ours(context::word(src)) || arch::stack_pointer(src) == 0 => {
                Kind::Foreign
            }
            other => other?,
        };
        match kind {
            Kind::Plain | Kind::Foreign => {
                slice::release(dst);
                dst.copy_from_nonoverlapping(src, 1);
                slice::forget(dst);
                if context::is_ours(context::word(src)) {
                    arch::own_linked(dst);
                } else {
                    arch::adopt_linked(dst);
                }
            }
            Kind::Sliced => {
                let source = &ContextSlice::of(src).slice;
                let storage = storage(dst)?;
                check_room(&storage, source.len)?;
                let block = find_room(dst, storage, source.len)?.enter(dst);
                let slice = &mut block.slice;
                (slice.near, slice.len, slice.owner) = (source.near, source.len, source.owner);
                arch::copy(slice.bytes(), source.bytes(), source.len);
                assign(dst, src, size_of::<ucontext_t>());
                context::set_word(dst, context::word(src));
                arch::own_linked(dst);
            }
            Kind::Kernel => copy_frame(dst, src, src, arch::frame_size(src))?,
            Kind::Frame => {
                let source = ContextSlice::of(src);
                copy_frame(dst, src, source.frame(), source.slice.len)?;
            }
        }
    }
    Ok(())
}

/// Makes `dst` hold a copy of the `len` bytes of kernel frame at `frame`.
///
/// # Safety
/// `frame` is a kernel frame; `src` is the frame or the context that keeps it.
unsafe fn copy_frame(
    dst: *mut ucontext_t,
    src: *const ucontext_t,
    frame: *const ucontext_t,
    len: usize,
) -> Result<(), c_int> {
    if len == 0 {
        return Err(libc::EINVAL);
    }
    // SAFETY: the room suffices for the frame wherever its alignment puts it.
    unsafe {
        let storage = storage(dst)?;
        let room_len = slice::frame_room(len);
        check_room(&storage, room_len)?;
        let block = find_room(dst, storage, room_len)?.enter(dst);
        (block.slice.near, block.slice.len) = (frame as usize, len);
        block.slice.owner = arch::thread_pointer();
        let copied = block.frame();
        arch::copy(copied.cast(), frame.cast(), len);
        arch::relocate_frame(copied, frame);
        assign(dst, src, arch::KERNEL_UCONTEXT_SIZE);
        arch::share_linked(dst, copied);
        context::set_word(dst, FRAME);
    }
    Ok(())
}

/// Copies the first `len` bytes of a context but the word and `uc_stack`, which says where the slice of
/// `dst` is.
///
/// # Safety
/// Both are at least so large.
unsafe fn assign(dst: *mut ucontext_t, src: *const ucontext_t, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let (word, stack) = (context::word(dst), (*dst).uc_stack);
        arch::copy(dst.cast(), src.cast(), len);
        context::set_word(dst, word);
        (*dst).uc_stack = stack;
    }
}

/// Releases what the library allocated for a context's slice; the context cannot be resumed afterwards.
///
/// - `ucp`: a context, or null. One without a slice, and an assigned copy, are left alone.
///
/// Thread-safe; not async-signal-safe.
///
/// # Safety
/// `ucp` is null or an initialised context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_freecontext(ucp: *mut ucontext_t) {
    if ucp.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        let word = context::word(ucp);
        let leads_to_block = context::is_sliced(word) || word == FRAME;
        let owned = slice::release(ucp);
        if owned && leads_to_block {
            context::set_word(ucp, context::poison(libc::EINVAL));
        }
    }
}

/// The number of stack bytes that a context's slice holds; 0 for a context without one and for null.
/// Async-signal-safe, thread-safe.
///
/// # Safety
/// `ucp` is null or an initialised context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rctx_slice_size(ucp: *const ucontext_t) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        if ucp.is_null() || !context::is_sliced(context::word(ucp)) {
            return 0;
        }
        ContextSlice::of(ucp).slice.len
    }
}
