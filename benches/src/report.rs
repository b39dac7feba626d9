//! The table on the terminal, report.json and report.svg.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cases::{DEPTHS, Goal, RINGS, bytes, goals};
use crate::loops;

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

/// One row with the value of each round; none for a peer that is absent.
#[derive(Serialize, Deserialize)]
pub struct Row {
    id: String,
    section: String,
    title: String,
    unit: Unit,
    median: Option<f64>,
    /// The value of each round.
    pub values: Vec<f64>,
}

impl Row {
    /// A row without values.
    pub fn new(id: &str, section: &str, title: &str, unit: Unit) -> Row {
        let [id, section, title] = [id, section, title].map(str::to_owned);
        Row { id, section, title, unit, median: None, values: Vec::new() }
    }
}

/// All that a run saw.
#[derive(Serialize, Deserialize)]
pub struct Report {
    version: String,
    machine: String,
    cpu: usize,
    rows: Vec<Row>,
    #[serde(skip)]
    before: BTreeMap<String, f64>,
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The power of ten below.
fn decade(value: f64) -> f64 {
    10f64.powf(value.log10().floor())
}

/// The name that the kernel has for the processor.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{}, {}", model.map_or("unknown processor", |(_, name)| name), std::env::consts::ARCH)
}

const JSON: &str = "report.json";
const PICTURE: &str = "report.svg";

impl Report {
    /// Summarises the rows, and looks up what the run before saw.
    pub fn new(mut rows: Vec<Row>, cpu: usize, output: &Path) -> Report {
        for row in &mut rows {
            row.median = median(&row.values);
        }
        let before = fs::read(output.join(JSON))
            .ok()
            .and_then(|json| serde_json::from_slice::<Report>(&json).ok())
            .map(|report| {
                report.rows.into_iter().filter_map(|row| Some((row.id, row.median?))).collect()
            })
            .unwrap_or_default();
        Report { version: loops::version(), machine: machine(), cpu, rows, before }
    }

    fn median(&self, id: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.id == id)?.median
    }

    /// How often each value of `row` holds the value of the row `id` in the same round.
    fn ratios(&self, row: &Row, id: &str) -> Vec<f64> {
        let reference =
            self.rows.iter().find(|row| row.id == id).map_or(&[][..], |row| &row.values);
        row.values.iter().zip(reference).map(|(value, reference)| value / reference).collect()
    }

    /// Prints the table.
    pub fn print(&self) {
        let goals = goals();
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY).set_header([
            "one operation",
            "median",
            "min to max",
            "last run",
            "wanted",
            "seen",
            "met",
        ]);
        let mut section = "";
        for row in &self.rows {
            if row.section != section {
                section = &row.section;
                table.add_row([Cell::new(section).add_attribute(Attribute::Bold)]);
            }
            self.add(&mut table, row, &goals);
        }
        for index in 1..=3 {
            table
                .column_mut(index)
                .expect("it has a header")
                .set_cell_alignment(CellAlignment::Right);
        }
        println!("rctx {} on {}, CPU {}", self.version, self.machine, self.cpu);
        println!("{table}");
    }

    fn add(&self, table: &mut Table, row: &Row, goals: &[Goal]) {
        let unit = row.unit.name();
        let title = format!("  {}", row.title);
        let Some(value) = row.median else {
            table.add_row([title, "absent".to_owned()]);
            return;
        };
        let least = row.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = row.values.iter().copied().fold(0.0, f64::max);
        let change = self
            .before
            .get(&row.id)
            .map(|&before| format!("{:+.1} %", (value / before - 1.0) * 100.0));
        let mut wanted = Vec::new();
        let mut seen = Vec::new();
        let mut met = Vec::new();
        for goal in goals.iter().filter(|goal| goal.case == row.id) {
            let values = match goal.wanted.reference() {
                None => row.values.clone(),
                Some(id) => self.ratios(row, id),
            };
            wanted.push(goal.wanted.to_string());
            match median(&values) {
                None => {
                    seen.push("absent".to_owned());
                    met.push("");
                }
                Some(figure) => {
                    let (figure, is_met) = goal.wanted.judge(figure);
                    seen.push(format!("{figure:.2}"));
                    met.push(if is_met { "yes" } else { "no" });
                }
            }
        }
        table.add_row([
            title,
            format!("{value:.2} {unit}"),
            if row.values.len() > 1 { format!("{least:.2} to {most:.2}") } else { String::new() },
            change.unwrap_or_default(),
            wanted.join("\n"),
            seen.join("\n"),
            met.join("\n"),
        ]);
    }

    /// Writes report.json and report.svg.
    pub fn save(&self, output: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(output)?;
        fs::write(output.join(JSON), serde_json::to_string_pretty(self)?)?;
        self.draw(&output.join(PICTURE))?;
        println!("saved: {} and {}", output.join(JSON).display(), output.join(PICTURE).display());
        Ok(())
    }

    /// Draws three charts, one below the other: the plain swaps, the swaps by depth and by number.
    fn draw(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let area = SVGBackend::new(path, (900, 1200)).into_drawing_area();
        area.fill(&WHITE)?;
        let parts = area.split_evenly((3, 1));
        self.draw_swaps(&parts[0])?;
        let depths = DEPTHS.map(|depth| (depth, bytes(depth)));
        let by_depth = [
            ("two memcpys", "memcpys"),
            ("rctx_swapcontext_sliced", "sliced"),
            ("rctx_slice_swap", "compact"),
        ];
        self.draw_lines(
            &parts[1],
            "Swap on a shared stack, by bytes of locals",
            &depths,
            &by_depth,
        )?;
        let counts = RINGS.map(|count| (count, count.to_string()));
        let by_count = [("two memcpys", "ring-memcpys"), ("rctx_slice_swap", "ring")];
        self.draw_lines(&parts[2], "Swap round robin, by number of contexts", &counts, &by_count)?;
        area.present()?;
        Ok(())
    }

    fn draw_swaps<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
    ) -> Result<(), Box<dyn Error>>
    where
        DB::ErrorType: 'static,
    {
        let bars: Vec<_> = self
            .rows
            .iter()
            .filter(|row| row.section.starts_with("swap, "))
            .filter_map(|row| Some((row.title.as_str(), row.median?)))
            .collect();
        let bars: Vec<_> = bars.into_iter().rev().collect(); // the first is to be on top
        let highest = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption("One swap, ns", ("sans-serif", 20))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(200)
            .build_cartesian_2d(0.0..highest * 1.1, (0..bars.len()).into_segmented())?;
        let name = |at: &SegmentValue<usize>| match at {
            SegmentValue::CenterOf(index) => bars.get(*index).map_or("", |bar| bar.0).to_owned(),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_label_formatter(&name)
            .y_labels(bars.len())
            .draw()?;
        chart.draw_series(bars.iter().enumerate().map(|(index, bar)| {
            let ours = bar.0.contains("rctx") || bar.0.contains("policy");
            let colour = if ours { BLUE.mix(0.7) } else { BLACK.mix(0.4) };
            let corners =
                [(0.0, SegmentValue::Exact(index)), (bar.1, SegmentValue::Exact(index + 1))];
            let mut rectangle = Rectangle::new(corners, colour.filled());
            rectangle.set_margin(4, 4, 0, 0);
            rectangle
        }))?;
        chart.draw_series(bars.iter().enumerate().map(|(index, bar)| {
            let place = (bar.1, SegmentValue::CenterOf(index));
            Text::new(format!(" {:.1}", bar.1), place, ("sans-serif", 14))
        }))?;
        Ok(())
    }

    /// Draws one line for each of `lines`, over the rows named by its second part and each of `points`.
    fn draw_lines<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        caption: &str,
        points: &[(usize, String)],
        lines: &[(&str, &str)],
    ) -> Result<(), Box<dyn Error>>
    where
        DB::ErrorType: 'static,
    {
        let lines: Vec<(&str, Vec<(f64, f64)>)> = lines
            .iter()
            .map(|(name, id)| {
                let value = |&(point, _): &(usize, String)| {
                    Some((point as f64, self.median(&format!("{id}-{point}"))?))
                };
                (*name, points.iter().filter_map(value).collect())
            })
            .collect();
        let values = lines.iter().flat_map(|line| &line.1).map(|point| point.1);
        let highest = values.clone().fold(1.0, f64::max);
        let lowest = values.fold(highest, f64::min);
        let (first, last) = (points[0].0 as f64, points[points.len() - 1].0 as f64);
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{caption}, ns"), ("sans-serif", 20))
            .margin(10)
            .margin_right(40)
            .x_label_area_size(30)
            .y_label_area_size(60)
            .build_cartesian_2d(
                (first..last)
                    .log_scale()
                    .with_key_points(points.iter().map(|point| point.0 as f64).collect()),
                (decade(lowest)..decade(highest) * 10.0).log_scale(),
            )?;
        let name = |at: &f64| {
            points
                .iter()
                .find(|point| point.0 as f64 == *at)
                .map_or(String::new(), |point| point.1.clone())
        };
        chart.configure_mesh().x_label_formatter(&name).draw()?;
        for (index, (name, line)) in lines.into_iter().enumerate() {
            let colour = [BLACK, BLUE, RED][index];
            chart
                .draw_series(LineSeries::new(line, colour.stroke_width(2)).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        Ok(())
    }
}
