//! gdb's commands for contexts: `gdb/rctx.py`, over `c-tests/suspended.c`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use rctx_tests::{Finished, command, library, root, run, run_tool, words};
use regex::{Captures, Regex};

/// Where the emulator waits for gdb, in the test's directory: a path of any length would not do.
const SOCKET: &str = "gdb.socket";
/// And where the program's output goes.
const PROGRAM_OUTPUT: &str = "program";

/// A directory of the test's own, with the program in it: static for an emulator, which needs no loader's paths then.
fn build(name: &str, option: &str) -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let place = scratch.join(name);
    fs::create_dir_all(&place).expect("a directory");
    let linking = if words("RCTX_RUNNER").is_some() { "librctx.a" } else { "librctx.so" };
    let library = library(scratch, linking).unwrap_or_else(|error| panic!("{error}"));
    let mut compiler = command(&words("RCTX_CC").unwrap_or_else(|| vec!["gcc".to_owned()]));
    compiler.args([option, "-g", "-o", "suspended"]).current_dir(&place);
    compiler.arg(root().join("c-tests/suspended.c")).arg("-I").arg(root().join("include"));
    if linking == "librctx.a" {
        compiler.arg("-static");
    } else {
        compiler.arg(format!("-Wl,-rpath,{}", library.parent().expect("a directory").display()));
    }
    run_tool(compiler.arg(library), &place).unwrap_or_else(|message| panic!("{message}"));
    place
}

/// The emulator, with the program before its first instruction; dropped with it.
struct Emulator(Child);

impl Emulator {
    fn start(runner: &[String], place: &Path) -> Self {
        let socket = place.join(SOCKET);
        let _ = fs::remove_file(&socket);
        let mut emulator = Command::new(&runner[0]);
        emulator.args(["-g", SOCKET]).args(&runner[1..]).arg("./suspended").current_dir(place);
        emulator.env_remove("LD_LIBRARY_PATH");
        let output = File::create(place.join(PROGRAM_OUTPUT)).expect("a file");
        emulator.stderr(output.try_clone().expect("a file")).stdout(output);
        let mut started = Self(emulator.spawn().unwrap_or_else(|e| panic!("{emulator:?}: {e}")));
        while !socket.exists() {
            let ended = started.0.try_wait().expect("a child");
            assert!(ended.is_none(), "{emulator:?}: {ended:?}");
            thread::sleep(Duration::from_millis(10));
        }
        started
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What gdb leaves.
struct Session {
    /// What it printed for each command.
    parts: Vec<String>,
    /// All that it and the program wrote.
    output: String,
}

fn gdb(place: &Path, arguments: &[&str], commands: &[&str]) -> Session {
    let name = if words("RCTX_RUNNER").is_some() { "gdb-multiarch" } else { "gdb" };
    let mut gdb = Command::new(name);
    gdb.args(["-nx", "-batch", "-x"]).arg(root().join("gdb/rctx.py")).current_dir(place);
    for command in commands {
        gdb.args(["-ex", "echo \\n>>>\\n", "-ex", command]);
    }
    let Finished { stdout, stderr, .. } =
        run(gdb.args(arguments), place).unwrap_or_else(|message| panic!("{message}"));
    let parts: Vec<_> =
        stdout.split("\n>>>\n").skip(1).map(|part| part.trim().to_owned()).collect();
    let output = stdout + &stderr;
    assert!(parts.len() == commands.len() && !output.contains("Python Exception"), "{output}");
    Session { parts, output }
}

/// As [`gdb`], once all contexts of the program are suspended.
fn gdb_at_stop(place: &Path, options: &[&str], commands: &[&str]) -> Session {
    let emulator = words("RCTX_RUNNER").map(|runner| Emulator::start(&runner, place));
    let connect = format!("target remote {SOCKET}");
    let go: &[&str] = if emulator.is_some() { &[&connect, "continue"] } else { &["run"] };
    let start = [&["handle SIGSEGV nostop noprint", "break stop_here"], go].concat();
    let mut session = gdb(place, &[options, &["suspended"]].concat(), &[&start, commands].concat());
    session.parts.drain(..start.len());
    if let Some(emulator) = emulator {
        drop(emulator);
        session.output += &fs::read_to_string(place.join(PROGRAM_OUTPUT)).expect("its output");
    }
    session
}

fn captures<'a>(text: &'a str, pattern: &str) -> Captures<'a> {
    let regex = Regex::new(&format!("(?s){pattern}")).expect("fixed");
    regex.captures(text).unwrap_or_else(|| panic!("no {pattern} in\n{text}"))
}

/// The frames of a context. Two of them have one variable, in a preserved register where the program is optimised.
fn assert_frames(text: &str, what: &str) {
    let depth = r"\(depth=(?:<optimized out>, )?(?:depth@entry=)?(0x\w+)";
    let frames =
        format!("#0 .* wait_inside {depth}.*\n#1 .* level_two {depth}.*\n#2 .* level_one ");
    let found = captures(text, &format!("^{what} in wait_inside at [^\n]*\n{frames}"));
    assert_eq!(found[1], found[2], "{text}");
}

fn check(option: &str, options_of_gdb: &[&str]) {
    let place = build(&format!("gdb{option}"), option);
    let Session { parts, output } = gdb_at_stop(
        &place,
        options_of_gdb,
        &[
            "rctx list",
            "rctx list on_a_stack &in_a_slice handle fresh refused",
            "rctx backtrace on_a_stack",
            "rctx backtrace &in_a_slice",
            "rctx backtrace handle",
            "rctx backtrace interrupted",
            "backtrace",
            "finish",
            "finish",
            "rctx backtrace on_a_stack",
            "continue",
        ],
    );
    let [all, named, stack, slice, handle, interrupted, backtrace, _, main, from_main, end] =
        parts.try_into().expect("one each");
    let variables =
        "base hub on_a_stack in_a_slice refused interrupted fresh\\[0\\] hub_handle handle";
    for variable in variables.split(' ') {
        captures(&all, &format!("(^|\n){variable}: "));
    }
    captures(&named, "on_a_stack: .*\n&in_a_slice: .*\nhandle: .*\nfresh\\[0\\]: empty\n");
    captures(&named, "refused: refused, errno 22$");
    assert_frames(&stack, "on_a_stack: on a stack");
    assert_frames(&slice, "&in_a_slice: a slice of [0-9]+ bytes, with its signal mask");
    assert_frames(&handle, "handle: a handle, [0-9]+ bytes");
    assert_frames(&interrupted, "interrupted: a copy of a signal handler's context");
    captures(&backtrace, "#0  stop_here .*\n#1 .* all_suspended .*\n#2 .* main ");
    captures(&main, "(^|\n| in )main \\(");
    assert_frames(&from_main, "on_a_stack: on a stack");
    // The program goes on to its end: nothing of it was changed.
    captures(&end, "exited normally");
    captures(&output, "rctx-test: end\n");

    if words("RCTX_RUNNER").is_none() {
        check_core(&place);
    }
}

/// A core has the frames of a context with a stack of its own; those of a slice cannot be shown there. (An emulator
/// writes none, and gdb finds no map of memory there.)
fn check_core(place: &Path) {
    gdb_at_stop(place, &[], &["generate-core-file core"]);
    let commands =
        ["rctx backtrace on_a_stack", "rctx list in_a_slice", "rctx backtrace in_a_slice"];
    let Session { parts, output } = gdb(place, &["suspended", "core"], &commands);
    assert_frames(&parts[0], "on_a_stack: on a stack");
    captures(&parts[1], "in_a_slice: a slice of .* in wait_inside at ");
    captures(&output, "rctx: the frames of a slice can be shown in a live process only");
    fs::remove_file(place.join("core")).expect("gdb wrote a core");
}

#[test]
fn suspended_contexts_have_their_frames() {
    check("-O0", &[]);
    check("-O2", &[]);
    // As programs without debug information are: gdb asks for the state of arm's processor, which their tables lack.
    let (arch, libc) = (words("RCTX_ARCH"), words("RCTX_LIBC"));
    if arch.is_some_and(|words| words == ["arm"]) && libc.is_none() {
        check("-O2", &["-iex", "maintenance set dwarf unwinders off"]);
    }
}

#[test]
fn wrong_expressions_are_told() {
    let messages = [
        ("rctx list kind", "rctx: kind is no ucontext_t and no rctx_slice_t, but int"),
        ("rctx backtrace fresh", "rctx: fresh is not suspended: empty"),
        ("rctx backtrace", "rctx backtrace: name a context"),
        ("rctx list nothing", "No symbol \"nothing\" in current context."),
    ];
    let place = build("gdb-errors", "-O0");
    let output = gdb_at_stop(&place, &[], &messages.map(|(command, _)| command)).output;
    for (command, message) in messages {
        assert!(output.contains(message), "{command}\n{output}");
    }
}
