//! report.svg: the same figures as charts.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::SeriesLabelPosition::{UpperLeft, UpperRight};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::cases::{CREATE, DEPTHS, MASKED, MASKLESS, RINGS, bytes};
use crate::report::Report;

const SIZE: (u32, u32) = (1100, 1290);
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws six charts, two side by side.
pub fn draw(report: &Report) -> Result<String, Box<dyn Error>> {
    let mut picture = String::new();
    {
        let root = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let titled = root.titled(&report.title(), (FONT, 22))?;
        let parts = titled.split_evenly((3, 2));
        draw_bars(&parts[0], report, "Swap that keeps the signal mask, ns", MASKED)?;
        draw_bars(&parts[1], report, "Swap without the signal mask, ns", MASKLESS)?;
        draw_bars(&parts[2], report, "Create, resume and come back, ns", CREATE)?;

        let counts = RINGS.map(|count| (count, thousands(count)));
        let by_count = [
            ("glibc, a guarded stack each", "resident-glibc"),
            ("rctx ucontext_t with a slice", "resident-sliced"),
            ("rctx compact handle", "resident"),
        ];
        let title = "Resident bytes of a suspended context, by their number";
        draw_lines(&parts[3], report, title, &counts[2..], &by_count, UpperRight)?;

        let depths = DEPTHS.map(|depth| (depth, bytes(depth)));
        let by_depth = [
            ("two memcpys", "memcpys"),
            ("rctx_swapcontext_sliced", "sliced"),
            ("rctx_slice_swap", "compact"),
            ("libtealet", "libtealet"),
            ("libaco", "libaco"),
        ];
        let title = "Swap on a shared stack, by bytes of locals, ns";
        draw_lines(&parts[4], report, title, &depths, &by_depth, UpperLeft)?;
        let by_count = [("two memcpys", "ring-memcpys"), ("rctx_slice_swap", "ring")];
        let title = "Swap round robin, by number of contexts, ns";
        draw_lines(&parts[5], report, title, &counts, &by_count, UpperLeft)?;
        root.present()?;
    }
    Ok(picture)
}

/// "10", "1 K", "10 M".
fn thousands(count: usize) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{} K", count / 1_000),
        _ => format!("{} M", count / 1_000_000),
    }
}

/// The power of ten below.
fn decade(value: f64) -> f64 {
    10f64.powf(value.log10().floor())
}

/// Draws a bar for each row of a section that has a figure.
fn draw_bars(
    area: &Area,
    report: &Report,
    caption: &str,
    section: &str,
) -> Result<(), Box<dyn Error>> {
    let rows = report.rows.iter().filter(|row| row.section == section);
    let mut bars: Vec<_> =
        rows.filter_map(|row| Some((row.title.as_str(), row.median()?))).collect();
    bars.reverse(); // the first is to be on top
    let highest = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(260)
        .build_cartesian_2d(
            0.0..highest * 1.15,
            (0..bars.len().saturating_sub(1)).into_segmented(),
        )?;
    let name = |at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(index) => bars.get(*index).map_or("", |bar| bar.0).to_owned(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_labels(6)
        .x_label_formatter(&|at| at.to_string())
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&name)
        .y_labels(bars.len())
        .draw()?;
    chart.draw_series(bars.iter().enumerate().map(|(index, bar)| {
        let colour = if bar.0.contains("rctx") { BLUE.mix(0.7) } else { BLACK.mix(0.4) };
        let end = index + 1;
        let end = if end < bars.len() { SegmentValue::Exact(end) } else { SegmentValue::Last };
        let corners = [(0.0, SegmentValue::Exact(index)), (bar.1, end)];
        let mut rectangle = Rectangle::new(corners, colour.filled());
        let thickness = area.dim_in_pixel().1 / (6 * bars.len() as u32 + 6);
        rectangle.set_margin(thickness, thickness, 0, 0);
        rectangle
    }))?;
    let style = TextStyle::from((FONT, 13)).pos(Pos::new(HPos::Left, VPos::Center));
    chart.draw_series(bars.iter().enumerate().map(|(index, bar)| {
        let place = (bar.1, SegmentValue::CenterOf(index));
        let digits = if bar.1 < 100.0 { 1 } else { 0 };
        Text::new(format!(" {:.digits$}", bar.1), place, style.clone())
    }))?;
    Ok(())
}

/// Draws one line for each of `lines` that has figures, over the rows named by its second part and each of
/// `points`; the legend goes to where no line is.
fn draw_lines(
    area: &Area,
    report: &Report,
    caption: &str,
    points: &[(usize, String)],
    lines: &[(&str, &str)],
    legend: SeriesLabelPosition,
) -> Result<(), Box<dyn Error>> {
    let lines: Vec<(&str, Vec<(f64, f64)>)> = lines
        .iter()
        .map(|(name, id)| {
            let value = |&(point, _): &(usize, String)| {
                Some((point as f64, report.row(&format!("{id}-{point}"))?.median()?))
            };
            (*name, points.iter().filter_map(value).collect::<Vec<_>>())
        })
        .filter(|line| !line.1.is_empty())
        .collect();
    let values = lines.iter().flat_map(|line| &line.1).map(|point| point.1);
    let highest = values.clone().fold(1.0, f64::max);
    let lowest = values.fold(highest, f64::min);
    let (first, last) = (points[0].0 as f64, points[points.len() - 1].0 as f64);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 18))
        .margin(10)
        .margin_right(40)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (first..last)
                .log_scale()
                .with_key_points(points.iter().map(|point| point.0 as f64).collect()),
            (decade(lowest)..decade(highest) * 10.0).log_scale(),
        )?;
    let name = |at: &f64| {
        let point = points.iter().find(|point| point.0 as f64 == *at);
        point.map_or(String::new(), |point| point.1.clone())
    };
    chart
        .configure_mesh()
        .x_label_formatter(&name)
        .y_label_formatter(&|at| at.to_string())
        .draw()?;
    for (index, (name, line)) in lines.into_iter().enumerate() {
        let colour = [BLACK, BLUE, RED, GREEN, MAGENTA][index];
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    Ok(())
}
