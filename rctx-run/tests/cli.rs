//! What rctx-run says and does, from an installation of its own: bin/rctx-run and lib/librctx.so.0.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const SONAME: &str = concat!("librctx.so.", env!("CARGO_PKG_VERSION_MAJOR"));
const TRACK_SONAME: &str = concat!("librctx-track.so.", env!("CARGO_PKG_VERSION_MAJOR"));

struct Place {
    root: TempDir,
}

impl Place {
    fn without_library(name: &str) -> Self {
        let root = tempfile::Builder::new()
            .prefix(name)
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory");
        for directory in ["bin", "lib"] {
            fs::create_dir(root.path().join(directory)).expect("a directory");
        }
        let place = Self { root };
        // A link: a copy may still be open for writing, in the child that another test's thread just forked.
        fs::hard_link(env!("CARGO_BIN_EXE_rctx-run"), place.path("bin/rctx-run")).expect("a link");
        place
    }

    fn new() -> Self {
        Self::named("rctx-run")
    }

    fn named(name: &str) -> Self {
        let place = Self::without_library(name);
        for (file, soname) in [("librctx.so", SONAME), ("librctx_track.so", TRACK_SONAME)] {
            let built = Path::new(env!("CARGO_BIN_EXE_rctx-run")).with_file_name(file);
            fs::copy(&built, place.path("lib").join(soname))
                .unwrap_or_else(|error| panic!("{}: {error}: run `make` first", built.display()));
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn library(&self) -> PathBuf {
        self.path("lib").join(SONAME)
    }

    /// Writes an executable file.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        path
    }

    /// Compiles a program that does nothing.
    fn compile(&self, name: &str, flag: &str) -> PathBuf {
        let source = self.path("empty.c");
        fs::write(&source, "int main(void) { return 0; }\n").expect("a file");
        let path = self.path(name);
        let status =
            Command::new("cc").arg(flag).arg("-o").arg(&path).arg(&source).status().expect("cc");
        assert!(status.success());
        path
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.path("bin/rctx-run"));
        command.env_remove("LD_PRELOAD").env_remove("RCTX_SIGMASK").env_remove("RCTX_VERBOSE");
        command
    }

    fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
        self.command().args(arguments).output().expect("rctx-run starts")
    }

    /// Runs a program and checks that it is refused with one message.
    fn refused(&self, program: impl AsRef<OsStr>, status: i32, message: &str) {
        assert_refused(&self.run([program]), status, message);
    }
}

#[track_caller]
fn assert_refused(output: &Output, status: i32, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.starts_with("rctx-run: ") && stderr.contains(message), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[track_caller]
fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).expect("text").trim_end()
}

#[test]
fn preloads_the_library_before_others() {
    let place = Place::new();
    let show = ["sh", "-c", "echo $LD_PRELOAD"];
    let library = place.library().canonicalize().expect("a path").display().to_string();
    assert_eq!(stdout(&place.run(show)), library);
    let others = place.command().env("LD_PRELOAD", "libm.so.6").args(show).output();
    assert_eq!(stdout(&others.expect("rctx-run starts")), format!("{library}:libm.so.6"));
}

#[test]
fn every_policy_reaches_the_library() {
    let place = Place::new();
    for word in ["posix", "none", "track"] {
        let output = place
            .command()
            .env("RCTX_VERBOSE", "1")
            .args([&format!("--sigmask={word}"), "sh", "-c", "exit 7"])
            .output()
            .expect("rctx-run starts");
        assert_eq!(output.status.code(), Some(7), "the program's own status");
        let stderr = String::from_utf8_lossy(&output.stderr);
        // The last line is what is in force.
        let line = stderr.lines().last().unwrap_or_default();
        assert!(line.ends_with(&format!("signal masks: {word}")), "{stderr}");
    }
}

#[test]
fn tracking_takes_one_object() {
    let place = Place::new();
    let show = ["sh", "-c", "echo ${LD_PRELOAD##*/} $RCTX_SIGMASK"];
    let tracked = format!("{TRACK_SONAME} track");
    assert_eq!(stdout(&place.run(["--sigmask=track"].iter().chain(&show))), tracked);
    // The environment may ask for it as well, and the option overrides it.
    let run = |arguments: &[&str]| {
        let output =
            place.command().env("RCTX_SIGMASK", "track").args(arguments).args(show).output();
        stdout(&output.expect("rctx-run starts")).to_owned()
    };
    assert_eq!(run(&[]), tracked);
    assert_eq!(run(&["--sigmask=none"]), format!("{SONAME} none"));

    fs::remove_file(place.path("lib").join(TRACK_SONAME)).expect("it was there");
    let expected = format!("{TRACK_SONAME} is in none of: ");
    if !installed(TRACK_SONAME) {
        assert_refused(&place.run(["--sigmask=track", "true"]), 127, &expected);
    }
    assert!(place.run(["true"]).status.success());
}

/// Whether the last place where a library is looked for, the one that the build was configured for, has it.
fn installed(soname: &str) -> bool {
    option_env!("RCTX_INSTALL_LIBDIR").is_some_and(|place| Path::new(place).join(soname).exists())
}

#[test]
fn the_policy_of_the_environment_stays() {
    let output = Place::new()
        .command()
        .env("RCTX_SIGMASK", "none")
        .args(["sh", "-c", "echo $RCTX_SIGMASK"])
        .output();
    assert_eq!(stdout(&output.expect("rctx-run starts")), "none");
}

#[test]
fn the_programs_options_are_its_own() {
    let place = Place::new();
    let script = ["sh", "-c", "echo \"$0 $*\"", "name", "--sigmask=foo", "--", "--help"];
    let expected = "name --sigmask=foo -- --help";
    assert_eq!(stdout(&place.run(script)), expected);
    assert_eq!(stdout(&place.run(["--"].iter().chain(&script))), expected);
}

#[test]
fn help_and_version() {
    let place = Place::without_library("rctx-run");
    assert!(
        stdout(&place.run(["--help"]))
            .starts_with("Usage: rctx-run [--sigmask=posix|none|track] PROGRAM")
    );
    assert_eq!(stdout(&place.run(["--version"])), concat!("rctx-run ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_options() {
    let place = Place::new();
    place.refused("--sigmask=foo", 2, "--sigmask=foo is none of: posix, none, track");
    place.refused("--sigmask", 2, "--sigmask");
    place.refused("--frobnicate", 2, "--frobnicate");
    assert_refused(&place.run([""; 0]), 2, "no program to run");
}

#[test]
fn missing_programs() {
    let place = Place::new();
    place.refused("rctx-no-such-program", 127, "rctx-no-such-program: no such program in PATH");
    place.refused("/no/such/program", 127, "/no/such/program: no such program");
    let orphan = place.file("orphan", "#!/no/such/interpreter\n");
    place.refused(orphan, 127, "/no/such/interpreter: no such program");
}

#[test]
fn what_cannot_be_run() {
    let place = Place::new();
    let plain = place.file("plain", "");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("a mode");
    place.refused(plain, 126, "is not executable");
    place.refused(place.path("lib"), 126, "is a directory");
    place.refused(place.file("torn", b"\x7fELF"), 126, "torn");
    place.refused(place.file("nameless", "#!\n"), 126, "names no interpreter");
    let own = place.path("circle");
    place.file("circle", format!("#!{}\n", own.display()));
    place.refused(own, 126, "too many interpreters");
}

#[test]
fn a_static_program() {
    let place = Place::new();
    let program = place.compile("static", "-static");
    place.refused(&program, 126, "is linked statically");
    place.refused(place.compile("static-pie", "-static-pie"), 126, "is linked statically");
    assert!(place.run([place.compile("dynamic", "-pie")]).status.success());

    // The same through scripts.
    place.refused(
        place.file("script", format!("#!{}\n", program.display())),
        126,
        "is linked statically",
    );
    let script = place.file("env-script", "#!/usr/bin/env -S A=b static\n");
    let output = place.command().env("PATH", place.root.path()).arg(script).output();
    assert_refused(&output.expect("rctx-run starts"), 126, "is linked statically");
}

#[test]
fn a_script_runs() {
    let place = Place::new();
    let content = "echo ${LD_PRELOAD##*/}\n";
    for (name, first_line) in [("sh", "#!/bin/sh\n"), ("env", "#!/usr/bin/env sh\n"), ("bare", "")]
    {
        let script = place.file(name, format!("{first_line}{content}"));
        assert_eq!(stdout(&place.run([script])), SONAME, "{name}");
    }
}

#[test]
fn a_program_for_another_machine() {
    const E_MACHINE: usize = 18;
    const EM_AARCH64: u8 = 183;
    let place = Place::new();
    let mut elf = fs::read(place.compile("native", "-pie")).expect("a program");
    assert_ne!([elf[E_MACHINE], elf[E_MACHINE + 1]], [EM_AARCH64, 0]);
    elf[E_MACHINE..][..2].copy_from_slice(&[EM_AARCH64, 0]);
    place.refused(place.file("foreign", elf), 126, "is a program for Aarch64");

    // A 32-bit header for the 386, without segments.
    let mut elf = [0u8; 52];
    elf[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    elf[16..24].copy_from_slice(&[2, 0, 3, 0, 1, 0, 0, 0]);
    elf[40] = 52;
    place.refused(place.file("narrow", elf), 126, "is a program for I386");
}

#[test]
fn a_set_user_id_program() {
    let place = Place::new();
    let program = place.compile("privileged", "-pie");
    if is_root() {
        for (user, group, mode, message) in
            [(1, 0, 0o4755, "set-user-ID"), (0, 1, 0o2755, "set-group-ID")]
        {
            chown(&program, Some(user), Some(group)).expect("a new owner");
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("a mode");
            place.refused(&program, 126, message);
        }
        // Root gains nothing by root's.
        chown(&program, Some(0), Some(0)).expect("a new owner");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).expect("a mode");
        assert!(place.run([&program]).status.success());
    } else {
        // Nobody but root makes such a file for another user: the system's own.
        place.refused("su", 126, "set-user-ID");
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn a_missing_library() {
    let place = Place::without_library("rctx-run");
    if installed(SONAME) {
        assert!(place.run(["true"]).status.success());
    } else {
        place.refused("true", 127, &format!("{SONAME} is in none of: "));
    }
}

#[test]
fn a_library_beside_the_program() {
    let place = Place::new();
    let beside = place.path("bin").join(SONAME);
    fs::rename(place.library(), &beside).expect("a move");
    let output = place.run(["sh", "-c", "echo $LD_PRELOAD"]);
    assert_eq!(stdout(&output), beside.display().to_string());
}

#[test]
fn a_library_that_ld_preload_cannot_name() {
    for name in ["a space", "a:colon", "a$dollar"] {
        Place::named(name).refused("true", 127, "LD_PRELOAD cannot name");
    }
}
