use super::*;

const DOWN: [f64; 3] = [0.0, 0.0, -1.0];

fn lamp(from_s: f64, to_s: f64) -> Lit {
    Lit { from_s, to_s, irradiance: 1.0 }
}

fn lit(lit: &[Lit]) -> History<'_> {
    History { lit, ..History::default() }
}

/// Glue without heat: its shrink alone.
fn cold() -> Epoxy {
    Epoxy { heat_um: [0.0; 3], ..Epoxy::standard(30.0, DOWN) }
}

#[test]
fn shrink_over_usual_bond_lines_is_of_the_published_size() {
    for (bond, share) in [(23.0, 0.04), (30.0, 0.04), (50.0, 0.048)] {
        let um = Epoxy::shrinking(share, bond, DOWN).shrink_um[2].abs();
        assert!((0.3..=0.81).contains(&um), "standard: {um}");
    }
    for bond in [20.0, 35.0, 50.0] {
        let um = Epoxy::low_shrink(bond, DOWN).shrink_um[2].abs();
        assert!((0.019..=0.07).contains(&um), "low shrink: {um}");
    }
}

#[test]
fn under_light_it_flows_then_shrinks_as_the_closed_form() {
    let (glue, lamp) = (cold(), [lamp(10.0, f64::INFINITY)]);
    let history = lit(&lamp);
    assert_eq!(glue.shift_um(&history, 10.9), [0.0; 3]);
    for t in [11.5, 13.0, 20.0] {
        let expect = -0.4 * (1.0 - (-(t - 10.0 - 1.0) / 2.5f64).exp());
        assert!((glue.shift_um(&history, t)[2] - expect).abs() < 1e-12, "{t}");
    }
    let phases = [10.5, 12.0, 25.0].map(|t| glue.phase(&history, t));
    assert_eq!(phases, [Phase::Wet, Phase::Gelled, Phase::Cured]);
}

#[test]
fn light_in_pulses_and_at_a_quarter_of_the_power_adds_up() {
    let glue = cold();
    let whole = [lamp(0.0, 4.0)];
    let pulses = [lamp(0.0, 1.5), lamp(100.0, 102.5)];
    let weak = [Lit { irradiance: 0.25, ..lamp(0.0, 8.0) }];
    let cure = |l: &[Lit]| glue.cure(&lit(l), 200.0);
    assert!((cure(&whole) - cure(&pulses)).abs() < 1e-12);
    assert!((cure(&whole) - cure(&weak)).abs() < 1e-12);
}

#[test]
fn the_lamps_heat_moves_the_part_and_lets_it_go_when_it_is_off() {
    let glue = Epoxy { shrink_um: [0.0; 3], ..Epoxy::standard(30.0, DOWN) };
    let lamp = [lamp(0.0, 60.0)];
    let seen = |t: f64| glue.shift_um(&lit(&lamp), t)[2];
    let (mut warm, dt) = (0.0, 1e-3);
    for k in 0..150_000u32 {
        let t = f64::from(k) * dt;
        if k.is_multiple_of(7000) && t > 2.0 {
            assert!((seen(t) - 0.15 * warm * glue.cure(&lit(&lamp), t)).abs() < 1e-4, "{t}");
        }
        warm += (if t < 60.0 { 1.0 } else { 0.0 } - warm) / 20.0 * dt;
    }
    assert!(seen(60.0) > 0.14 && seen(400.0).abs() < 1e-6);
}

#[test]
fn in_the_dark_it_cures_on_by_10_to_20_percent_in_the_logarithm_of_time() {
    let (glue, first) = (cold(), [lamp(0.0, 15.0)]);
    let seen = |t: f64| glue.shift_um(&lit(&first), t)[2].abs();
    let at_off = seen(15.0);
    let more = seen(15.0 + 3600.0) / at_off - 1.0;
    assert!((more - 0.15).abs() < 1e-9, "{more}");
    // Equal ratios of (time + 10 s) cure equally on.
    let steps = [20.0, 50.0, 110.0].map(|t| seen(15.0 + t));
    assert!(((steps[1] - steps[0]) / (steps[2] - steps[1]) - 1.0).abs() < 1e-9);
    let once = [lamp(0.0, 15.0), lamp(300.0, 310.0)];
    let again = |t: f64| glue.shift_um(&lit(&once), t)[2].abs();
    assert!(again(301.0) > again(299.9) && (again(300.1) - again(300.0)) < 1e-3, "more light takes nothing back");
}

#[test]
fn after_release_it_relaxes_by_1_to_3_percent_of_its_shrink_per_decade() {
    let (glue, lamp) = (cold(), [lamp(0.0, 30.0)]);
    let history = History { released_s: Some(4000.0), ..lit(&lamp) };
    let seen = |t: f64| glue.shift_um(&history, 4000.0 + t)[2].abs();
    let decade = (seen(6e6) - seen(6e5)) / 0.4;
    assert!((decade - 0.02).abs() < 1e-4, "{decade}");
    assert!((seen(0.0) - glue.shift_um(&lit(&lamp), 4000.0)[2].abs()).abs() < 1e-12);
}

#[test]
fn baking_shifts_by_0_05_to_0_5_um_and_only_what_is_stuck() {
    let (glue, lamp) = (cold(), [lamp(0.0, 30.0)]);
    let baked = History { baked_s: Some((5000.0, 5000.0 + 2700.0)), ..lit(&lamp) };
    let by = (glue.shift_um(&baked, 9000.0)[2] - glue.shift_um(&lit(&lamp), 9000.0)[2]).abs();
    assert!((by - 0.15 * (1.0 - (-3f64).exp())).abs() < 1e-5 && (0.05..0.5).contains(&by));
    assert_eq!(glue.shift_um(&History { lit: &[], ..baked }, 9000.0), [0.0; 3]);
}

#[test]
fn wet_glue_drags_and_thickens_towards_the_gel_point() {
    let (glue, lamp) = (cold(), [lamp(0.0, 30.0)]);
    let drag = glue.drag_n(&lit(&[]), 0.0, 100.0).unwrap();
    // 5 Pa s, 1 mm^2, 100 um/s over 30 um.
    assert!((drag - 5.0 * 1e-6 * 100.0 / 30.0).abs() < 1e-12);
    let thicker = glue.viscosity(&lit(&lamp), 0.999).unwrap();
    assert!((thicker / 5.0 - 1000f64.powf(4.0 / 3.0)).abs() < 1.0);
    assert_eq!((glue.viscosity(&lit(&lamp), 1.0), glue.drag_n(&lit(&lamp), 1.0, 1.0)), (None, None));
}

#[test]
fn moves_before_the_gel_are_kept_and_moves_after_it_are_given_back_in_part() {
    let (glue, lamp) = (cold(), [lamp(0.0, 20.0)]);
    let history = History { released_s: Some(60.0), ..lit(&lamp) };
    let by = [2.0, 0.0, 0.0];
    let back = |at_s: f64| glue.spring_back_um(&history, &[(at_s, by)])[0];
    assert_eq!(back(0.5), 0.0);
    assert_eq!((glue.follows(&history, 0.5), back(61.0)), (1.0, 0.0));
    // Half a second after the gel: so much of the network was there to be stretched.
    let (then, whole) = (1.0 - (-0.5 / 2.5f64).exp(), 1.0 - (-19.0 / 2.5f64).exp());
    assert!((back(1.5) + 2.0 / (1.0 + 10.0 * then) * then / whole).abs() < 1e-12);
    // All of the network was there: what was followed is given back.
    let late = glue.follows(&history, 40.0);
    assert!((back(40.0) + 2.0 * late).abs() < 1e-12 && late < 0.1);
    assert_eq!(glue.spring_back_um(&lit(&lamp), &[(40.0, by)]), [0.0; 3], "held, it stays");
}

#[test]
fn joints_of_a_lot_are_alike_as_far_as_lot_and_unit_spread_say() {
    let spread = EpoxySpread { lot: 0.15, unit: 0.1, fillet_um: 0.0 };
    let typical = Epoxy::standard(30.0, DOWN);
    let log = |lot: u64, unit: u64| {
        let lots = Stream::new(1, "lot").child(lot);
        let units = Stream::new(1, "glue").child(1000 * lot + unit);
        (spread.draw(&typical, lots, units).shrink_um[2] / typical.shrink_um[2]).ln()
    };
    let pairs: Vec<(f64, f64)> = (0..4000).map(|lot| (log(lot, 0), log(lot, 1))).collect();
    let mean = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / 4000.0;
    let (variance, together) = (mean(|p| p.0 * p.0), mean(|p| p.0 * p.1));
    assert!((variance / (0.15f64.powi(2) + 0.1f64.powi(2)) - 1.0).abs() < 0.07, "{variance}");
    assert!((together / 0.15f64.powi(2) - 1.0).abs() < 0.1, "{together}");
    assert!(mean(|p| p.0).abs() < 0.02);
    let slow = spread.draw(&typical, Stream::new(1, "lot"), Stream::new(1, "glue"));
    assert!((slow.gel_s / typical.gel_s - slow.cure_s / typical.cure_s).abs() < 1e-12 && slow.gel_s != typical.gel_s);
}

#[test]
fn uneven_fillets_pull_sideways() {
    let spread = EpoxySpread { lot: 0.0, unit: 0.0, fillet_um: 0.3 };
    let typical = Epoxy::standard(30.0, DOWN);
    let side = |unit: u64| {
        let glue = spread.draw(&typical, Stream::new(1, "lot"), Stream::new(1, "glue").child(unit));
        assert!((glue.shrink_um[2] - typical.shrink_um[2]).abs() < 1e-12);
        glue.shrink_um[0]
    };
    let rms = ((0..4000).map(|k| side(k).powi(2)).sum::<f64>() / 4000.0).sqrt();
    assert!((rms / 0.3 - 1.0).abs() < 0.05, "{rms}");
}
