//! [`PowerMeter`] for Keysight meters: known state item by item on every port, all ports read at once.

use std::time::Duration;

use async_trait::async_trait;
use units::{Power, Reading};

use super::codec::{self, Place};
use crate::exchange::{Line, Protocol, Repeat, Tap};
use crate::identity::{Expected, Identity};
use crate::meter::{Logger, MeterError, MeterSetup, PowerMeter, Range};
use crate::scpi;
use crate::session::{Fault, Item, Manner, Session};

/// Settings are answered within tens of milliseconds; a mainframe under load takes longer.
const QUERY_LIMIT: Duration = Duration::from_secs(1);
/// Beyond its integration a reading may take this long, and twice when a range changes by itself meanwhile.
const READ_MARGIN: Duration = Duration::from_millis(500);
/// A range has settled after this long, whatever its amplifier (the longest dead time seen on such meters: 0.2 s).
const RANGE_SETTLE: Duration = Duration::from_millis(200);
/// Zeroing takes several seconds a port, one after the other at worst.
const ZERO_LIMIT: Duration = Duration::from_secs(60);
/// Error queues hold some thirty entries.
const ERRORS_MAX: usize = 64;
/// Wavelengths read back as 32-bit numbers.
const WAVELENGTH_TOLERANCE_M: f64 = 5e-12;
/// One unit of averaging.
const SAMPLE: Duration = Duration::from_millis(1);
/// What this driver drives, for messages.
const KIND: &str = "a Keysight power meter";

/// The longest answer: a whole log of 20001 points from a mainframe's head; an N774x is read in parts.
const ANSWER_MAX: usize = 128 * 1024;

const MANNER: Manner = Manner {
    protocol: Protocol {
        framing: scpi::answer_end,
        reply_max: ANSWER_MAX,
        requests: crate::requests::KEYSIGHT_PM,
        ..scpi::PROTOCOL
    },
    end: "\n",
    limit: QUERY_LIMIT,
    errors_max: ERRORS_MAX,
};

/// A Keysight multi-port power meter, or the heads of a mainframe.
pub struct KeysightPm {
    pub(super) session: Session,
    expected: Expected,
    pub(super) ports: Vec<Place>,
    /// What it was set to last.
    setup: MeterSetup,
    /// The line's recoveries after which the settings were last known.
    settled_at: u64,
}

impl KeysightPm {
    /// A driver over `line` for the meter `expected`; [`PowerMeter::connect`] comes first.
    pub fn new(line: Line, expected: Expected) -> KeysightPm {
        KeysightPm {
            session: Session::new(line, MANNER),
            expected,
            ports: Vec::new(),
            setup: MeterSetup { wavelength_nm: 0.0, averaging: 1, range: Range::Auto },
            settled_at: 0,
        }
    }

    /// Ports whose averaging, triggers and free run are those of their module.
    pub(super) fn masters(&self) -> Vec<Place> {
        self.ports.iter().copied().filter(|p| p.channel == 1).collect()
    }

    /// Slots with a logging function of their own.
    pub(super) fn log_slots(&self) -> Vec<u16> {
        let slots = self.masters().into_iter().map(|p| p.slot);
        let one_for_all = codec::is_multi_port(self.session.identity());
        slots.take(if one_for_all { 1 } else { usize::MAX }).collect()
    }

    pub(super) fn averaging_item(&self, place: Place) -> Item {
        let seconds = self.integration().as_secs_f64();
        Item {
            what: "averaging time",
            header: place.header("SENS", "POW:ATIM"),
            argument: format!("{seconds}"),
            want: seconds,
            tolerance: 1e-3 * seconds,
        }
    }

    fn wavelength_item(&self, place: Place) -> Item {
        let nm = self.setup.wavelength_nm;
        Item {
            what: "wavelength",
            header: place.header("SENS", "POW:WAV"),
            argument: format!("{nm:.4}NM"),
            want: nm * 1e-9,
            tolerance: WAVELENGTH_TOLERANCE_M,
        }
    }

    /// Autorange, and the range where one is set. That of automatic ranging is the meter's own choice.
    fn range_items(&self, place: Place) -> Vec<Item> {
        let auto =
            Item::whole("autorange", place.header("SENS", "POW:RANG:AUTO"), u32::from(self.setup.range == Range::Auto));
        let Range::Upper(upper) = self.setup.range else { return vec![auto] };
        let dbm = codec::range_dbm(upper);
        let range = Item {
            what: "range",
            header: place.header("SENS", "POW:RANG"),
            argument: format!("{dbm}DBM"),
            want: dbm,
            tolerance: 0.1,
        };
        vec![auto, range]
    }

    /// Everything that a reading depends on, port by port.
    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        for place in &self.ports {
            let header = |rest: &str| place.header("SENS", rest);
            items.push(Item::whole("unit", header("POW:UNIT"), 1));
            items.push(Item::whole("relative mode", header("POW:REF:STAT"), 0));
            items.push(Item::whole("stored correction", header("CORR"), 0));
            items.push(self.wavelength_item(*place));
            if place.channel == 1 {
                items.push(Item::whole("free run", place.header("INIT", "CONT"), 0));
                items.push(self.averaging_item(*place));
            }
            items.extend(self.range_items(*place));
        }
        items
    }

    async fn find_ports(&mut self) -> Result<(), MeterError> {
        self.ports = self.session.ask("READ:POW:ALL:CONF?", "slots and channels", codec::places).await?;
        Ok(())
    }

    /// After the line was lost: a meter that restarted has forgotten what it was set to.
    async fn check_settings(&mut self) -> Result<(), MeterError> {
        if self.settled_at == self.session.line.recoveries() {
            return Ok(());
        }
        for item in self.items() {
            self.session.check(&item).await?;
        }
        // The queue may hold what the line's trouble left there.
        self.session.drain().await?;
        self.settled_at = self.session.line.recoveries();
        Ok(())
    }
}

#[async_trait(?Send)]
impl PowerMeter for KeysightPm {
    fn name(&self) -> &str {
        self.session.line.instrument()
    }

    fn identity(&self) -> &Identity {
        self.session.identity()
    }

    fn tap(&self) -> &Tap {
        self.session.line.tap()
    }

    fn channels(&self) -> u32 {
        u32::try_from(self.ports.len()).unwrap_or(u32::MAX)
    }

    async fn connect(&mut self, setup: &MeterSetup) -> Result<(), MeterError> {
        self.session.identify(KIND, codec::is_meter, &self.expected).await?;
        self.session.send("*CLS").await?;
        self.session.drain().await?;
        self.find_ports().await?;
        self.setup = setup.clone();
        // A log that still runs would be ended by the first setting anyway, and its trigger be waited for.
        self.stop_functions().await?;
        for item in self.items() {
            self.session.set(&item).await?;
        }
        self.session.nothing_refused("connect").await?;
        self.session.line.clock().clone().sleep(RANGE_SETTLE).await;
        self.settled_at = self.session.line.recoveries();
        Ok(())
    }

    async fn set_range(&mut self, range: Range) -> Result<(), MeterError> {
        self.setup.range = range;
        for place in self.ports.clone() {
            for item in self.range_items(place) {
                self.session.set(&item).await?;
            }
        }
        self.session.line.clock().clone().sleep(RANGE_SETTLE).await;
        Ok(())
    }

    async fn set_averaging(&mut self, count: u32) -> Result<(), MeterError> {
        self.setup.averaging = count;
        for place in self.masters() {
            let item = self.averaging_item(place);
            self.session.set(&item).await?;
        }
        Ok(())
    }

    /// The smallest of the ports: with automatic ranging each has its own.
    async fn range(&mut self) -> Result<Power, MeterError> {
        let mut least = f64::INFINITY;
        for place in self.ports.clone() {
            let request = format!("{}?", place.header("SENS", "POW:RANG"));
            least = least.min(self.session.ask(&request, "a range in dBm", scpi::finite).await?);
        }
        Ok(codec::range_upper(least))
    }

    async fn read(&mut self) -> Result<Vec<Reading>, MeterError> {
        self.session.line.ready().await?;
        self.check_settings().await?;
        let ranging = if self.setup.range == Range::Auto { 2 } else { 1 };
        let limit = (self.integration() + READ_MARGIN) * ranging;
        let ports = self.ports.len();
        let all = |answer: &[u8]| codec::readings(answer).filter(|readings| readings.len() == ports);
        let asked = (limit, Repeat::Harmless);
        let readings = self.session.ask_within(asked, "READ:POW:ALL?", "a power for each port", all).await?;
        if self.settled_at != self.session.line.recoveries() {
            // It was asked again on a line that had to be brought back: only with the settings known are they readings.
            self.check_settings().await?;
        }
        Ok(readings)
    }

    fn integration(&self) -> Duration {
        SAMPLE.saturating_mul(self.setup.averaging.max(1))
    }

    async fn zero(&mut self) -> Result<(), MeterError> {
        let command = "SENS1:CORR:COLL:ZERO:ALL";
        let begun = self.session.line.clock().now();
        self.session.send(command).await?;
        for place in self.ports.clone() {
            let request = format!("{}?", place.header("SENS", "CORR:COLL:ZERO"));
            // It is answered when the port is done.
            let asked = (ZERO_LIMIT, Repeat::Never);
            let code = match self.session.ask_within(asked, &request, "a result code", scpi::integer).await {
                Err(Fault::Line(e)) if e.is_no_answer() => {
                    let waited_s = (self.session.line.clock().now() - begun).as_secs_f64();
                    return Err(MeterError::NotFinished { instrument: self.session.instrument(), waited_s });
                }
                other => other?,
            };
            if code != 0 {
                let meaning = format!("zeroing of port {} failed", place.slot);
                let instrument = self.session.instrument();
                return Err(MeterError::Refused { instrument, command: command.to_string(), code, meaning });
            }
        }
        Ok(self.session.nothing_refused(command).await?)
    }

    async fn errors(&mut self) -> Result<Vec<(i64, String)>, MeterError> {
        Ok(self.session.drain().await.map_err(Fault::from)?)
    }

    fn logger(&mut self) -> Option<&mut dyn Logger> {
        Some(self)
    }
}
