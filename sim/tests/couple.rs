//! Tables of coupling cases against their published results, and tables that cannot be read.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use sim::couple::couple;

const MODES: &str = include_str!("data/physics_cases.csv");
const ETALONS: &str = include_str!("data/etalon_cases.csv");
const APERTURES: &str = include_str!("data/aperture_cases.csv");

/// A table's column, counted from the right: notes may hold commas.
fn column(table: &str, name: &str) -> Vec<f64> {
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let from_right = header.len() - header.iter().position(|h| *h == name).unwrap();
    let cell = |row: &str| row.split(',').rev().nth(from_right - 1).unwrap().parse().unwrap();
    table.lines().skip(1).filter(|r| !r.is_empty()).map(cell).collect()
}

fn check_table(table: &str, expect: &str, tolerance: f64) {
    let out = couple(table).unwrap();
    let (got, expect) = (column(&out, "eta"), column(table, expect));
    assert!(got.len() == expect.len() && got.len() > 30, "{out}");
    for (row, (eta, expect)) in got.iter().zip(&expect).enumerate() {
        assert!((eta / expect - 1.0).abs() < tolerance, "row {row}: {eta:e}, {expect:e}");
    }
    for (eta, loss) in got.iter().zip(column(&out, "loss_dB")) {
        assert!((loss + 10.0 * eta.log10()).abs() < 1e-10 * (1.0 + loss), "{eta:e} {loss}");
    }
}

#[test]
fn gaussian_modes_agree_with_the_table_of_overlaps() {
    check_table(MODES, "eta_closed", 1e-12);
}

/// The table's nine decimals tell six amplitudes from seven.
#[test]
fn etalons_agree_with_the_table_of_round_trips() {
    check_table(ETALONS, "T_multipass_M6", 2e-9);
}

#[test]
fn apertures_agree_with_the_table_of_marcum_functions() {
    check_table(APERTURES, "eta_marcum", 1e-11);
}

/// Small modes into large ones, gaps of 100 mm, tilts of 17 degrees, reflections of 60 %, shares down to 1e-300: computed
/// with 50 digits from the defining formulas (apertures: the Poisson series of the noncentral chi-squared distribution).
#[test]
fn extreme_cases_agree_with_fifty_digits() {
    for table in [
        include_str!("data/extreme_modes.csv"),
        include_str!("data/extreme_etalons.csv"),
        include_str!("data/extreme_apertures.csv"),
    ] {
        check_table(table, "eta", 1e-12);
    }
}

#[test]
fn cases_keep_their_names_and_rows_without_one_are_numbered() {
    let out = couple(MODES).unwrap();
    assert!(
        out.starts_with("case,eta,loss_dB\n1,9.907970466642e-01,4.01") && out.contains("\n49,9.7833009178"),
        "{out}"
    );
    let out = couple(APERTURES).unwrap();
    assert!(out.contains("\n1,9.983007206344e-01,") && out.contains("\n50,3.63045589"), "{out}");
    let out = couple("case,w_um,a_um,d_um\n\"a, \"\"b\"\"\",1,1,0\n").unwrap();
    assert!(out.contains("\n\"a, \"\"b\"\"\",8.646647167634e-01,"), "{out}");
}

#[test]
fn columns_stand_in_any_order_among_others_with_notes_as_they_come() {
    let a = "note,d_um,case,w_um,extra,a_um\nfar, very far,3,x1,1,,2\n\"far, far\",3,x2,1,?,2\n,3,x3,1,,2\n";
    let b = "\u{feff}case,w_um,a_um,d_um\r\nx1,1,2,3\r\n\r\n x2 , 1.0, 2e0,-3\r\nx3,1,2,3\r\n";
    assert_eq!(couple(a).unwrap(), couple(b).unwrap());
}

const HEADER: &str = "lambda_um,n_gap,w1x_um,w1y_um,w2x_um,w2y_um,dx_um,dy_um,dz_um,thx_rad,thy_rad\n";

#[test]
fn a_share_below_the_smallest_float_is_nought_and_keeps_its_loss() {
    let out = couple(&format!("{HEADER}1.55,1,5.2,5.2,5.2,5.2,200,0,0,0,0\n")).unwrap();
    assert_eq!(column(&out, "eta"), [0.0]);
    let nepers = (200.0f64 / 5.2).powi(2);
    assert!((column(&out, "loss_dB")[0] / (10.0 * nepers / std::f64::consts::LN_10) - 1.0).abs() < 1e-12);
}

#[test]
fn mirrors_and_aligned_modes_have_losses_that_can_be_read() {
    let out = couple(&format!("{HEADER}1.55,1,5,5,5,5,0,0,0,0,0\n")).unwrap();
    assert_eq!(out, "case,eta,loss_dB\n1,1.000000000000e+00,0.000000000000e+00\n");
    let out = couple("lambda_um,n_gap,w_um,R1,R2,dx_um,dz_um,thx_rad\n1.55,1,5,1,0.5,0,1,0\n").unwrap();
    assert_eq!(column(&out, "loss_dB"), [f64::INFINITY]);
}

/// The narrow mode shines far into the wide one, along its tilt: terms of 1e8 leave an exponent of about 1.
#[test]
fn a_walk_along_the_tilt_keeps_its_digits() {
    let out = couple(&format!("{HEADER}1.55,1,1,1,400,400,500,0,10000,0.05,0\n")).unwrap();
    let (z, th, s) = (1e4, 0.05, 1.55e4 / std::f64::consts::PI);
    let kappa: f64 = 4.0 * 160_000.0 / (160_001.0f64.powi(2) + s * s);
    let exponent = (500.0f64 / 400.0).powi(2) + (th * z / s).powi(2) * 160_001.0;
    let expect = kappa.ln() - kappa * exponent / 2.0;
    assert!((column(&out, "loss_dB")[0] * std::f64::consts::LN_10 / -10.0 / expect - 1.0).abs() < 1e-12, "{out}");
}

/// Asserts that a table has exactly the faults that begin so.
#[track_caller]
fn check_faults(table: &str, expect: &[&str]) {
    let faults = couple(table).unwrap_err();
    let got: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
    assert_eq!(got.len(), expect.len(), "{got:#?}");
    for (got, expect) in got.iter().zip(expect) {
        assert!(got.starts_with(expect), "{got}");
    }
}

#[test]
fn faults_are_told_all_at_once_with_line_and_column() {
    check_faults("", &["1:1: the table is empty"]);
    check_faults("w_um,a_um\n1,2\n", &["1:1: no column d_um"]);
    check_faults("w_um,a_um,d_um,w_um\n1,2,3,4\n", &["1:16: a second column w_um"]);
    check_faults(
        "w_um,a_um,d_um\n1,2,x\n1,2\n1,2,\"3\n0,-2,nan\n1,2,3\n1,2,1e999\n",
        &[
            "2:5: column d_um: \"x\" is no finite number",
            "3:1: 2 values for the 3 columns",
            "4:5: a double quote that does not end",
            "5:1: column w_um: \"0\" is no finite number above 0",
            "5:3: column a_um: \"-2\" is no finite number above 0",
            "5:6: column d_um: \"nan\" is no finite number",
            "7:5: column d_um: \"1e999\" is no finite number",
        ],
    );
    check_faults("R1,lambda_um,n_gap,w_um,dx_um,dz_um,thx_rad\n0,1,1,1,0,0,0\n", &["1:1: no column R2"]);
    check_faults(
        "R1,R2,lambda_um,n_gap,w_um,dx_um,dz_um,thx_rad\n0,1.5,0,-1,1,0,0,0\n",
        &["2:3: column R2: \"1.5\" is no refl", "2:7: column lambda_um: \"0\"", "2:9: column n_gap: \"-1\""],
    );
    check_faults(&format!("{HEADER}1.55,1,1e-300,5,5,5,1e300,0,0,0,0\n"), &["2:1: the values are too large"]);
}
