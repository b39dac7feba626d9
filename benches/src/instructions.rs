//! Counts of instructions by callgrind, which do not vary from run to run; and the counts that are checked in, so
//! that nobody slows a path without saying so.
//!
//! The program runs itself under callgrind, which writes one file for each of two numbers of operations of each row.
//! The difference is what the operations took: starting and ending a loop is in both.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cases::Case;
use crate::loops;

/// How many operations the two files of a row count.
const FEW: usize = 100;
const MANY: usize = 300;

/// What the other program is told, which runs under callgrind.
pub const UNDER_CALLGRIND: &str = "--under-callgrind";

/// Instructions of one operation.
pub struct Count {
    /// Those of rctx itself.
    pub rctx: f64,
    /// Those, and the peer's, the C library's and the loop's.
    pub all: f64,
}

/// What is run under callgrind: every row that can be counted.
pub fn run(cases: &[Case]) {
    for case in cases.iter().filter(|case| case.counts) {
        if let Ok(run) = &case.run {
            run(FEW); // binds symbols
            for n in [FEW, MANY] {
                loops::count_begin();
                run(n);
                loops::dump(&format!("{n} {}", case.id));
            }
        }
    }
}

/// Counts each row whose name is one of, or contains one of `only`.
pub fn count(library: &Path, only: &[String]) -> Result<BTreeMap<String, Count>, Box<dyn Error>> {
    if loops::count_is_possible() == 0 {
        return Err(
            "not compiled in, because valgrind/callgrind.h was missing: install valgrind, \
                    then `cargo clean -p rctx-benches`"
                .into(),
        );
    }
    let folder = std::env::temp_dir().join(format!("rctx-callgrind-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let counted = count_into(&folder, library, only);
    fs::remove_dir_all(&folder)?;
    counted
}

fn count_into(
    folder: &Path,
    library: &Path,
    only: &[String],
) -> Result<BTreeMap<String, Count>, Box<dyn Error>> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--dump-line=no", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(std::env::current_exe()?)
        .args([UNDER_CALLGRIND, "--library"])
        .arg(library);
    if !only.is_empty() {
        command.args(["--only", &only.join(",")]);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("under callgrind: {}\n{said}", output.status).into());
    }

    let mut sums = BTreeMap::<String, (i64, i64)>::new();
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path())?;
        let Some((n, id)) = text
            .lines()
            .find_map(|line| line.strip_prefix("desc: Trigger: Client Request: "))
            .and_then(|name| name.split_once(' '))
        else {
            continue; // what was counted after the last of them
        };
        let (rctx, all) = sums.entry(id.to_owned()).or_default();
        let sign = if n.parse() == Ok(FEW) { -1 } else { 1 };
        let sum = sum(&text)?;
        *rctx += sign * sum.0;
        *all += sign * sum.1;
    }
    let each = |sum: i64| sum as f64 / (MANY - FEW) as f64;
    Ok(sums
        .into_iter()
        .map(|(id, (rctx, all))| (id, Count { rctx: each(rctx), all: each(all) }))
        .collect())
}

/// Adds up a file of callgrind's: the instructions in rctx, and all.
fn sum(text: &str) -> Result<(i64, i64), Box<dyn Error>> {
    let (mut rctx, mut all) = (0, 0);
    let mut in_rctx = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(object) = line.strip_prefix("ob=") {
            in_rctx = object.contains("librctx.so");
        } else if line.starts_with("calls=") {
            lines.next(); // what the callee took, which its own lines say
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let cost = line.split(' ').nth(1).ok_or("callgrind wrote a line without a cost")?;
            let cost: i64 = cost.parse()?;
            all += cost;
            if in_rctx {
                rctx += cost;
            }
        }
    }
    Ok((rctx, all))
}

/// The file of this machine's instruction set.
fn file() -> PathBuf {
    let name = format!("instructions/{}.tsv", std::env::consts::ARCH);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Writes the counts of rctx's own rows into the file that is checked in.
pub fn update(library: &Path) -> Result<(), Box<dyn Error>> {
    let mut text =
        "# Instructions of rctx that one operation takes. `make instructions` counts anew.\n"
            .to_owned();
    writeln!(text, "# {}", env!("COMPILER"))?;
    for (id, Count { rctx, .. }) in count(library, &[])? {
        if rctx > 0.0 {
            writeln!(text, "{id}\t{rctx}")?;
        }
    }
    let file = file();
    fs::create_dir_all(file.parent().expect("the file is in a folder"))?;
    fs::write(&file, text)?;
    println!("wrote {}", file.display());
    Ok(())
}

/// How much more than the number in the file is allowed when another compiler wrote rctx's Rust.
const OTHER_COMPILER: f64 = 1.1;

/// Compares with the file: fails when a path takes more than it says.
pub fn check(library: &Path) -> Result<(), Box<dyn Error>> {
    let file = file();
    let Ok(text) = fs::read_to_string(&file) else {
        println!(
            "instructions: none are checked in for this machine; `make instructions` writes {}",
            file.display()
        );
        return Ok(());
    };
    let same_compiler = text.lines().any(|line| line == format!("# {}", env!("COMPILER")));
    let factor = if same_compiler { 1.0 } else { OTHER_COMPILER };
    let counts = count(library, &[])?;
    let mut wrong = Vec::new();
    let mut fewer = Vec::new();
    let mut checked = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (id, wanted) = line.split_once('\t').ok_or("a line without a tab")?;
        let wanted: f64 = wanted.parse()?;
        match counts.get(id) {
            None => wrong.push(format!("{id}: in the file, but not counted")),
            Some(count) if count.rctx > wanted * factor => {
                wrong.push(format!("{id}: {} instructions, {wanted} in the file", count.rctx));
            }
            Some(count) if count.rctx < wanted => {
                fewer.push(format!("{id}: {} instructions, {wanted} in the file", count.rctx));
            }
            Some(_) => (),
        }
        checked += 1;
    }
    let listed = |id: &str| text.lines().any(|line| line.split('\t').next() == Some(id));
    for (id, _) in counts.iter().filter(|(id, count)| count.rctx > 0.0 && !listed(id)) {
        wrong.push(format!("{id}: not in the file"));
    }
    if same_compiler && !fewer.is_empty() {
        println!("faster than {} says; `make instructions` keeps it so:", file.display());
        println!("  {}", fewer.join("\n  "));
    }
    if wrong.is_empty() {
        println!("instructions: {checked} hot paths take no more than {} says", file.display());
        return Ok(());
    }
    Err(format!(
        "{} differs from what is counted:\n  {}\n\
         When that is meant, run `make instructions` and say in the commit what it is for.",
        file.display(),
        wrong.join("\n  ")
    )
    .into())
}
