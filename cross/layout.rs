//! Prints what the library believes of `ucontext_t`, as C that the target's compiler checks.

#![no_std]

use core::ffi::c_int;
use core::mem::size_of;

use rctx::{LAYOUT, ucontext_t};

/// The program's own, called by the C library's start code.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> c_int {
    let size = size_of::<ucontext_t>();
    // SAFETY: every conversion has an argument of its type; the length ends the field's name.
    unsafe {
        libc::printf(c"#define _GNU_SOURCE\n#include <stddef.h>\n#include <ucontext.h>\n".as_ptr());
        libc::printf(c"_Static_assert(sizeof(ucontext_t) == %zu, \"size\");\n".as_ptr(), size);
        for (field, offset) in LAYOUT {
            let (name, len) = (field.as_ptr(), field.len() as c_int);
            libc::printf(
                c"_Static_assert(offsetof(ucontext_t, %.*s) == %zu, \"%.*s\");\n".as_ptr(),
                len,
                name,
                *offset,
                len,
                name,
            );
        }
    }
    0
}
