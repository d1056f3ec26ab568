//! Tables of coupling cases: CSV text in, CSV text or all its faults out.
//!
//! Columns are found by name, in any order, others are left alone. A table with R1 or R2 is about etalons, one with a_um
//! about apertures, any other about two Gaussian modes.

use std::fmt::Write as _;

use units::text::{Fault, Faults};

use crate::optics::{Facets, Misalignment, Mode, coupling_nepers, etalon_nepers, round_aperture_nepers};
use crate::table::{Row, Table, fault};

/// An etalon is the sum of six amplitudes: the straight pass and round trips 1 to 5, as in the table of its cases.
const ROUND_TRIPS: u32 = 5;
/// Decibels in a neper of power: 10 / ln 10.
const DB_PER_NEPER: f64 = 10.0 / std::f64::consts::LN_10;

/// Share of power and loss of every case of a table: `case,eta,loss_dB`, rows in order, 13 significant digits.
///
/// Lengths are um, angles rad, loss positive dB. Without a column `case` rows are numbered from 1. Where a share is too
/// small for a float it is printed as 0 and its loss is right all the same.
///
/// # Errors
/// All faults of the table with their lines and columns: a needed column missing or given twice, a value that is no
/// number or out of its range, a row of the wrong length, a quote that does not end.
pub fn couple(text: &str) -> Result<String, Faults> {
    let mut faults = Vec::new();
    let table = Table::read(text.trim_start_matches('\u{feff}'), &mut faults);
    let mut out = String::from("case,eta,loss_dB\n");
    if let Some(table) = table {
        let kind = Kind::of(&table);
        if table.has(kind.columns(), &mut faults) {
            for (number, row) in table.rows.iter().enumerate() {
                case(&table, kind, row, number + 1, &mut out, &mut faults);
            }
        }
    }
    faults.sort();
    if faults.is_empty() { Ok(out) } else { Err(Faults(faults)) }
}

fn case(table: &Table, kind: Kind, row: &Row, number: usize, out: &mut String, faults: &mut Vec<Fault>) {
    let before = faults.len();
    let mut values = Values { table, row, faults };
    let nepers = kind.nepers(&mut values);
    if faults.len() > before {
        return;
    }
    if nepers.is_nan() || nepers == f64::INFINITY {
        faults.push(fault(row.line, 1, "the values are too large or too small to compute with".into(), None));
        return;
    }
    let label = table.cell(row, "case").map_or_else(|| number.to_string(), |c| quoted(&c.text));
    // + 0.0 makes no loss of a negative zero.
    let loss_db = -DB_PER_NEPER * nepers + 0.0;
    let _ = writeln!(out, "{label},{},{}", scientific(nepers.exp()), scientific(loss_db));
}

/// Thirteen significant digits and an exponent of two digits at least, as in the tables.
fn scientific(value: f64) -> String {
    let text = format!("{value:.12e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
    format!("{digits}e{sign}{size:0>2}")
}

fn quoted(label: &str) -> String {
    if label.contains([',', '"']) { format!("\"{}\"", label.replace('"', "\"\"")) } else { label.to_string() }
}

/// What a table is about.
#[derive(Clone, Copy)]
enum Kind {
    Modes,
    Etalon,
    Aperture,
}

impl Kind {
    fn of(table: &Table) -> Kind {
        let named = |name: &str| table.header.iter().any(|c| c.text == name);
        if named("R1") || named("R2") {
            Kind::Etalon
        } else if named("a_um") {
            Kind::Aperture
        } else {
            Kind::Modes
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Kind::Modes => &[
                "lambda_um",
                "n_gap",
                "w1x_um",
                "w1y_um",
                "w2x_um",
                "w2y_um",
                "dx_um",
                "dy_um",
                "dz_um",
                "thx_rad",
                "thy_rad",
            ],
            Kind::Etalon => &["lambda_um", "n_gap", "w_um", "R1", "R2", "dx_um", "dz_um", "thx_rad"],
            Kind::Aperture => &["w_um", "a_um", "d_um"],
        }
    }

    fn nepers(self, values: &mut Values<'_>) -> f64 {
        if let Kind::Aperture = self {
            let (spot, radius) = (values.positive("w_um"), values.positive("a_um"));
            return round_aperture_nepers(spot, radius, values.number("d_um"));
        }
        let (wavelength, index) = (values.positive("lambda_um"), values.positive("n_gap"));
        let at = Misalignment {
            dx_um: values.number("dx_um"),
            dy_um: values.optional("dy_um"),
            dz_um: values.number("dz_um"),
            thx_rad: values.number("thx_rad"),
            thy_rad: values.optional("thy_rad"),
        };
        if let Kind::Etalon = self {
            let mode = Mode::round(values.positive("w_um"));
            let reflectance = [values.share("R1"), values.share("R2")];
            let facets = Facets { reflectance, index, round_trips: ROUND_TRIPS };
            return etalon_nepers(wavelength, &facets, mode, mode, &at);
        }
        let emitter = Mode { x_um: values.positive("w1x_um"), y_um: values.positive("w1y_um") };
        let receiver = Mode { x_um: values.positive("w2x_um"), y_um: values.positive("w2y_um") };
        coupling_nepers(wavelength, index, emitter, receiver, &at)
    }
}

/// The numbers of a row; what is wrong with them is noted, and 1 given in their place.
struct Values<'a> {
    table: &'a Table,
    row: &'a Row,
    faults: &'a mut Vec<Fault>,
}

impl Values<'_> {
    fn checked(&mut self, name: &str, good: impl Fn(f64) -> bool, expect: &str) -> f64 {
        self.table.number(self.row, name, good, expect, self.faults).unwrap_or(1.0)
    }

    fn number(&mut self, name: &str) -> f64 {
        self.checked(name, |_| true, "finite number")
    }

    fn optional(&mut self, name: &str) -> f64 {
        if self.table.cell(self.row, name).is_some() { self.number(name) } else { 0.0 }
    }

    fn positive(&mut self, name: &str) -> f64 {
        self.checked(name, |v| v > 0.0, "finite number above 0")
    }

    fn share(&mut self, name: &str) -> f64 {
        self.checked(name, |v| (0.0..=1.0).contains(&v), "reflectance from 0 to 1")
    }
}
