//! Names the shared object: cargo sets no SONAME of its own.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    for argument in [
        &format!("-soname,librctx.so.{major}"),
        "-Bsymbolic",
        "-z,relro,-z,now,-z,noexecstack,-z,text",
    ] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
    }
}
