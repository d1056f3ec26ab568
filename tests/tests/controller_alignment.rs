//! The driver of alignment controllers against the simulated ones, byte for byte on virtual time: what the controller
//! finds must be where the part is.

use std::collections::BTreeMap;
use std::time::Duration;

use drivers::alignment::{AreaScan, Estimate, GradientSearch, Path, Span, Then};
use drivers::exchange::Line;
use drivers::identity::Expected;
use drivers::motion::{ChannelSetup, ChannelUnit, MotionController, MotionError};
use sim::{LineSettings, Link, Parity, PortWiring, Wiring, World};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};

const LIMIT: Duration = Duration::from_secs(60);

/// A controller alone in front of a part, and its driver; positions in um.
fn with<F: AsyncFnOnce(Box<dyn MotionController>, World)>(model: &str, test: F) {
    let runtime = virtual_runtime().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::simulated();
        let options = BTreeMap::from([("model".to_string(), model.to_string())]);
        let instrument = sim::standalone("pi-gcs2", &options).expect("a model");
        let ports = vec![PortWiring { name: "device".into(), link: Link::Tcp { address: String::new() } }];
        let wiring = Wiring { ports, instruments: vec![instrument] };
        let world = World::alone(&wiring, 1e-3, 1, clock.clone());
        let settings = LineSettings { baud: sim::NETWORK_BAUD, parity: Parity::None };
        let pipe = world.connect("device", settings).expect("a pipe");
        let line = Line::new(Box::new(pipe), clock, "stage", "device");
        let driver = drivers::registry::motion("pi-gcs2", line, Expected::default()).expect("a driver");
        test(driver, world).await;
    });
}

fn setup(channels: [&str; 3], unit: ChannelUnit, range: (f64, f64), velocity: f64) -> Vec<ChannelSetup> {
    let one = |(axis, channel): (&str, &str)| ChannelSetup {
        axis: axis.into(),
        channel: channel.into(),
        unit,
        range,
        velocity,
    };
    ["x", "y", "z"].into_iter().zip(channels).map(one).collect()
}

fn area(channels: [&str; 2], middle: f64) -> AreaScan {
    let span = |channel: &str| Span { channel: channel.into(), length: 90.0 };
    AreaScan {
        scan: span(channels[0]),
        step: span(channels[1]),
        middle: Some((middle, middle)),
        input: 1,
        level: 0.01,
        frequency_hz: 20.0,
        velocity: 30.0,
        path: Path::Raster,
        estimate: Estimate::Gauss(0.3, 1.0),
        then: Then::Maximum,
        samples: 1000,
    }
}

/// How far the fibre is from the focus across the light, um.
fn off_um(world: &World) -> f64 {
    let truth = world.backdoor().truth();
    (truth.fibre_um[0] - truth.focus_um[0]).hypot(truth.fibre_um[1] - truth.focus_um[1])
}

#[test]
fn a_hexapod_is_referenced_aligned_by_itself_and_turned_about_its_tip() {
    with("C-887", async |mut stage, world| {
        stage.connect(&setup(["X", "Y", "Z"], ChannelUnit::Millimetre, (-4000.0, 4000.0), 5000.0)).await.unwrap();
        let failure = stage.start_move(&[("X", 0.0)]).await.unwrap_err();
        assert!(
            matches!(failure, MotionError::NotReferenced { .. } | MotionError::Refused { code: 5, .. }),
            "{failure}"
        );
        stage.reference("X").await.unwrap();
        assert!(stage.states(&["X", "Y", "Z"]).await.unwrap().iter().all(|s| s.referenced && s.servo));
        stage.pivot().unwrap().set_pivot_um([0.0, 0.0, 50_000.0]).await.unwrap();
        stage.start_move(&[("X", 10.0), ("Y", -5.0)]).await.unwrap();
        stage.wait_on_target(&["X", "Y"], LIMIT).await.unwrap();
        let aligned = stage.alignment().unwrap().area_scan(&area(["X", "Y"], 0.0), LIMIT).await.unwrap();
        assert!(aligned.success && off_um(&world) < 1.5, "{} um off", off_um(&world));
        // 3 s at 30 um/s, thinned out to some thousand samples; the best of them is near what the controller says.
        assert!((3.0..4.0).contains(&aligned.took_s) && (400..=1000).contains(&aligned.samples.len()));
        let best = aligned.samples.iter().max_by(|a, b| a.input.total_cmp(&b.input)).unwrap();
        assert!((best.at.0 - aligned.at.0).hypot(best.at.1 - aligned.at.1) < 15.0, "{best:?} {:?}", aligned.at);
        assert!(stage.alignment().unwrap().input(1).await.unwrap() > 0.8 * aligned.max);
    });
}

#[test]
fn piezo_axes_climb_to_the_maximum_from_beside_it() {
    with("E-712", async |mut stage, world| {
        stage.connect(&setup(["1", "2", "3"], ChannelUnit::Micrometre, (0.0, 100.0), 5000.0)).await.unwrap();
        stage.start_move(&[("1", 50.0), ("2", 50.0), ("3", 50.0)]).await.unwrap();
        stage.wait_on_target(&["1", "2", "3"], LIMIT).await.unwrap();
        let aligned = stage.alignment().unwrap().area_scan(&area(["1", "2"], 50.0), LIMIT).await.unwrap();
        assert!(aligned.success && off_um(&world) < 1.0, "{} um off", off_um(&world));
        stage.start_move_by(&[("1", 3.0), ("2", -3.0)]).await.unwrap();
        stage.wait_on_target(&["1", "2"], LIMIT).await.unwrap();
        let search = GradientSearch {
            scan: "1".into(),
            step: "2".into(),
            input: 1,
            level: 0.01,
            radius: (1.0, 2.0),
            frequency_hz: 40.0,
            gain: 20.0,
            velocity: 500.0,
            direction_changes: 6,
            samples: 1000,
        };
        let found = stage.alignment().unwrap().gradient_search(&search, LIMIT).await.unwrap();
        assert!(found.success && off_um(&world) < 0.5, "{} um off", off_um(&world));
        assert!(!found.samples.is_empty());
        let outside = AreaScan { middle: Some((10.0, 50.0)), ..area(["1", "2"], 50.0) };
        let failure = stage.alignment().unwrap().area_scan(&outside, LIMIT).await.unwrap_err();
        assert!(matches!(failure, MotionError::Refused { code: 7, .. }), "{failure}");
    });
}

#[test]
fn a_stop_ends_a_routine_that_was_left_running() {
    with("E-712", async |mut stage, world| {
        stage.connect(&setup(["1", "2", "3"], ChannelUnit::Micrometre, (0.0, 100.0), 5000.0)).await.unwrap();
        stage.start_move(&[("1", 50.0), ("2", 50.0)]).await.unwrap();
        stage.wait_on_target(&["1", "2"], LIMIT).await.unwrap();
        let clock = Clock::simulated();
        let scan = area(["1", "2"], 50.0);
        let cut = clock.timeout(Duration::from_secs(1), stage.alignment().unwrap().area_scan(&scan, LIMIT)).await;
        assert!(cut.is_err(), "the scan takes three seconds");
        stage.stop_all().await.unwrap();
        let stopped = world.backdoor().truth().fibre_um;
        clock.sleep(Duration::from_secs(1)).await;
        let after = world.backdoor().truth().fibre_um;
        let moved = after.iter().zip(stopped).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(moved < 0.1, "no more than the bench shakes: {moved} um");
        stage.start_move(&[("1", 50.0), ("2", 50.0)]).await.unwrap();
    });
}

#[test]
fn a_confined_controller_goes_nowhere_else_until_it_is_given_its_range_back() {
    for (model, channels, unit, range) in [
        ("C-887", ["X", "Y", "Z"], ChannelUnit::Millimetre, (-4000.0, 4000.0)),
        ("E-712", ["1", "2", "3"], ChannelUnit::Micrometre, (0.0, 100.0)),
    ] {
        with(model, async |mut stage, _| {
            let [x, y, _] = channels;
            stage.connect(&setup(channels, unit, range, 5000.0)).await.unwrap();
            if model == "C-887" {
                stage.reference(x).await.unwrap();
            }
            let own = stage.alignment().unwrap();
            assert!(own.can_confine(), "{model}");
            own.confine(&[(x, 5.0, 30.0), (y, 5.0, 30.0)]).await.unwrap();
            stage.start_move(&[(x, 20.0), (y, 20.0)]).await.unwrap();
            stage.wait_on_target(&[x, y], LIMIT).await.unwrap();
            let refused = stage.start_move(&[(x, 31.0)]).await.unwrap_err();
            assert!(matches!(refused, MotionError::Refused { .. }), "{model}: {refused}");
            let scan = stage.alignment().unwrap().area_scan(&area([x, y], 20.0), LIMIT).await.unwrap_err();
            assert!(matches!(scan, MotionError::Refused { .. }), "{model}: an area of 90 um is not within: {scan}");
            stage.alignment().unwrap().confine(&[(x, range.0, range.1), (y, range.0, range.1)]).await.unwrap();
            stage.start_move(&[(x, 60.0)]).await.unwrap();
            stage.wait_on_target(&[x], LIMIT).await.unwrap();
        });
    }
}
