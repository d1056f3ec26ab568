//! Rows as text: a table for a terminal, and one for a page.

use std::fmt::Write;

use super::reference::{bound, figure};
use super::row::Row;

/// Runs of rows of one landscape and condition.
fn groups(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| (&a.landscape, &a.condition) == (&b.landscape, &b.condition))
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn stated(bound: Option<f64>) -> String {
    bound.map_or("-".into(), percent)
}

/// What a second implementation of the method reached: share within 0.05 dB, readings, time.
fn beside(row: &Row) -> [String; 3] {
    figure(&row.landscape, &row.condition, &row.method).map_or_else(
        || ["-", "-", "-"].map(String::from),
        |f| [percent(f.ok05), format!("{:.0}", f.readings_med), format!("{:.2}", f.time_med_s)],
    )
}

/// A row's figures, in the order of the columns of both tables; readings, time and loss with their 95 % beside.
fn cells(r: &Row) -> [String; 12] {
    [
        percent(r.ok05),
        percent(r.ok10),
        percent(r.found),
        format!("{:.0}", r.readings_med),
        format!("{:.0}", r.readings_p95),
        format!("{:.2}", r.time_med_s),
        format!("{:.2}", r.time_p95_s),
        format!("{:.3}", r.resid_med_db),
        format!("{:.3}", r.resid_p95_db),
        format!("{:.2}", r.lateral_err_med_um),
        percent(r.below_best),
        stated(r.bound_covered),
    ]
}

/// A table for a terminal: one row a method, the bound above, a second implementation's figures at the right.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    for group in groups(rows) {
        let first = &group[0];
        let least = bound(&first.landscape, &first.condition).map_or(String::new(), |(readings, s)| {
            format!("; no method can do with less than {readings} readings or {s:.2} s")
        });
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}, {}, {} trials{least}", first.landscape, first.condition, first.trials);
        let _ = writeln!(
            out,
            "  method           <=0.05 %  <=0.1 %  <=3 %  readings    p95  time s    p95  left dB    p95  centre um  \
             worse %  bound held %  ms/decision | reference: <=0.05 %  readings  time s"
        );
        for r in group {
            let cells = cells(r);
            let widths = [8, 8, 6, 9, 6, 7, 6, 8, 6, 10, 8, 13];
            let _ = write!(out, "  {:<16}", r.method);
            for (cell, width) in cells.iter().zip(widths) {
                let _ = write!(out, " {cell:>width$}");
            }
            let [ok, readings, time] = beside(r);
            let _ = writeln!(out, " {:>12.3} | {ok:>19} {readings:>9} {time:>7}", r.cpu_ms_per_decision);
            if let Some(why) = &r.first_error {
                let _ = writeln!(out, "    {} ended early, the first with: {why}", r.errors);
            }
            if r.invalid > 0 {
                let _ = writeln!(out, "    {} asked for a path that the stage cannot follow", r.invalid);
            }
        }
    }
    out
}

/// The same for docs/scoreboard.md, without what depends on the machine.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::new();
    for group in groups(rows) {
        let first = &group[0];
        let _ = writeln!(out, "### {} ({}, {} trials)\n", first.landscape, first.condition, first.trials);
        if let Some((readings, s)) = bound(&first.landscape, &first.condition) {
            let _ = writeln!(out, "Bound: {readings} readings, {s:.2} s.\n");
        }
        out += "| method | <= 0.05 dB % | <= 0.1 dB % | found % | readings (p95) | time s (p95) | left dB (p95) | off \
                centre um | worse than best % | bound held % | reference: %, readings, s |\n\
                |---|---|---|---|---|---|---|---|---|---|---|\n";
        for r in group {
            let [ok05, ok10, found, n, n95, s, s95, left, left95, centre, worse, held] = cells(r);
            let beside = beside(r).join(", ");
            let _ = writeln!(
                out,
                "| {} | {ok05} | {ok10} | {found} | {n} ({n95}) | {s} ({s95}) | {left} ({left95}) | {centre} | {worse} | \
                 {held} | {beside} |",
                r.method
            );
        }
        out.push('\n');
    }
    out
}
