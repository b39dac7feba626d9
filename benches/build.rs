//! Compiles the loops. They are C, because Rust cannot be told that a function returns twice.

fn main() {
    println!("cargo:rerun-if-changed=loops.c");
    cc::Build::new()
        .file("loops.c")
        .opt_level(2)
        .warnings_into_errors(true)
        .extra_warnings(true)
        .compile("loops");
}
