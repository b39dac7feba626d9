//! report.html: the picture and all figures.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::{COLUMNS, Report};

const STYLE: &str = "
body { font-family: sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse; margin: 2em 0 }
th, td { padding: 0.2em 1em 0.2em 0; text-align: left }
td + td { font-variant-numeric: tabular-nums }
tr.section th { padding-top: 1em }
svg { height: auto; max-width: 100% }
";

/// The page. `picture` is an SVG document.
pub fn render(report: &Report, picture: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (report.title()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (report.title()) }
                (PreEscaped(picture))
                table {
                    tr { th { "wanted" } th { "seen" } th { "met" } }
                    @for verdict in report.verdicts() {
                        tr { td { (verdict.wanted) } td { (verdict.seen) } td { (verdict.met) } }
                    }
                }
                table {
                    tr { @for column in COLUMNS { th { (column) } } }
                    @for rows in report.rows.chunk_by(|one, next| one.section == next.section) {
                        tr.section { th colspan=(COLUMNS.len()) { (rows[0].section) } }
                        @for row in rows {
                            tr {
                                td { (row.title) }
                                @for cell in report.cells(row) { td { (cell) } }
                            }
                        }
                    }
                }
                p {
                    "Medians of alternating rounds on one CPU, with the half of the rounds that lies around them; \
                     instructions outside of the kernel, counted by callgrind."
                }
            }
        }
    }
}
