//! Builds and runs every program of c-tests/ and examples/c/, in every linking, with every option and
//! compiler that it asks for. The directives in a program's first comment are described in c-tests/check.h;
//! an example takes the same ones, and needs no end marker.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use libtest_mimic::{Arguments, Failed, Trial};
use object::{Object, ObjectSection, ObjectSymbol};
use rctx_tests::{
    Outcome, POSIX, SONAME, TRACK_SONAME, command, library, library_links, root, run, run_tool,
    words,
};
use regex::Regex;

const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");
const END_MARKER: &str = "rctx-test: end";

/// How a program gets the functions.
#[derive(Clone, Copy, PartialEq)]
enum Linking {
    Shared,
    Static,
    Preload,
    Oracle,
    Archive,
    Track,
    LinkedTrack,
    Same,
    Gdb,
    Helgrind,
    Memcheck,
}

const LINKINGS: [(&str, Linking); 11] = [
    ("shared", Linking::Shared),
    ("static", Linking::Static),
    ("archive", Linking::Archive),
    ("preload", Linking::Preload),
    ("oracle", Linking::Oracle),
    ("track", Linking::Track),
    ("linked-track", Linking::LinkedTrack),
    ("same", Linking::Same),
    ("gdb", Linking::Gdb),
    ("helgrind", Linking::Helgrind),
    ("memcheck", Linking::Memcheck),
];

impl Linking {
    /// The arguments that choose valgrind's tool, for a linking that runs under one.
    fn tool(self) -> Option<&'static [&'static str]> {
        match self {
            Linking::Memcheck => Some(&[
                "--leak-check=full",
                "--show-leak-kinds=definite",
                "--errors-for-leak-kinds=definite",
            ]),
            Linking::Helgrind => Some(&["--tool=helgrind"]),
            _ => None,
        }
    }
}

fn linking(word: &str) -> Outcome<(&'static str, Linking)> {
    let row = LINKINGS.iter().find(|row| row.0 == word);
    row.copied().ok_or_else(|| format!("{word:?} is no linking"))
}

fn linkings(words: &[String]) -> Outcome<Vec<(&'static str, Linking)>> {
    words.iter().map(|word| linking(word)).collect()
}

/// What stands between `/*` and `*/`, or in the first lines that start with `//`.
fn first_comment(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix("/*") {
        return rest.split_once("*/").map_or(rest, |parts| parts.0);
    }
    let lines = text.split_inclusive('\n').take_while(|line| line.starts_with("//"));
    &text[..lines.map(str::len).sum()]
}

/// A source file and what its directives say.
#[derive(Clone)]
struct Program {
    source: PathBuf,
    linkings: Vec<(&'static str, Linking)>,
    options: Vec<String>,
    compilers: Vec<String>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    stderr: Option<Regex>,
    status: i32,
    architectures: Option<Vec<String>>,
    libcs: Option<Vec<String>>,
    deviants: Vec<String>,
    native: bool,
    needs_end_marker: bool,
}

/// The instruction set of the programs.
fn target() -> String {
    env::var("RCTX_ARCH").unwrap_or_else(|_| env::consts::ARCH.to_owned())
}

impl Program {
    fn read(source: &Path, needs_end_marker: bool) -> Outcome<Program> {
        let text = fs::read_to_string(source).map_err(|error| error.to_string())?;
        Program::parse(source, &text, needs_end_marker)
            .map_err(|error| format!("{}: {error}", source.display()))
    }

    fn parse(source: &Path, text: &str, needs_end_marker: bool) -> Outcome<Program> {
        let split = |list: &str| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut program = Program {
            source: source.to_owned(),
            linkings: linkings(&split("shared static"))?,
            options: split("-O0 -O2 -Os"),
            compilers: split("gcc"),
            flags: Vec::new(),
            environment: Vec::new(),
            stderr: None,
            status: 0,
            architectures: None,
            libcs: None,
            deviants: Vec::new(),
            native: false,
            needs_end_marker,
        };
        let mut valgrind = Vec::new();
        for line in first_comment(text).lines() {
            let line = line.trim_start_matches([' ', '*', '/']);
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
                continue; // prose
            }
            let list = split(value);
            match name {
                "linkings" => program.linkings = linkings(&list)?,
                "options" => program.options = list,
                "compilers" => program.compilers = list,
                "flags" => program.flags = list,
                "environment" => {
                    let pairs = list.iter().map(|pair| {
                        let (name, value) = pair.split_once('=').ok_or("environment: no =")?;
                        Ok((name.to_owned(), value.to_owned()))
                    });
                    program.environment = pairs.collect::<Outcome<_>>()?;
                }
                "stderr" => {
                    let whole = Regex::new(&format!("^(?:{})$", value.trim()));
                    program.stderr = Some(whole.map_err(|error| error.to_string())?);
                }
                "status" => {
                    program.status = value.trim().parse().map_err(|_| format!("status:{value}"))?;
                }
                "arch" => program.architectures = Some(list),
                "libc" => program.libcs = Some(list),
                "nooracle" => program.deviants = list,
                "native" if value.trim() == "yes" => program.native = true,
                "valgrind" => valgrind = linkings(&list)?,
                _ => return Err(format!("unknown directive {line:?}")),
            }
        }
        program.linkings.extend(valgrind);
        Ok(program)
    }

    fn name(&self) -> String {
        self.source.file_stem().expect("a source file").to_string_lossy().into_owned()
    }

    /// Whether the target is one that the program is written for.
    fn is_for_target(&self) -> bool {
        let libc = env::var("RCTX_LIBC").unwrap_or_else(|_| "gnu".to_owned());
        let lists = [(&self.architectures, target()), (&self.libcs, libc)];
        lists.iter().all(|(list, it)| list.as_ref().is_none_or(|all| all.contains(it)))
            && !(self.native && words("RCTX_CC").is_some())
    }

    /// Whether the target's libc is no oracle.
    fn is_deviant(&self) -> bool {
        self.deviants.contains(&target())
    }

    /// One test for each linking, option and compiler.
    fn trials(&self, chosen: Option<&[(&str, Linking)]>) -> Vec<Trial> {
        let mut trials = Vec::new();
        for &(word, linking) in &self.linkings {
            if self.is_deviant() && linking == Linking::Oracle {
                continue;
            }
            if chosen.is_some_and(|chosen| !chosen.iter().any(|row| row.1 == linking)) {
                continue;
            }
            for compiler in self.compilers() {
                for option in &self.options {
                    if linking.tool().is_some() && option != "-O2" {
                        continue;
                    }
                    let tool = Path::new(&compiler[0]).file_name().unwrap_or_default();
                    let name = format!("{}/{word}/{option}/{}", self.name(), tool.display());
                    let directory = scratch(&name);
                    let (program, compiler, option) =
                        (self.clone(), compiler.clone(), option.clone());
                    trials.push(trial(name, move || {
                        let binary = program.build(linking, &compiler, &option, &directory)?;
                        program.check(linking, &binary, &directory)
                    }));
                }
            }
        }
        trials
    }

    /// The words of each compiler that this program is built with.
    fn compilers(&self) -> Vec<Vec<String>> {
        let is_cxx = self.source.extension().is_some_and(|extension| extension == "cc");
        if let Some(words) = words(if is_cxx { "RCTX_CXX" } else { "RCTX_CC" }) {
            return vec![words];
        }
        let compilers = self.compilers.iter().map(|name| match (is_cxx, name.as_str()) {
            (true, "gcc") => "g++".to_owned(),
            (true, "clang") => "clang++".to_owned(),
            _ => name.clone(),
        });
        compilers.map(|name| vec![name]).collect()
    }

    fn build(
        &self,
        linking: Linking,
        compiler: &[String],
        option: &str,
        directory: &Path,
    ) -> Outcome<PathBuf> {
        let binary = directory.join(self.name());
        let mut compile = command(compiler);
        compile.args(["-Wall", "-Wextra", "-Werror", "-g", option]);
        compile.arg("-I").arg(root().join("include"));
        compile.arg("-o").arg(&binary).arg(&self.source);
        compile.args(&self.flags); // libraries come behind what uses them
        match linking {
            Linking::Shared
            | Linking::LinkedTrack
            | Linking::Gdb
            | Linking::Helgrind
            | Linking::Memcheck => {
                let libraries = library_links(Path::new(SCRATCH))?;
                compile.arg("-L").arg(&libraries);
                if linking == Linking::LinkedTrack {
                    // Needed by a program without a mask call of its own, too.
                    compile.args(["-Wl,--no-as-needed", "-lrctx-track"]);
                }
                compile.arg("-lrctx");
                compile.arg(format!("-Wl,-rpath,{}", libraries.display()));
            }
            Linking::Static => {
                compile.arg("-static").arg(library(Path::new(SCRATCH), "librctx.a")?);
                compile.args(POSIX.map(|name| format!("-Wl,--trace-symbol={name}")));
            }
            Linking::Archive => {
                compile.arg(library(Path::new(SCRATCH), "librctx.a")?);
            }
            Linking::Preload | Linking::Oracle | Linking::Track | Linking::Same => {}
        }
        let built = run_tool(&mut compile, directory)?;
        if linking == Linking::Static {
            let elsewhere =
                |line: &&str| line.contains("definition of ") && !line.contains("librctx.a(");
            let log = [built.stdout, built.stderr].concat();
            if let Some(line) = log.lines().find(elsewhere) {
                return Err(format!("a function does not come from the archive: {line}"));
            }
        }
        for name in self.sanitizers() {
            check_sanitizer(&binary, name)?;
        }
        Ok(binary)
    }

    fn sanitizers(&self) -> impl Iterator<Item = &str> {
        self.flags.iter().filter_map(|flag| flag.strip_prefix("-fsanitize="))
    }

    fn check(&self, linking: Linking, binary: &Path, directory: &Path) -> Outcome {
        let preload = |name| Ok::<_, String>(Some(library_links(Path::new(SCRATCH))?.join(name)));
        let preload = match linking {
            Linking::Same => return self.check_same(binary, directory),
            Linking::Preload => preload(SONAME)?,
            Linking::Track => preload(TRACK_SONAME)?,
            _ => None,
        };
        self.check_with(linking, preload.as_deref(), &[], binary, directory).map(drop)
    }

    /// Runs the program over the system's libc, where that is an oracle, over ours, and with masks that are tracked,
    /// and checked on the way: what it prints must be the same to the byte.
    fn check_same(&self, binary: &Path, directory: &Path) -> Outcome {
        let seed = env::var("RCTX_SEED").unwrap_or_else(|_| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
            now.as_nanos().to_string()
        });
        eprintln!("{}: RCTX_SEED={seed}", self.name());
        let run = |linking, library: Option<&str>, environment: &[(&str, &str)]| {
            let preload = library.map(|name| Ok(library_links(Path::new(SCRATCH))?.join(name)));
            let preload = preload.transpose().map_err(|error: String| error)?;
            let environment = [environment, &[("RCTX_SEED", &seed)]].concat();
            self.check_with(linking, preload.as_deref(), &environment, binary, directory)
        };
        let rows = [
            ("the system's libc", Linking::Oracle, None, &[][..]),
            ("posix", Linking::Preload, Some(SONAME), &[]),
            ("track", Linking::Track, Some(TRACK_SONAME), &[]),
            ("track, checked", Linking::Track, Some(TRACK_SONAME), &[("RCTX_SIGMASK_CHECK", "1")]),
        ];
        let mut rows = rows.into_iter().skip(self.is_deviant().into());
        let (standard, linking, library, environment) = rows.next().expect("one at least");
        let expected = run(linking, library, environment)?;
        for (what, linking, library, environment) in rows {
            let seen = run(linking, library, environment)?;
            let mut lines = expected.lines().zip(seen.lines()).enumerate();
            if let Some((number, (expected, seen))) = lines.find(|(_, (it, other))| it != other) {
                return Err(format!(
                    "RCTX_SEED={seed}: from line {} on, {what} prints\n{seen}\nand {standard}\n{expected}",
                    number + 1
                ));
            }
            if expected.len() != seen.len() {
                return Err(format!("RCTX_SEED={seed}: {what} prints more or less"));
            }
        }
        Ok(())
    }

    /// Runs the program once and returns what it printed.
    fn check_with(
        &self,
        linking: Linking,
        preload: Option<&Path>,
        environment: &[(&str, &str)],
        binary: &Path,
        directory: &Path,
    ) -> Outcome<String> {
        let log = directory.join("bindings");
        let mut loader = Vec::new();
        let mut run_environment: Vec<_> =
            environment.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        let is_tracked = matches!(linking, Linking::Track | Linking::LinkedTrack);
        if is_tracked {
            run_environment.push(("RCTX_VERBOSE", "1".to_owned()));
        }
        let is_bound = is_tracked || matches!(linking, Linking::Shared | Linking::Preload);
        if is_bound {
            // All bindings at the start, so that the log has those of functions not called as well.
            loader.push(("LD_BIND_NOW", "1".to_owned()));
            loader.push(("LD_DEBUG", "bindings".to_owned()));
            loader.push(("LD_DEBUG_OUTPUT", log.display().to_string()));
        }
        if let Some(library) = preload {
            loader.push(("LD_PRELOAD", library.display().to_string()));
        }
        let mut run_it = match (words("RCTX_RUNNER"), linking.tool()) {
            (_, Some(arguments)) => {
                let mut valgrind = Command::new("valgrind");
                valgrind.args(["-q", "--error-exitcode=99"]).args(arguments).arg(binary);
                valgrind
            }
            _ if linking == Linking::Gdb => {
                let mut gdb = Command::new("gdb");
                gdb.args(["-q", "-nx", "-batch", "-x"]).arg(self.source.with_extension("py"));
                gdb.arg(binary);
                gdb
            }
            (Some(runner), _) => {
                // For the program's loader, not for the runner's own.
                let list: Vec<_> = loader.drain(..).map(|(k, v)| format!("{k}={v}")).collect();
                let mut command = command(&runner);
                if !list.is_empty() {
                    command.env("QEMU_SET_ENV", list.join(","));
                }
                command.arg(binary);
                command
            }
            (None, _) => Command::new(binary),
        };
        run_it.envs(loader).envs(run_environment);
        run_it.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let run = run(&mut run_it, directory)?;

        if run.status.code() != Some(self.status) {
            return Err(run.describe(&format!("the status is not {}", self.status), &run_it));
        }
        if self.needs_end_marker && run.stdout.lines().last() != Some(END_MARKER) {
            return Err(run.describe("the end marker is missing", &run_it));
        }
        if self.stderr.as_ref().is_some_and(|expected| !expected.is_match(&run.stderr)) {
            return Err(run.describe("stderr is not as expected", &run_it));
        }
        // Every way out of tracking says why.
        let tracks = run.stderr.contains(", signal masks: track");
        if is_tracked && (!tracks || run.stderr.contains(", signal masks: posix: ")) {
            return Err(run.describe("the masks were not tracked", &run_it));
        }
        if is_bound {
            let log = format!("{}.{}", log.display(), run.pid);
            let sanitizer = self.sanitizers().next();
            check_bindings(binary, Path::new(&log), preload.is_some(), sanitizer)?;
        }
        Ok(run.stdout)
    }
}

/// Proves by the loader's own log that each of the four functions that `binary` imports is ours. (A preload
/// that cannot be loaded is only a warning: the program would run on the system's.) musl has no such functions,
/// so they can be only ours, and its loader keeps no log. A sanitizer's runtime may stand between, and calls ours.
fn check_bindings(
    binary: &Path,
    log: &Path,
    must_import: bool,
    sanitizer: Option<&str>,
) -> Outcome {
    if interpreter(binary)?.contains("/ld-musl-") {
        return Ok(());
    }
    let text = |error| format!("{}: {error}", log.display());
    let log = fs::read_to_string(log).map_err(text)?;
    let imported = imports(binary)?;
    let imported: Vec<_> =
        POSIX.into_iter().filter(|name| imported.iter().any(|it| it == name)).collect();
    if must_import && imported.is_empty() {
        return Err("the program imports none of the four functions".into());
    }
    let program = format!("binding file {} ", binary.display());
    let ours = format!("/{SONAME} [");
    let runtime = match sanitizer {
        Some("address") => Some("/libasan.so"),
        Some("thread") => Some("/libtsan.so"),
        _ => None,
    };
    for name in imported {
        let symbol = format!("`{name}'");
        let routes = log.lines().filter(|line| line.contains(&symbol));
        let routes: Vec<_> = routes.filter_map(|line| line.split_once(" to ")).collect();
        let is_runtime = |file: &str| runtime.is_some_and(|runtime| file.contains(runtime));
        let through = routes.iter().any(|it| it.0.contains(&program) && is_runtime(it.1));
        let of_interest = |from: &str, to: &str| match through {
            true => is_runtime(from) && !is_runtime(to),
            false => from.contains(&program),
        };
        let bindings: Vec<_> = routes.iter().filter(|it| of_interest(it.0, it.1)).collect();
        if bindings.is_empty() || bindings.iter().any(|it| !it.1.contains(&ours)) {
            return Err(format!("{name} is not bound to {SONAME}: {bindings:?}"));
        }
    }
    Ok(())
}

/// What `look` finds in an ELF file.
fn examine<T>(binary: &Path, look: impl FnOnce(&object::File) -> Outcome<T>) -> Outcome<T> {
    let data = fs::read(binary).map_err(|error| error.to_string())?;
    look(&object::File::parse(&*data).map_err(|error| error.to_string())?)
}

/// The loader that a program asks for.
fn interpreter(binary: &Path) -> Outcome<String> {
    examine(binary, |file| {
        let section = file.section_by_name(".interp").ok_or("the program is not a shared one")?;
        let path = section.data().map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(path).into_owned())
    })
}

fn imports(binary: &Path) -> Outcome<Vec<String>> {
    examine(binary, |file| {
        let undefined = file.dynamic_symbols().filter(ObjectSymbol::is_undefined);
        Ok(undefined.filter_map(|symbol| symbol.name().ok().map(str::to_owned)).collect())
    })
}

/// Proves that the sanitizer of `-fsanitize=name` is in a program: else its silence says nothing.
fn check_sanitizer(binary: &Path, name: &str) -> Outcome {
    let entry = match name {
        "address" => "__asan_init",
        "thread" => "__tsan_init",
        "undefined" => "__ubsan_handle_add_overflow",
        _ => return Err(format!("-fsanitize={name}: no symbol is known that shows it")),
    };
    let is_there = examine(binary, |file| {
        let mut symbols = file.symbols().chain(file.dynamic_symbols());
        Ok(symbols.any(|symbol| symbol.name().is_ok_and(|name| name == entry)))
    })?;
    if is_there {
        return Ok(());
    }
    Err(format!("the {name} sanitizer is not linked in: there is no {entry}"))
}

/// A directory of a test's own, empty.
fn scratch(name: &str) -> PathBuf {
    Path::new(SCRATCH).join("programs").join(name)
}

fn trial(name: String, test: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    let directory = scratch(&name);
    Trial::test(name, move || {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        test().map_err(Failed::from)
    })
}

/// The harness on programs that must not pass: each needs what `expected` says.
fn self_tests() -> Vec<Trial> {
    const BODY: &str = "#include <stdio.h>\n#include <ucontext.h>\nint main(void)\n\
        { ucontext_t here; return puts(\"end\") < 0 || getcontext(&here); }\n";
    let refuses = |name: &str,
                   directive: &'static str,
                   preload: Option<&'static str>,
                   expected: &'static str| {
        let name = format!("harness/{name}");
        let directory = scratch(&name);
        trial(name, move || {
            let source = directory.join("program.c");
            let text = format!("/* A program.\n * {directive}\n */\n{BODY}");
            fs::write(&source, text).map_err(|error| error.to_string())?;
            let attempt = || {
                let linking = if preload.is_some() { Linking::Preload } else { Linking::Oracle };
                let program = Program::read(&source, directive.is_empty() && preload.is_none())?;
                let binary = program.build(linking, &program.compilers()[0], "-O2", &directory)?;
                let preload = preload.map(Path::new);
                program.check_with(linking, preload, &[], &binary, &directory)
            };
            match attempt() {
                Err(message) if message.contains(expected) => Ok(()),
                other => Err(format!("expected {expected:?}, got {other:?}")),
            }
        })
    };
    vec![
        refuses("end_marker", "", None, "the end marker is missing"),
        refuses("status", "status: 7", None, "the status is not 7"),
        refuses("stderr", "stderr: a line", None, "stderr is not as expected"),
        refuses("directive", "linking: shared", None, "unknown directive"),
        refuses("linking", "linkings: sharde", None, "is no linking"),
        refuses(
            "sanitizer",
            "flags: -fsanitize=address -fno-sanitize=all",
            None,
            "the address sanitizer is not linked in",
        ),
        refuses("binding", "", Some("/nonexistent.so"), "getcontext is not bound"),
    ]
}

fn sources(directory: &str) -> Outcome<Vec<PathBuf>> {
    let path = root().join(directory);
    let entries = fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut sources: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "c" || it == "cc"))
        .collect();
    sources.sort();
    Ok(sources)
}

fn collect() -> Outcome<Vec<Trial>> {
    let chosen = words("RCTX_LINKINGS").map(|words| linkings(&words)).transpose()?;
    let mut trials = self_tests();
    for (directory, needs_end_marker) in [("c-tests", true), ("examples/c", false)] {
        for source in sources(directory)? {
            let program = Program::read(&source, needs_end_marker)?;
            if program.is_for_target() {
                trials.extend(program.trials(chosen.as_deref()));
            }
        }
    }
    Ok(trials)
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match collect() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
