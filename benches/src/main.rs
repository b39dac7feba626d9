//! What a switch costs beside the peers: one program, one run, one table, one picture.
//!
//! Every row runs in this process on one CPU. Rows take turns, round after round, so that a change of the
//! machine's mood meets them all alike; a row's figure is the median of its rounds, with the extremes beside
//! it, and a ratio of two rows is the median of the rounds' ratios. Rings of many contexts follow, one after the other, because each needs the memory to itself.

mod cases;
mod loops;
mod report;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use cases::{Case, RINGS, resident_id};
use report::{Report, Row, Unit};

/// Measures what a switch costs, beside the peers.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Rounds of each row; the figure is their median
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Milliseconds of a row's round
    #[arg(long, default_value_t = 1.0)]
    batch: f64,
    /// The largest ring of contexts
    #[arg(long, default_value_t = RINGS[RINGS.len() - 1])]
    contexts: usize,
    /// Only rows whose name in the report contains one of these; the rings are left out
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A librctx.so to measure instead of the one built here
    #[arg(long)]
    library: Option<PathBuf>,
    /// Where report.json and report.svg go [default: target/bench]
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Boost.Context as Debian's libboost-context-dev installs it.
const FCONTEXT: &std::ffi::CStr = c"libboost_context.so";

/// Swaps of a ring's round, if the ring is not larger.
const RING_SWAPS: usize = 1_000_000;
const RING_ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let executable = std::env::current_exe()?;
    // The executable is in target/release.
    let release = executable.parent().ok_or("the executable is in no directory")?;
    let library = match &options.library {
        Some(path) => path.clone(),
        None => build(release)?,
    };
    let output = match &options.output {
        Some(path) => path.clone(),
        None => release.parent().ok_or("target has no parent")?.join("bench"),
    };
    let cpu = pin()?;
    let has_fcontext = loops::load(&library, FCONTEXT);

    let only = &options.only;
    let wanted =
        |case: &Case| only.is_empty() || only.iter().any(|only| case.id.contains(only.as_str()));
    let cases: Vec<Case> = cases::cases(has_fcontext).into_iter().filter(wanted).collect();
    let mut rows = measure(&cases, &options);
    if options.only.is_empty() {
        rows.extend(rings(&options));
    }
    let report = Report::new(rows, cpu, &output);
    report.print();
    report.save(&output)
}

/// Builds the shared library that is measured. It is not a dependency, because linking it would put its
/// functions in the place of glibc's.
fn build(release: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "rctx", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .arg("--target-dir")
        .arg(release.parent().ok_or("target has no parent")?)
        .status()?;
    if !status.success() {
        return Err("the library could not be built".into());
    }
    Ok(release.join("librctx.so"))
}

/// Pins the process to the last CPU that it may use, which interrupts use the least, and returns it.
fn pin() -> Result<usize, Box<dyn Error>> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let cpu = (0..CpuSet::count())
        .rev()
        .find(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .ok_or("no CPU to run on")?;
    let mut one = CpuSet::new();
    one.set(cpu)?;
    sched_setaffinity(this, &one)?;
    Ok(cpu)
}

fn progress(len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)");
    ProgressBar::new(len as u64).with_style(style.expect("the template is well-formed"))
}

/// Runs every case in turn, in each round.
fn measure(cases: &[Case], options: &Options) -> Vec<Row> {
    let bar = progress(cases.len() * (options.rounds + 1));
    let mut sizes = BTreeMap::new();
    for case in cases {
        bar.set_message(format!("warming up: {}", case.title));
        if let Some(run) = &case.run {
            sizes.insert(&case.id, batch_size(run, options.batch * 1e6));
        }
        bar.inc(1);
    }
    let mut rows: Vec<Row> = cases
        .iter()
        .map(|case| Row::new(&case.id, case.section, &case.title, Unit::Nanoseconds))
        .collect();
    for round in 1..=options.rounds {
        for (case, row) in cases.iter().zip(&mut rows) {
            bar.set_message(format!("round {round}: {}", case.title));
            if let Some(run) = &case.run {
                let n = sizes[&case.id];
                row.values.push(run(n) / n as f64);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    rows
}

/// How many operations take so many nanoseconds. Finding out warms up.
fn batch_size(run: &dyn Fn(usize) -> f64, wanted: f64) -> usize {
    let mut n = 64;
    loop {
        let time = run(n);
        if time >= wanted / 2.0 {
            return (n as f64 * wanted / time) as usize & !1 | 2;
        }
        n *= 2;
    }
}

/// The rings: the time of a swap and the memory of a context as the number of contexts grows.
fn rings(options: &Options) -> Vec<Row> {
    let counts: Vec<usize> = RINGS.into_iter().filter(|&count| count <= options.contexts).collect();
    let bar = progress(counts.len());
    let mut rows = Vec::new();
    let mut memory = Vec::new();
    for count in counts {
        bar.set_message(format!("{count} contexts"));
        let section = "round robin, by number of contexts (compact handle)";
        let n = RING_SWAPS.max(count);
        let mut times = [0.0; RING_ROUNDS];
        let mut row = |id: &str, title: &str, times: &[f64]| {
            let mut row = Row::new(&format!("{id}-{count}"), section, title, Unit::Nanoseconds);
            row.values = times.iter().map(|time| time / n as f64).collect();
            rows.push(row);
        };
        let loops::Ring { resident, block } = loops::ring(count, n, &mut times);
        row("ring", &format!("{count}: rctx_slice_swap"), &times);
        loops::ring_memcpys(count, block, n, &mut times);
        row("ring-memcpys", &format!("{count}: two memcpys of the block's {block} bytes"), &times);

        // Fewer contexts take less than what malloc and stdio hold anyway.
        if count >= 1_000 {
            let section = "resident memory of a suspended context (compact handle)";
            let mut row =
                Row::new(&resident_id(count), section, &format!("of {count}"), Unit::Bytes);
            row.values.push(resident);
            memory.push(row);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    rows.extend(memory);
    rows
}
