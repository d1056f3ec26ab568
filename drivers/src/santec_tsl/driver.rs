//! [`LightSource`] for Santec lasers: known state item by item, on when diode, shutter and settling all say so.

use std::time::Duration;

use async_trait::async_trait;
use units::Power;

use crate::exchange::{Line, Protocol, Tap};
use crate::identity::{Expected, Identity};
use crate::scpi;
use crate::session::{Item, Manner, Session};
use crate::source::{LightSource, SourceError, SourceSetup, SourceState};

/// Settings are answered within tens of milliseconds.
const QUERY_LIMIT: Duration = Duration::from_secs(1);
/// A diode that was off has warmed up, and a laser tuned over its whole range, within some seconds.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// `*OPC?` is asked again this long after a 0.
const SETTLE_POLL: Duration = Duration::from_millis(50);
/// The queue holds some ten entries.
const ERRORS_MAX: usize = 32;
/// The laser's own grid is 0.1 pm; it may be a few steps off.
const WAVELENGTH_TOLERANCE_M: f64 = 5e-12;
/// Levels are set in steps of 0.01 dB.
const LEVEL_TOLERANCE_DB: f64 = 0.011;
/// What this driver drives, for messages.
const KIND: &str = "a Santec TSL laser";

/// Length of the first answer: up to its CR, LF, or both.
pub(super) fn line_end(bytes: &[u8]) -> Option<usize> {
    let is_end = |b: &u8| matches!(b, b'\r' | b'\n');
    // The LF of an earlier CR LF may come first.
    let begin = bytes.iter().position(|b| !is_end(b))?;
    let end = begin + bytes[begin..].iter().position(is_end)?;
    Some(if bytes[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 })
}

const MANNER: Manner = Manner {
    protocol: Protocol {
        framing: line_end,
        identity_request: b"*IDN?\r",
        spoil: b"~\r",
        requests: crate::requests::SANTEC_TSL,
        ..scpi::PROTOCOL
    },
    end: "\r",
    limit: QUERY_LIMIT,
    errors_max: ERRORS_MAX,
};

fn is_laser(identity: &Identity) -> bool {
    identity.maker.to_uppercase().starts_with("SANTEC") && identity.model.to_uppercase().starts_with("TSL")
}

/// A Santec tunable laser.
pub struct SantecTsl {
    session: Session,
    expected: Expected,
}

impl SantecTsl {
    /// A driver over `line` for the laser `expected`; [`LightSource::connect`] comes first.
    pub fn new(line: Line, expected: Expected) -> SantecTsl {
        SantecTsl { session: Session::new(line, MANNER), expected }
    }

    async fn flag(&mut self, header: &str) -> Result<bool, SourceError> {
        Ok(self.session.ask(&format!("{header}?"), "0 or 1", scpi::boolean).await?)
    }

    async fn is_on(&mut self) -> Result<bool, SourceError> {
        // Light comes out only past an open shutter.
        Ok(self.flag(":POW:STAT").await? && !self.flag(":POW:SHUT").await?)
    }

    /// Waits until the laser says that all operations are complete.
    async fn settled(&mut self) -> Result<(), SourceError> {
        let clock = self.session.line.clock().clone();
        let begun = clock.now();
        while !self.session.ask("*OPC?", "0 or 1", scpi::boolean).await? {
            let waited = clock.now() - begun;
            if waited >= SETTLE_LIMIT {
                let instrument = self.session.instrument();
                return Err(SourceError::NotSettled { instrument, waited_s: waited.as_secs_f64() });
            }
            clock.sleep(SETTLE_POLL).await;
        }
        Ok(())
    }

    async fn set_wavelength(&mut self, nm: f64) -> Result<(), SourceError> {
        let item = Item {
            what: "wavelength",
            header: ":WAV".into(),
            argument: format!("{:.7E}", nm * 1e-9),
            want: nm * 1e-9,
            tolerance: WAVELENGTH_TOLERANCE_M,
        };
        self.session.send(&format!("{} {}", item.header, item.argument)).await?;
        // It may still tune; what it reads back counts when it has settled.
        self.settled().await?;
        let read = self.session.ask(":WAV?", "a wavelength in metres", scpi::finite).await?;
        if (read - item.want).abs() <= item.tolerance {
            return Ok(());
        }
        let (set, read) = (format!("{nm} nm"), format!("{:.4} nm", read * 1e9));
        Err(self.session.why("wavelength", &format!(":WAV {}", item.argument), set, read).await.into())
    }

    async fn set_level(&mut self, level: Power) -> Result<(), SourceError> {
        let Some(dbm) = level.dbm() else {
            return Err(SourceError::NoSuchLevel { instrument: self.session.instrument(), watts: level.watts() });
        };
        let item = Item {
            what: "level",
            header: ":POW".into(),
            argument: format!("{dbm:.2}"),
            want: dbm,
            tolerance: LEVEL_TOLERANCE_DB,
        };
        Ok(self.session.set(&item).await?)
    }
}

#[async_trait(?Send)]
impl LightSource for SantecTsl {
    fn name(&self) -> &str {
        self.session.line.instrument()
    }

    fn identity(&self) -> &Identity {
        self.session.identity()
    }

    fn tap(&self) -> &Tap {
        self.session.line.tap()
    }

    async fn connect(&mut self, setup: &SourceSetup) -> Result<(), SourceError> {
        self.session.identify(KIND, is_laser, &self.expected).await?;
        self.session.send("*CLS").await?;
        self.session.drain().await?;
        self.switch_off().await?;
        // A sweep under way takes no other wavelength.
        self.session.send(":WAV:SWE 0").await?;
        self.session.set(&Item::whole("command set", ":SYST:COMM:CODE".into(), 1)).await?;
        self.session.set(&Item::whole("unit of power", ":POW:UNIT".into(), 0)).await?;
        self.set_wavelength(setup.wavelength_nm).await?;
        self.set_level(setup.level).await?;
        Ok(self.session.nothing_refused("connect").await?)
    }

    async fn switch_on(&mut self) -> Result<(), SourceError> {
        self.session.set(&Item::whole("laser diode", ":POW:STAT".into(), 1)).await?;
        self.settled().await?;
        self.session.set(&Item::whole("shutter", ":POW:SHUT".into(), 0)).await?;
        self.settled().await?;
        if self.is_on().await? {
            return Ok(());
        }
        Err(self.session.why("output", ":POW:STAT 1", "1".into(), "0".into()).await.into())
    }

    async fn switch_off(&mut self) -> Result<(), SourceError> {
        // At once, whatever the line is waiting for: light that should be off is not kept waiting.
        self.session.line.send_urgent(b":POW:SHUT 1\r").await?;
        self.session.line.send_urgent(b":POW:STAT 0\r").await?;
        if !self.flag(":POW:STAT").await? && self.flag(":POW:SHUT").await? {
            return Ok(());
        }
        Err(self.session.why("output", ":POW:STAT 0", "0".into(), "1".into()).await.into())
    }

    /// These lasers do not tell about an interlock: `interlock_open` is never true.
    async fn state(&mut self) -> Result<SourceState, SourceError> {
        let on = self.is_on().await?;
        let dbm = self.session.ask(":POW?", "a power in dBm", scpi::finite).await?;
        Ok(SourceState { on, interlock_open: false, level: Power::from_dbm(dbm) })
    }
}
