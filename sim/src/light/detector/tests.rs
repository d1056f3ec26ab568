use super::*;

/// A detector of one range with this feedback resistor and nothing else about it.
fn bare(feedback_ohm: f64) -> DetectorModel {
    DetectorModel {
        ranges: vec![Range { full_w: 10e-3, feedback_ohm }],
        nep_w_rthz: 0.0,
        dark_w: 0.0,
        dark_drift_w: 0.0,
        front_end_s: 0.0,
        adc_bits: 52,
        under_share: f64::NEG_INFINITY,
        ..DetectorModel::ingaas()
    }
}

fn exposure(mean_w: f64, end_s: f64, averaging_s: f64) -> Exposure {
    Exposure {
        window: Window { begin_s: end_s - averaging_s, end_s, ready_s: end_s },
        mean_w,
        before_w: mean_w,
        range: 0,
        range_since_s: f64::NEG_INFINITY,
        rin_hz: 0.0,
    }
}

fn watts(sample: Sample) -> f64 {
    match sample.reading {
        Reading::Power(watts) => watts,
        other => panic!("{other:?}"),
    }
}

fn seeded(model: DetectorModel) -> Detector {
    Detector::new(model, Stream::new(3, "detector"))
}

#[test]
fn the_noise_of_a_1_ms_reading_is_that_of_the_published_budget() {
    // P dBm; shot, thermal at 1 Mohm, thermal at 100 Mohm in dB. R = 0.95 A/W, B = 500 Hz.
    let table: [(f64, f64, Option<f64>, Option<f64>); 5] = [
        (0.0, 1.8e-6, None, None),
        (-20.0, 1.8e-5, Some(1.3e-6), None),
        (-40.0, 1.8e-4, Some(1.3e-4), Some(1.3e-5)),
        (-60.0, 1.8e-3, Some(1.3e-2), Some(1.3e-3)),
        (-70.0, 5.6e-3, Some(0.13), Some(0.013)),
    ];
    for (dbm, shot, low, high) in table {
        let power = 1e-3 * 10f64.powf(dbm / 10.0);
        let check = |sigma_w: f64, expect: f64, what: &str| {
            let db = 10.0 / std::f64::consts::LN_10 * sigma_w / power;
            assert!((db / expect - 1.0).abs() < 0.05, "{what} at {dbm} dBm: {db} dB, expected {expect}");
        };
        let noise = |ohm: f64| bare(ohm).noise(power, 0, 1e-3, 1e-14);
        check(noise(1e6).shot_w, shot, "shot");
        check(noise(1e6).intensity_w, 1e-5, "RIN -140 dB/Hz");
        low.inspect(|expect| check(noise(1e6).thermal_w, *expect, "thermal 1 Mohm"));
        high.inspect(|expect| check(noise(1e8).thermal_w, *expect, "thermal 100 Mohm"));
    }
}

#[test]
fn the_amplifiers_noise_and_the_dark_offset_are_in_the_reading() {
    let dark = DetectorModel { dark_w: 3e-12, dark_drift_w: 1e-12, ..bare(1e30) };
    let values: Vec<f64> =
        (1..=620u32).map(|s| watts(seeded(dark.clone()).read(&exposure(0.0, f64::from(s), 0.1)))).collect();
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    assert!((low - 2e-12).abs() < 2e-14 && (high - 4e-12).abs() < 2e-14, "{low} {high}");
    let noise = DetectorModel { nep_w_rthz: 5e-14, ..bare(1e30) }.noise(0.0, 0, 1e-3, 0.0);
    assert!((noise.total_w() / (5e-14 * 500f64.sqrt()) - 1.0).abs() < 1e-6);
}

#[test]
fn readings_scatter_by_their_noise_and_four_times_the_average_halves_it() {
    let detector = seeded(bare(1e6));
    let scatter = |averaging_s: f64| {
        let n = 4000u32;
        let read = |k: u32| watts(detector.read(&exposure(1e-9, f64::from(k + 1) * 0.01, averaging_s)));
        let values: Vec<f64> = (0..n).map(read).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        assert!((mean / 1e-9 - 1.0).abs() < 1e-3);
        (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n)).sqrt()
    };
    let (short, long) = (scatter(1e-3), scatter(4e-3));
    assert!((short / detector.model().noise(1e-9, 0, 1e-3, 0.0).total_w() - 1.0).abs() < 0.05);
    assert!((short / long - 2.0).abs() < 1e-3, "the same stream, half the size");
    let x = exposure(1e-9, 5.0, 1e-3);
    let first = detector.read(&x);
    detector.read(&exposure(2e-9, 6.0, 1e-3));
    assert_eq!(detector.read(&x), first, "asking again changes nothing");
}

#[test]
fn the_front_end_bounds_the_bandwidth_and_lags_as_a_first_order_filter() {
    let slow = DetectorModel { front_end_s: 5e-3, ..bare(1e6) };
    assert!((slow.bandwidth_hz(1e-3) - 50.0).abs() < 1e-9);
    assert!((slow.bandwidth_hz(0.1) - 5.0).abs() < 1e-9);
    let x = Exposure { before_w: 1e-3, ..exposure(3e-3, 1.0, 8e-3) };
    let (mut y, mut sum, n) = (1e-3, 0.0, 100_000);
    for _ in 0..n {
        y += (3e-3 - y) / 5e-3 * (8e-3 / f64::from(n));
        sum += y / f64::from(n);
    }
    let sample = seeded(slow).read(&x);
    assert!((watts(sample) - sum).abs() < 1e-7, "{sample:?} {sum}");
    assert!((sample.front_end_w - y).abs() < 1e-7);
}

#[test]
fn a_reading_is_a_whole_number_of_converter_steps() {
    let model = DetectorModel { adc_bits: 12, ..bare(1e9) };
    let step = 10e-3 / 4096.0;
    for k in 1..50u32 {
        let light = 1e-4 * f64::from(k);
        let value = watts(seeded(model.clone()).read(&exposure(light, 1.0, 1e-3)));
        assert!((value / step - (value / step).round()).abs() < 1e-9);
        assert!((value - light).abs() <= step / 2.0 + 1e-9);
    }
}

#[test]
fn too_much_light_saturates_and_too_little_is_under_range() {
    let model = DetectorModel { gain_step_db: (0.0, 0.0), ..DetectorModel::ingaas() };
    let read =
        |mean_w: f64, range: usize| seeded(model.clone()).read(&Exposure { range, ..exposure(mean_w, 1.0, 1e-3) });
    assert_eq!(read(1.2e-3, 1).reading, Reading::Saturated);
    assert_eq!(read(1e-9, 0).reading, Reading::UnderRange);
    assert!((watts(read(1e-9, 6)) / 1e-9 - 1.0).abs() < 0.05);
    assert_eq!(read(1e-9, 7).reading, Reading::UnderRange, "a range that is not there shows nothing");
    assert!(read(0.0, 6).reading == Reading::UnderRange || watts(read(0.0, 6)) < 1e-11);
}

#[test]
fn a_switched_range_is_dead_then_off_by_1_to_5_percent_then_true() {
    let detector = seeded(bare(1e9));
    let mut sides = [0, 0];
    for k in 0..40u32 {
        let since = f64::from(k) * 3.0;
        let window = detector.model().window(since + 0.001, 1e-4, since);
        assert!((window.begin_s - (since + 0.03 - 0.002)).abs() < 1e-9, "dead until then");
        let off = |window: Window| {
            let x = Exposure { window, range_since_s: since, ..exposure(1e-3, 1.0, 1e-3) };
            watts(detector.read(&x)) / 1e-3 - 1.0
        };
        let first = off(window);
        sides[usize::from(first > 0.0)] += 1;
        assert!((0.0099..0.0501).contains(&first.abs()), "{first}");
        let later = off(detector.model().window(since + 0.03 + 0.04, 1e-4, since));
        assert!((later / first - (-0.04f64 / 0.02).exp()).abs() < 0.01, "{first} {later}");
        assert!(off(detector.model().window(since + 1.0, 1e-4, since)).abs() < 1e-5);
    }
    assert!(sides[0] > 5 && sides[1] > 5);
}

#[test]
fn ranges_differ_in_gain_by_5_to_20_thousandths_of_a_db() {
    let detector = seeded(DetectorModel::ingaas());
    assert_eq!(detector.gain_db(0), 0.0);
    for k in 1..7 {
        let step = (detector.gain_db(k) - detector.gain_db(k - 1)).abs();
        assert!((0.005..0.02).contains(&step), "{step}");
    }
    let seen = |range: usize| {
        let x = Exposure { range, ..exposure(9e-6, 1.0, 1.0) };
        10.0 * (watts(detector.read(&x)) / 9e-6).log10()
    };
    assert!((seen(3) - detector.gain_db(3)).abs() < 1e-3);
}

#[test]
fn automatic_ranging_goes_up_at_1_db_below_the_end_and_down_at_12() {
    let model = DetectorModel::ingaas();
    let db = |below: f64| 1e-3 * 10f64.powf(-below / 10.0);
    assert_eq!(model.auto_range(1, db(1.1)), 1);
    assert_eq!(model.auto_range(1, db(0.9)), 0);
    assert_eq!(model.auto_range(1, db(11.9)), 1);
    assert_eq!(model.auto_range(1, db(12.1)), 2);
    assert_eq!(model.auto_range(2, db(11.1)), 2);
    assert_eq!(model.auto_range(0, 1e-15), 6);
    assert_eq!(model.auto_range(6, 1.0), 0);
    assert_eq!(model.auto_range(99, 1e-3), 0, "a range that is not there is left");
}

#[test]
fn latency_shifts_a_moving_reading_by_speed_times_latency_against_the_motion() {
    let model = DetectorModel { latency_s: 0.01, ..DetectorModel::ingaas() };
    let seen_at = |speed: f64| {
        let window = model.window(2.0, 0.004, f64::NEG_INFINITY);
        assert!((window.ready_s - 2.004).abs() < 1e-12);
        speed * f64::midpoint(window.begin_s, window.end_s) - speed * (window.ready_s - 0.002)
    };
    assert!((seen_at(500.0) + 5.0).abs() < 1e-9 && (seen_at(-500.0) - 5.0).abs() < 1e-9);
}
