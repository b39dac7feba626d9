//! What a run saw: the tables on the terminal, and the files.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};

use crate::cases::goals;
use crate::instructions::Count;
use crate::{chart, cpu, loops, page};

/// What a row's values count.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Time of one operation.
    Nanoseconds,
    /// Memory of one context.
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Bytes => "B",
        }
    }
}

/// The median of the rounds, and the quartiles.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Summary {
    lower: f64,
    pub median: f64,
    upper: f64,
}

impl Summary {
    fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (sorted.len() - 1) as f64 * part;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        (!sorted.is_empty()).then(|| Summary { lower: at(0.25), median: at(0.5), upper: at(0.75) })
    }
}

/// One row with the value of each round; none for a peer that is absent.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub section: String,
    pub title: String,
    unit: Unit,
    /// Why there are no values.
    pub absent: Option<String>,
    summary: Option<Summary>,
    /// Instructions of one operation outside of the kernel, where they were counted.
    instructions: Option<f64>,
    /// The value of each round.
    pub values: Vec<f64>,
}

impl Row {
    /// A row without values.
    pub fn new(id: &str, section: &str, title: &str, unit: Unit) -> Row {
        let [id, section, title] = [id, section, title].map(str::to_owned);
        let values = Vec::new();
        Row { id, section, title, unit, absent: None, summary: None, instructions: None, values }
    }

    /// The median of its values.
    pub fn median(&self) -> Option<f64> {
        self.summary.map(|summary| summary.median)
    }

    /// The table's columns but the title. `before` is what the last run saw.
    fn cells(&self, before: Option<&Summary>) -> [String; 4] {
        let Some(summary) = self.summary else {
            return [
                self.absent.clone().unwrap_or_default(),
                String::new(),
                String::new(),
                String::new(),
            ];
        };
        let change = before.map(|before| {
            let percent = (summary.median / before.median - 1.0) * 100.0;
            let verdict = if summary.lower > before.upper {
                ", more"
            } else if summary.upper < before.lower {
                ", less"
            } else {
                ""
            };
            format!("{percent:+.1} %{verdict}")
        });
        [
            format!("{} {}", figure(summary.median), self.unit.name()),
            if self.values.len() > 1 {
                format!("{} to {}", figure(summary.lower), figure(summary.upper))
            } else {
                String::new()
            },
            self.instructions.map(figure).unwrap_or_default(),
            change.unwrap_or_default(),
        ]
    }
}

/// Three or four digits, as many as say something.
fn figure(value: f64) -> String {
    match value {
        ..100.0 if value.fract() != 0.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

/// The columns of the table of all rows.
pub const COLUMNS: [&str; 5] =
    ["one operation", "median", "middle half", "instructions", "since last run"];

/// A figure that is wanted, with what was seen.
pub struct Verdict {
    /// What it is about, and what is wanted of it.
    pub wanted: String,
    /// What was seen, or that the peer is absent.
    pub seen: String,
    /// "yes", "no" or nothing.
    pub met: &'static str,
}

/// All that a run saw.
#[derive(Serialize, Deserialize)]
pub struct Report {
    version: String,
    machine: String,
    cpu: usize,
    pub rows: Vec<Row>,
    #[serde(skip)]
    before: BTreeMap<String, Summary>,
}

const JSON: &str = "report.json";
const PICTURE: &str = "report.svg";
const PAGE: &str = "report.html";

impl Report {
    /// Summarises the rows, and looks up what the run before saw.
    pub fn new(mut rows: Vec<Row>, cpu: usize, output: &Path) -> Report {
        for row in &mut rows {
            row.summary = Summary::of(&row.values);
        }
        let before = fs::read(output.join(JSON))
            .ok()
            .and_then(|json| serde_json::from_slice::<Report>(&json).ok())
            .map(|report| {
                report.rows.into_iter().filter_map(|row| Some((row.id, row.summary?))).collect()
            })
            .unwrap_or_default();
        Report { version: loops::version(), machine: cpu::name(), cpu, rows, before }
    }

    /// Adds what was counted under callgrind.
    pub fn add_instructions(&mut self, counts: &BTreeMap<String, Count>) {
        for row in &mut self.rows {
            row.instructions = counts.get(&row.id).map(|count| count.all);
        }
    }

    /// What was measured, and where.
    pub fn title(&self) -> String {
        format!("rctx {} on {}, CPU {}", self.version, self.machine, self.cpu)
    }

    /// The row of this name.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The table's columns for one of its rows.
    pub fn cells(&self, row: &Row) -> [String; 4] {
        row.cells(self.before.get(&row.id))
    }

    /// How often each value of `row` holds the value of the row `id` in the same round.
    fn ratios(&self, row: &Row, id: &str) -> Vec<f64> {
        let reference = self.row(id).map_or(&[][..], |row| &row.values);
        row.values.iter().zip(reference).map(|(value, reference)| value / reference).collect()
    }

    /// What is wanted of the rows that were run, and what was seen.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for goal in goals() {
            let Some(row) = self.row(&goal.case) else { continue };
            let (values, unit, than) = match goal.wanted.reference() {
                None => (row.values.clone(), row.unit.name(), String::new()),
                Some(id) => (
                    self.ratios(row, id),
                    "times",
                    format!(" {}", self.row(id).map_or(id, |row| &row.title)),
                ),
            };
            let (seen, met) = match Summary::of(&values) {
                None => ("absent".to_owned(), ""),
                Some(Summary { lower, median, upper }) => {
                    let (seen, met) = goal.wanted.judge(median);
                    let mut ends = [lower, upper].map(|end| goal.wanted.judge(end).0);
                    ends.sort_by(f64::total_cmp);
                    let spread = format!(" ({:.2} to {:.2})", ends[0], ends[1]);
                    let spread = if values.len() > 1 { &spread } else { "" };
                    (format!("{seen:.2} {unit}{spread}"), if met { "yes" } else { "no" })
                }
            };
            let unit = if goal.wanted.reference().is_none() { row.unit.name() } else { "" };
            let wanted = format!("{}: {}{than} {unit}", row.title, goal.wanted);
            verdicts.push(Verdict { wanted: wanted.trim_end().to_owned(), seen, met });
        }
        verdicts
    }

    /// Prints the tables.
    pub fn print(&self) {
        let mut table = new_table(COLUMNS);
        let mut section = "";
        for row in &self.rows {
            if row.section != section {
                section = &row.section;
                table.add_row([Cell::new(section).add_attribute(Attribute::Bold)]);
            }
            let title = format!("  {}", row.title);
            table.add_row([title].into_iter().chain(self.cells(row)));
        }
        for index in 1..=3 {
            let column = table.column_mut(index).expect("it has a header");
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{}", self.title());
        println!("{table}");

        let verdicts = self.verdicts();
        if !verdicts.is_empty() {
            let mut table = new_table(["wanted", "seen", "met"]);
            for Verdict { wanted, seen, met } in verdicts {
                table.add_row([&wanted, &seen, met]);
            }
            println!("{table}");
        }
    }

    /// Writes the files.
    pub fn save(&self, output: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(output)?;
        let picture = chart::draw(self)?;
        fs::write(output.join(JSON), serde_json::to_string_pretty(self)?)?;
        fs::write(output.join(PAGE), page::render(self, &picture).into_string())?;
        fs::write(output.join(PICTURE), picture)?;
        println!("saved: {JSON}, {PICTURE} and {PAGE} in {}", output.display());
        Ok(())
    }
}

fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}
