//! Turns `rctx::LAYOUT` into the two comparisons with the system's `<ucontext.h>` that tests/layout.rs makes:
//! one in Rust, over what bindgen reads, and one in C, for any compiler.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

const HEADER: &str = "#define _GNU_SOURCE\n#include <stddef.h>\n#include <ucontext.h>\n";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let write = |name: &str, text: &str| {
        fs::write(Path::new(&out).join(name), text).expect("OUT_DIR is writable");
    };

    let bindings = bindgen::builder()
        .header_contents("ucontext.h", HEADER)
        .allowlist_type("ucontext_t|stack_t")
        .allowlist_var("REG_.*")
        .prepend_enum_name(false)
        .generate()
        .expect("bindgen reads <ucontext.h>");
    write("bindings.rs", &bindings.to_string());

    let mut rows = String::from("&[\n");
    let mut asserts = String::from(HEADER);
    for (field, offset) in rctx::LAYOUT {
        // A C designator is a Rust place but for the type of an index.
        let place = field.replace(']', " as usize]");
        writeln!(rows, "({field:?}, {offset}, offset!({place})),").expect("to a string");
        writeln!(
            asserts,
            "_Static_assert(offsetof(ucontext_t, {field}) == {offset}, \"{field}\");"
        )
        .expect("to a string");
    }
    rows.push_str("]\n");
    write("rows.rs", &rows);
    write("layout.c", &asserts);
}
