//! gdb's commands for contexts: `gdb/rctx.py`, over `c-tests/suspended.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rctx_tests::{library, root, run, run_tool};
use regex::Regex;

/// A directory of the test's own, with the program in it.
fn build(name: &str, option: &str) -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let place = scratch.join(name);
    fs::create_dir_all(&place).expect("a directory");
    let library = library(scratch, "librctx.so").unwrap_or_else(|error| panic!("{error}"));
    let libraries = library.parent().expect("a directory");
    let mut compiler = Command::new("gcc");
    compiler
        .args([option, "-g", "-o", "suspended", "-Wl,-rpath"])
        .arg(libraries)
        .current_dir(&place);
    compiler.arg(root().join("c-tests/suspended.c")).arg("-I").arg(root().join("include"));
    compiler.arg(libraries.join("librctx.so"));
    run_tool(&mut compiler, &place).unwrap_or_else(|message| panic!("{message}"));
    place
}

/// What gdb prints between one command and the next.
fn gdb(place: &Path, program: &[&str], commands: &[&str]) -> Vec<String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-x"]).arg(root().join("gdb/rctx.py")).current_dir(place);
    for command in commands {
        gdb.args(["-ex", "echo \\n>>>\\n", "-ex", command]);
    }
    let finished = run(gdb.args(program), place).unwrap_or_else(|message| panic!("{message}"));
    let all = format!("{}{}", finished.stdout, finished.stderr);
    assert!(!all.contains("Python Exception"), "{all}");
    finished.stdout.split("\n>>>\n").skip(1).map(|part| part.trim().to_owned()).collect()
}

fn assert_matches(text: &str, pattern: &str) {
    assert!(
        Regex::new(&format!("(?s){pattern}")).unwrap().is_match(text),
        "no {pattern} in\n{text}"
    );
}

const FRAMES: &str = "\n#0 .* wait_inside .*\n#1 .* level_two .*\n#2 .* level_one ";

fn check(option: &str) {
    let place = build(&format!("gdb{option}"), option);
    let mut parts = gdb(
        &place,
        &["suspended"],
        &[
            "break stop_here",
            "run",
            "rctx list",
            "rctx list on_a_stack &in_a_slice handle fresh refused",
            "rctx backtrace on_a_stack",
            "rctx backtrace &in_a_slice",
            "rctx backtrace handle",
            "backtrace",
            "generate-core-file core",
            "continue",
        ],
    );
    // The program goes on to its end: nothing of it was changed.
    assert_matches(&parts.pop().unwrap(), "rctx-test: end\n.*exited normally");
    parts.pop();
    assert_matches(&parts.pop().unwrap(), "#0  stop_here .*\n#1 .* all_suspended .*\n#2 .* main ");
    let handle = parts.pop().unwrap();
    assert_matches(&handle, "^handle: a handle, [0-9]+ bytes in wait_inside at ");
    assert_matches(&handle, FRAMES);
    let slice = parts.pop().unwrap();
    assert_matches(
        &slice,
        "^&in_a_slice: a slice of [0-9]+ bytes, with its signal mask in wait_inside",
    );
    assert_matches(&slice, FRAMES);
    let stack = parts.pop().unwrap();
    assert_matches(&stack, "^on_a_stack: on a stack in wait_inside at ");
    assert_matches(&stack, FRAMES);
    let named = parts.pop().unwrap();
    assert_matches(&named, "on_a_stack: .*\n&in_a_slice: .*\nhandle: .*\nfresh\\[0\\]: empty\n");
    assert_matches(&named, "refused: refused, errno 22$");
    let all = parts.pop().unwrap();
    for variable in ["base", "hub", "on_a_stack", "in_a_slice", "refused", "fresh\\[0\\]", "handle"]
    {
        assert_matches(&all, &format!("(^|\n){variable}: "));
    }

    // A core has the frames of a context with a stack of its own; those of a slice cannot be shown there.
    let parts =
        gdb(&place, &["suspended", "core"], &["rctx backtrace on_a_stack", "rctx list in_a_slice"]);
    assert_matches(&parts[0], FRAMES);
    assert_matches(&parts[1], "in_a_slice: a slice of .* in wait_inside at ");
    fs::remove_file(place.join("core")).expect("gdb wrote a core");
}

#[test]
fn it_lists_contexts_and_shows_their_frames() {
    check("-O0");
    check("-O2");
}

#[test]
fn wrong_expressions_are_told() {
    let place = build("gdb-errors", "-O0");
    for (command, message) in [
        ("rctx list kind", "rctx: kind is no ucontext_t and no rctx_slice_t, but int"),
        ("rctx backtrace fresh", "rctx: fresh is not suspended: empty"),
        ("rctx backtrace", "rctx backtrace: name a context"),
        ("rctx list nothing", "No symbol \"nothing\" in current context."),
    ] {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-batch", "-x"]).arg(root().join("gdb/rctx.py")).current_dir(&place);
        gdb.args(["-ex", "break stop_here", "-ex", "run", "-ex", command, "suspended"]);
        let finished = run(&mut gdb, &place).unwrap_or_else(|message| panic!("{message}"));
        assert!(finished.stderr.contains(message), "{command}\n{}", finished.stderr);
    }
}
