//! Runs the rows: rounds of all of them in turn, and the rings.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cases::{Case, RINGS, resident_id};
use crate::loops::{self, Peer};
use crate::report::{Row, Unit};

/// Swaps of a ring's round, if the ring is not larger.
const RING_SWAPS: usize = 1_000_000;
const RING_ROUNDS: usize = 5;

fn progress(len: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)");
    ProgressBar::new(len as u64).with_style(style.expect("the template is well-formed"))
}

/// Shows that something is going on whose end cannot be told.
pub fn spin<T>(message: &'static str, work: impl FnOnce() -> T) -> T {
    let bar = ProgressBar::new_spinner().with_message(message);
    bar.enable_steady_tick(Duration::from_millis(100));
    let outcome = work();
    bar.finish_and_clear();
    outcome
}

/// Runs every case in turn, in each round of about `batch` nanoseconds.
pub fn rounds(cases: &[Case], rounds: usize, batch: f64) -> Vec<Row> {
    let bar = progress(cases.len() * (rounds + 1));
    let mut sizes = BTreeMap::new();
    for case in cases {
        bar.set_message(format!("warming up: {}", case.title));
        if let Ok(run) = &case.run {
            sizes.insert(&case.id, batch_size(run, batch));
        }
        bar.inc(1);
    }
    let mut rows: Vec<Row> = cases
        .iter()
        .map(|case| {
            let mut row = Row::new(&case.id, case.section, &case.title, Unit::Nanoseconds);
            row.absent = case.run.as_ref().err().cloned();
            row
        })
        .collect();
    for round in 1..=rounds {
        // Each round starts at another row, so that none is always at the same point of the scheduler's slices.
        for place in 0..cases.len() {
            let index = (place + round) % cases.len();
            let (case, row) = (&cases[index], &mut rows[index]);
            bar.set_message(format!("round {round}: {}", case.title));
            if let Ok(run) = &case.run {
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

/// The heading that a chart refers to.
pub const ROUND_ROBIN: &str = "round robin, by number of contexts (compact handle)";
/// As [`ROUND_ROBIN`].
pub const RESIDENT: &str = "resident memory of a suspended context, by their number";

/// The most contexts, not of the compact handle, whose memory is measured: each on a guarded stack takes two of the
/// 65,530 maps that the kernel allows a process, and each with a slice more than a kilobyte.
const GUARDED: usize = 10_000;
const SLICED: usize = 1_000_000;

/// The rings: the time of a swap and the memory of a context as the number of contexts grows.
pub fn rings(most: usize) -> Vec<Row> {
    let counts: Vec<usize> = RINGS.into_iter().filter(|&count| count <= most).collect();
    let bar = progress(counts.len());
    let mut rows = Vec::new();
    let mut memory = Vec::new();
    for count in counts {
        bar.set_message(format!("{count} contexts"));
        let n = RING_SWAPS.max(count);
        let mut times = [0.0; RING_ROUNDS];
        let mut row = |id: &str, title: &str, times: &[f64]| {
            let mut row = Row::new(&format!("{id}-{count}"), ROUND_ROBIN, title, Unit::Nanoseconds);
            row.values = times.iter().map(|time| time / n as f64).collect();
            rows.push(row);
        };
        let loops::Ring { resident, block } = loops::ring(count, n, &mut times);
        row("ring", &format!("{count}: rctx_slice_swap"), &times);
        loops::ring_memcpys(count, block, n, &mut times);
        row("ring-memcpys", &format!("{count}: two memcpys of the block's {block} bytes"), &times);

        // Fewer contexts take less than what malloc and stdio hold anyway.
        if count >= 1_000 {
            let mut row = |id: &str, title: &str, bytes: f64| {
                let title = format!("{count}: {title}");
                let mut row = Row::new(id, RESIDENT, &title, Unit::Bytes);
                row.values.push(bytes);
                memory.push(row);
            };
            row(&resident_id(count), "rctx compact handle", resident);
            if count <= SLICED {
                let bytes = loops::sliced_resident(count);
                row(&format!("resident-sliced-{count}"), "rctx ucontext_t with a slice", bytes);
            }
            if count <= GUARDED {
                let bytes = loops::posix_resident(Peer::Glibc, count);
                row(&format!("resident-glibc-{count}"), "glibc, a guarded stack each", bytes);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    rows.extend(memory);
    rows
}
