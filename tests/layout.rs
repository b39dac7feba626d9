//! The offsets that the assembly uses are those of the system's `<ucontext.h>`. build.rs says how.

use std::mem::{MaybeUninit, offset_of, size_of};
use std::path::Path;

use rctx_tests::{command, run_tool, words};

/// What bindgen reads in `<ucontext.h>`.
#[allow(dead_code, missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals)]
mod system {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

macro_rules! offset {
    ($($place:tt)*) => {{
        let context = MaybeUninit::<ucontext_t>::uninit();
        let start = context.as_ptr();
        // SAFETY: only the address of the place is taken, inside `context`.
        let place = unsafe { &raw const (*start).$($place)* };
        place as usize - start as usize
    }};
}

#[test]
fn every_offset_is_the_header_s() {
    use system::*;
    let rows: &[(&str, usize, usize)] = include!(concat!(env!("OUT_DIR"), "/rows.rs"));
    assert!(!rows.is_empty());
    for (field, ours, systems) in rows {
        assert_eq!(ours, systems, "{field}");
    }
}

#[test]
fn the_types_of_the_libc_crate_are_the_header_s() {
    assert_eq!(size_of::<libc::ucontext_t>(), size_of::<system::ucontext_t>());
    assert_eq!(size_of::<libc::stack_t>(), size_of::<system::stack_t>());
    macro_rules! same {
        ($type:ident: $($field:ident)*) => {
            $(assert_eq!(
                offset_of!(libc::$type, $field),
                offset_of!(system::$type, $field),
                stringify!($field)
            );)*
        };
    }
    same!(stack_t: ss_sp ss_flags ss_size);
    same!(ucontext_t: uc_flags uc_link uc_stack uc_mcontext uc_sigmask);
}

#[test]
fn a_c_compiler_finds_the_same_offsets() {
    let compiler = words("RCTX_CC").unwrap_or_else(|| vec!["cc".into()]);
    let asserts = concat!(env!("OUT_DIR"), "/layout.c");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    run_tool(command(&compiler).args(["-fsyntax-only", asserts]), scratch)
        .unwrap_or_else(|message| panic!("{message}"));
}
