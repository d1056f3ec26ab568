//! Bytes of a device into a driver: the driver talks to its simulated instrument, and the input is what becomes of the
//! answers on their way. Nothing is expected of the driver but that it comes back; once the line is sound it must
//! connect.

use std::time::Duration;

use drivers::alignment::{AreaScan, Estimate, Path, Span, Then};
use drivers::identity::Expected;
use drivers::meter::{LogSetup, LogStart, PowerMeter, Range};
use drivers::motion::MotionController;
use drivers::registry;
use drivers::source::LightSource;
use drivers::switch::OpticalSwitch;
use drivers::tracker::DitherTracker;
use drivers::transport::Stream;
use sim::{LineSettings, Link, Parity};
use units::Power;
use units::clock::Clock;

use super::mangle::Mangler;
use crate::alone::{Alone, in_virtual_time, line, meter_setup, source_setup, track_setup};
use crate::wire;

const LINE: LineSettings = LineSettings { baud: 921_600, parity: Parity::None };
/// Waits for a move, a routine, a log.
const WAIT: Duration = Duration::from_millis(500);
/// Everything a target does takes less, on the virtual clock.
const END: Duration = Duration::from_secs(3600);

pub(super) fn talk(kind: &str, model: &str, script: &[u8]) {
    if registry::MOTION.contains(&kind) {
        with(kind, model, script, async |stream, alone, clock| {
            let mut stage = registry::motion(kind, line(stream, clock), Expected::default()).expect("a driver");
            moves(&mut *stage, alone, clock).await
        });
    } else if registry::METERS.contains(&kind) {
        with(kind, model, script, async |stream, _, clock| {
            let mut meter = registry::meter(kind, line(stream, clock), Expected::default()).expect("a driver");
            measures(&mut *meter, clock).await
        });
    } else if registry::SOURCES.contains(&kind) {
        with(kind, model, script, async |stream, _, clock| {
            let mut source = registry::source(kind, line(stream, clock), Expected::default()).expect("a driver");
            shines(&mut *source, model).await
        });
    } else {
        with(kind, model, script, async |stream, _, clock| {
            let mut switch = registry::switch(kind, line(stream, clock), Expected::default()).expect("a driver");
            switches(&mut *switch).await
        });
    }
}

pub(super) fn track(kind: &str, model: &str, script: &[u8]) {
    with(kind, model, script, async |stream, _, clock| {
        let mut tracker = registry::tracker(kind, line(stream, clock), Expected::default()).expect("a driver");
        follows(&mut *tracker).await
    });
}

/// What came of connecting, for messages.
type Connected = Result<(), String>;

/// Lets a driver work over a line that does what the script says, then over a sound one.
fn with(
    kind: &str,
    model: &str,
    script: &[u8],
    mut work: impl AsyncFnMut(Box<dyn Stream>, &Alone, &Clock) -> Connected,
) {
    in_virtual_time(async |clock| {
        let link = Link::Serial { path: "unused".into(), settings: LINE };
        let alone = Alone::new(kind, model, link, &clock);
        let (near, far) = wire::pipe();
        let mut mangler = Mangler::new(script);
        let carried = wire::carry(far, alone.pipe(LINE), clock.clone(), |lot| mangler.mangle(lot));
        let all = async {
            tokio::select! {
                biased;
                connected = work(Box::new(near), &alone, &clock) => drop(connected),
                () = carried => {}
            }
            // What was on its way comes to nobody.
            clock.sleep(WAIT).await;
            work(Box::new(alone.pipe(LINE)), &alone, &clock).await
        };
        let ended = clock.timeout(END, all).await.expect("all comes to an end");
        if let Err(failure) = ended {
            // A driver is right to refuse a model that is none of its own, and a device what it cannot do from where wrong
            // answers have brought it.
            let right = failure.contains("expected") || failure.contains("refused with error");
            assert!(right, "{kind} {model} on a sound line: {failure}");
        }
    });
}

async fn moves(stage: &mut dyn MotionController, alone: &Alone, clock: &Clock) -> Connected {
    let setup = alone.channels();
    let connected = stage.connect(&setup).await.map_err(|e| e.to_string());
    let names: Vec<&str> = setup.iter().map(|c| c.channel.as_str()).collect();
    let [first, ..] = names[..] else { return connected };
    let to = |share: f64| setup.iter().map(move |c| (c.channel.as_str(), c.range.0 + share * (c.range.1 - c.range.0)));
    let _ = stage.states(&names).await;
    let _ = clock.timeout(WAIT, stage.reference(first)).await;
    let _ = stage.positions(&names).await;
    let _ = stage.set_velocity(&[(first, setup[0].velocity / 2.0)]).await;
    let _ = stage.start_move(&to(0.50).collect::<Vec<_>>()).await;
    let _ = stage.on_target(&names).await;
    let _ = stage.wait_on_target(&names, WAIT).await;
    let _ = stage.start_move_by(&[(first, 1e-3)]).await;
    let _ = stage.wait_on_target(&[first], WAIT).await;
    if let ([a, b, ..], Some(routines)) = (&names[..], stage.alignment()) {
        let _ = routines.input(1).await;
        let span = |channel: &str| Span { channel: channel.into(), length: 4.0 };
        let scan = AreaScan {
            scan: span(a),
            step: span(b),
            middle: None,
            input: 1,
            level: 0.01,
            frequency_hz: 20.0,
            velocity: 30.0,
            path: Path::Raster,
            estimate: Estimate::Gauss(0.3, 1.0),
            then: Then::Maximum,
            samples: 1000,
        };
        let _ = clock.timeout(WAIT, routines.area_scan(&scan, WAIT)).await;
    }
    if let Some(pivot) = stage.pivot() {
        let _ = pivot.set_pivot_um([0.0, 0.0, 100.0]).await;
    }
    let _ = stage.stop_all().await;
    connected
}

async fn measures(meter: &mut dyn PowerMeter, clock: &Clock) -> Connected {
    let connected = meter.connect(&meter_setup()).await.map_err(|e| e.to_string());
    let _ = meter.read().await;
    let _ = meter.set_range(Range::Upper(Power::from_watts(1e-3))).await;
    let _ = meter.range().await;
    let _ = meter.set_averaging(10).await;
    let _ = meter.read().await;
    let _ = clock.timeout(WAIT, meter.zero()).await;
    let _ = meter.errors().await;
    if let Some(logger) = meter.logger() {
        let log = LogSetup { samples: 300, averaging: Duration::from_micros(100), start: LogStart::Now };
        let _ = logger.start_log(&log).await;
        clock.sleep(Duration::from_millis(50)).await;
        let _ = logger.log_done().await;
        let _ = logger.read_log().await;
        let _ = logger.end_log().await;
    }
    connected
}

async fn shines(source: &mut dyn LightSource, model: &str) -> Connected {
    let connected = source.connect(&source_setup(model)).await.map_err(|e| e.to_string());
    let _ = source.switch_on().await;
    let _ = source.state().await;
    let _ = source.switch_off().await;
    connected
}

async fn switches(switch: &mut dyn OpticalSwitch) -> Connected {
    let connected = switch.connect().await.map_err(|e| e.to_string());
    let _ = switch.select(1, Some(2)).await;
    let _ = switch.selected(1).await;
    let _ = switch.select(1, None).await;
    connected
}

async fn follows(tracker: &mut dyn DitherTracker) -> Connected {
    let connected = tracker.connect(&track_setup()).await.map_err(|e| e.to_string());
    let _ = tracker.move_centre([10.0, 10.0]).await;
    let _ = tracker.centre().await;
    let _ = tracker.photocurrent().await;
    let _ = tracker.state().await;
    let _ = tracker.track_for(Duration::from_millis(100)).await;
    let _ = tracker.latch().await;
    connected
}
