//! Drivers on simulated instruments, byte for byte, each alone: known state, readings, logs, light and lanes.

use std::collections::BTreeMap;
use std::time::Duration;

use drivers::exchange::Line;
use drivers::identity::Expected;
use drivers::meter::{LogSetup, LogStart, MeterSetup, PowerMeter, Range};
use drivers::registry;
use drivers::source::SourceSetup;
use sim::{LineSettings, Link, Parity, PortWiring, Wiring, World};
use tokio::task::LocalSet;
use units::clock::{Clock, virtual_runtime};
use units::{Power, Reading};

/// Light on every channel.
const LIGHT_W: f64 = 1e-4;

/// A line to a simulated device that stands alone in steady light.
fn line(kind: &str, model: &str, clock: &Clock) -> Line {
    let options = BTreeMap::from([("model".to_string(), model.to_string())]);
    let instrument = sim::standalone(kind, &options).expect("a kind and model of the list");
    let settings = LineSettings { baud: 115_200, parity: Parity::None };
    let link = Link::Serial { path: "unused".into(), settings };
    let ports = vec![PortWiring { name: instrument.port.clone(), link }];
    let port = instrument.port.clone();
    let wiring = Wiring { ports, instruments: vec![instrument] };
    let world = World::alone(&wiring, LIGHT_W, 1, clock.clone());
    Line::new(
        Box::new(world.connect(&port, settings).expect("the only device of the wiring")),
        clock.clone(),
        kind,
        "sim",
    )
}

fn in_virtual_time<F: Future<Output = ()>>(test: impl FnOnce(Clock) -> F) {
    LocalSet::new().block_on(&virtual_runtime().expect("a runtime"), async { test(Clock::simulated()).await });
}

fn setup(range: Range) -> MeterSetup {
    MeterSetup { wavelength_nm: 1310.0, averaging: 10, range }
}

fn near_light(reading: Reading) {
    let watts = reading.power().map_or(f64::NAN, Power::watts);
    assert!((watts / LIGHT_W - 1.0).abs() < 0.01, "{reading:?}");
}

async fn meter(kind: &str, model: &str, range: Range, clock: &Clock) -> Box<dyn PowerMeter> {
    let mut meter = registry::meter(kind, line(kind, model, clock), Expected::default()).expect("a word of the list");
    meter.connect(&setup(range)).await.expect("a meter that answers");
    meter
}

#[test]
fn multi_port_meters_read_every_channel_and_are_saturated_where_their_range_ends() {
    for (kind, model, channels) in [
        ("keysight-pm", "N7744A", 4),
        ("keysight-pm", "N7745C", 8),
        ("keysight-pm", "8163B", 4),
        ("joinwit-pm", "JW8103A", 4),
        ("thorlabs-pm-lan", "PM103E", 1),
        ("thorlabs-pm-lan", "PM5020", 2),
    ] {
        in_virtual_time(async |clock| {
            let mut meter = meter(kind, model, Range::Auto, &clock).await;
            assert_eq!(meter.channels(), channels, "{model}");
            // The first readings after a range was found are off by some percent.
            meter.read().await.unwrap();
            clock.sleep(Duration::from_millis(500)).await;
            let readings = meter.read().await.unwrap();
            assert_eq!(readings.len(), usize::try_from(channels).unwrap());
            readings.into_iter().for_each(near_light);
            assert!(meter.errors().await.unwrap().is_empty());
            if kind == "keysight-pm" {
                meter.set_range(Range::Upper(Power::from_watts(1e-6))).await.unwrap();
                assert!(meter.read().await.unwrap().iter().all(|r| *r == Reading::Saturated), "{model}");
            }
        });
    }
}

#[test]
fn logs_of_all_ports_take_their_time_and_come_whole() {
    for model in ["N7744A", "N7745C", "8163B"] {
        in_virtual_time(async |clock| {
            let mut meter = meter("keysight-pm", model, Range::Upper(Power::from_watts(1.5e-4)), &clock).await;
            let logger = meter.logger().unwrap();
            let log = LogSetup { samples: 5000, averaging: Duration::from_micros(200), start: LogStart::Now };
            let begun = clock.now();
            logger.start_log(&log).await.unwrap();
            while !logger.log_done().await.unwrap() {
                clock.sleep(Duration::from_millis(10)).await;
            }
            let took = (clock.now() - begun).as_secs_f64();
            assert!((1.0..1.2).contains(&took), "{model}: {took}");
            let samples = logger.read_log().await.unwrap();
            for port in &samples {
                assert_eq!(port.len(), 5000);
                port.iter().for_each(|s| near_light(*s));
            }
            assert_ne!(samples[0], samples[1], "each port has noise of its own");
            logger.end_log().await.unwrap();
            meter.read().await.unwrap().into_iter().for_each(near_light);
        });
    }
}

#[test]
fn zeroing_is_waited_for_on_every_port() {
    in_virtual_time(async |clock| {
        let mut meter = meter("keysight-pm", "N7744A", Range::Auto, &clock).await;
        let begun = clock.now();
        meter.zero().await.unwrap();
        assert!(clock.now() - begun > Duration::from_secs(2));
    });
}

#[test]
fn a_santec_laser_is_tuned_switched_on_and_off() {
    in_virtual_time(async |clock| {
        let line = line("santec-tsl", "TSL-570-O", &clock);
        let mut laser = registry::source("santec-tsl", line, Expected::default()).unwrap();
        laser.connect(&SourceSetup { wavelength_nm: 1310.5, level: Power::from_dbm(3.0) }).await.unwrap();
        assert!(!laser.state().await.unwrap().on);
        laser.switch_on().await.unwrap();
        let state = laser.state().await.unwrap();
        assert!(state.on && (state.level.dbm().unwrap() - 3.0).abs() < 0.01);
        laser.switch_off().await.unwrap();
        assert!(!laser.state().await.unwrap().on);
    });
}

#[test]
fn a_switch_connects_displaces_and_lets_go() {
    in_virtual_time(async |clock| {
        let line = line("dicon-switch", "GP600", &clock);
        let mut switch = registry::switch("dicon-switch", line, Expected::default()).unwrap();
        switch.connect().await.unwrap();
        assert_eq!((switch.inputs(), switch.outputs()), (4, 8));
        switch.select(2, Some(1)).await.unwrap();
        switch.select(3, Some(1)).await.unwrap();
        assert_eq!(switch.selected(2).await.unwrap(), None);
        switch.select(3, None).await.unwrap();
        assert_eq!(switch.selected(3).await.unwrap(), None);
    });
}

#[test]
fn an_instrument_of_another_kind_is_refused_by_name() {
    in_virtual_time(async |clock| {
        let line = line("santec-tsl", "TSL-570", &clock);
        let mut meter = registry::meter("keysight-pm", line, Expected::default()).unwrap();
        let told = meter.connect(&setup(Range::Auto)).await.unwrap_err().to_string();
        assert!(told.contains("expected a Keysight power meter") && told.contains("TSL-570"), "{told}");
    });
}
