//! What a switch costs beside the peers: one program, one run, one table, one picture.
//!
//! Every row runs in this process on one CPU. Rows take turns, round after round, so that a change of the
//! machine's mood meets them all alike; a row's figure is the median of its rounds, with the quartiles beside
//! it, and a ratio of two rows is the median of the rounds' ratios. Rings of many contexts follow, one after
//! the other, because each needs the memory to itself.

mod cases;
mod chart;
mod cpu;
mod instructions;
mod loops;
mod measure;
mod page;
mod report;

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use cases::RINGS;
use report::Report;

/// Measures what a switch costs, beside the peers.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Rounds of each row; the figure is their median
    #[arg(long, default_value_t = 251)]
    rounds: usize,
    /// Milliseconds of a row's round
    #[arg(long, default_value_t = 1.0)]
    batch: f64,
    /// The largest ring of contexts
    #[arg(long, default_value_t = RINGS[RINGS.len() - 1])]
    contexts: usize,
    /// Only rows whose name in the report contains one of these; the rings are left out, and nothing is saved
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A librctx.so to measure instead of the one built here
    #[arg(long)]
    library: Option<PathBuf>,
    /// Where the report goes [default: target/bench]
    #[arg(long)]
    output: Option<PathBuf>,
    /// Count instructions only, and compare them with the file that is checked in
    #[arg(long, group = "instructions")]
    check_instructions: bool,
    /// Count instructions only, and write the file that is checked in
    #[arg(long, group = "instructions")]
    update_instructions: bool,
    #[arg(long, hide = true)]
    under_callgrind: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rctx-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let executable = std::env::current_exe()?;
    // The executable is in target/release.
    let release = executable.parent().ok_or("the executable is in no directory")?;
    let target = release.parent().ok_or("target has no parent")?;
    let library = match &options.library {
        Some(path) => path.clone(),
        None => build(release)?,
    };
    preload(&library, release, target)?;
    if options.update_instructions {
        return instructions::update(&library);
    }
    if options.check_instructions {
        return instructions::check(&library);
    }

    let (cpu, second_cpu) = cpu::pin()?;
    loops::load(&library);
    let mut cases = cases::cases(second_cpu);
    let only = &options.only;
    cases.retain(|case| only.is_empty() || only.iter().any(|only| case.id.contains(only.as_str())));
    if cases.is_empty() {
        return Err("no row has such a name: target/bench/report.json lists them".into());
    }
    if options.under_callgrind {
        instructions::run(&cases);
        return Ok(());
    }

    let mut rows = measure::rounds(&cases, options.rounds, options.batch * 1e6);
    if only.is_empty() {
        rows.extend(measure::rings(options.contexts));
    }
    let counts = measure::spin("counting instructions", || instructions::count(&library, only));
    let output = options.output.clone().unwrap_or_else(|| target.join("bench"));
    let mut report = Report::new(rows, cpu, &output);
    match counts {
        Ok(counts) => report.add_instructions(&counts),
        Err(error) => eprintln!("no instructions are counted: {error}"),
    }
    report.print();
    if only.is_empty() { report.save(&output) } else { Ok(()) }
}

/// Builds the shared library that is measured, and the tracking object. They are no dependencies, because linking them
/// would put their functions in the place of glibc's.
fn build(release: &Path) -> Result<PathBuf, Box<dyn Error>> {
    // One by one: the second is linked with the first.
    for package in ["rctx", "rctx-track"] {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--package", package, "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
            .arg("--target-dir")
            .arg(release.parent().ok_or("target has no parent")?)
            .status()?;
        if !status.success() {
            return Err("the library could not be built".into());
        }
    }
    Ok(release.join("librctx.so"))
}

/// Starts this program again with the tracking object, unless that has happened: masks can be tracked from a process'
/// first instruction only. The two come from a directory of their own, so that the library that is loaded as a peer is
/// another one, whose masks are not tracked.
fn preload(library: &Path, release: &Path, target: &Path) -> Result<(), Box<dyn Error>> {
    const STARTED: &str = "RCTX_BENCH_STARTED";
    if std::env::var_os(STARTED).is_some() {
        return Ok(());
    }
    let place = target.join("bench");
    std::fs::create_dir_all(&place)?;
    std::fs::copy(library, place.join("librctx.so.0"))?;
    let track = place.join("librctx-track.so.0");
    std::fs::copy(release.join("librctx_track.so"), &track)?;
    let mut again = Command::new(std::env::current_exe()?);
    // cargo's path would lead the tracking object to the other one.
    again.env_remove("LD_LIBRARY_PATH");
    again.args(std::env::args_os().skip(1)).env(STARTED, "1").env("LD_PRELOAD", track);
    Err(again.exec().into())
}
