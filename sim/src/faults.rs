//! Faults that a world can be given: by name, at a time, on a target. Times count from when the first unit is loaded.

use std::fmt;

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The device stops answering.
    Silent,
    /// One byte of one reply is lost.
    DropByte,
    /// One bit of one reply is flipped.
    FlipByte,
    /// One reply comes twice.
    DuplicateReply,
    /// One reply comes two seconds late.
    LateReply,
    /// One reply comes in three pieces, 20 ms apart.
    SplitReply,
    /// Bytes nobody asked for come before one reply.
    ExtraBytes,
    /// Replies stop half-way.
    HalfReply,
    /// The device refuses every command by its own error code.
    ErrorReply,
    /// The device restarts: power-on state, references lost.
    Restart,
    /// The port disappears.
    PortGone,
    /// The interlock of the source opens.
    InterlockOpen,
    /// The source switches itself off.
    SourceOff,
    /// The meter repeats its last reading.
    MeterFrozen,
    /// The meter says it is saturated.
    MeterSaturated,
    /// An axis is stuck.
    AxisStuck,
    /// Moves of an axis end short, but it says it arrived.
    ShortMove,
    /// The port disappears and comes back.
    PortFlap,
    /// The laser hops between two modes.
    LaserHop,
    /// The laser's power falls steadily.
    LaserDroop,
    /// The meter says there is too little light for its range.
    MeterUnderRange,
    /// The meter shows light that is past.
    MeterLag,
    /// Part of an axis' motion does not reach the load.
    AxisSlip,
    /// An axis loses steps at the start of every move.
    LostSteps,
    /// A limit switch is active where none should be.
    LimitStuck,
    /// The meter reads low.
    MeterLow,
    /// The patch cord to the signal meter wears with every unit.
    WornCord,
    /// The laser ages.
    LaserAging,
    /// Replies take their time, and a meter answers with the reading before.
    SlowReplies,
    /// The load rings on after a move, unseen by the controller.
    SlowSettling,
}

/// What a fault acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// An instrument, by bench name; the first of the wiring where none is named.
    Instrument,
    /// A meter, by bench name; the signal's where none is named.
    Meter,
    /// An axis, by bench name; x where none is named.
    Axis,
    /// The source.
    Source,
    /// The fibres of the bench.
    Fibre,
}

/// How much of a fault there is, where that can be said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// Unit.
    pub unit: &'static str,
    /// Where none is given.
    pub default: f64,
    /// Least and greatest of a campaign's draw.
    pub drawn: (f64, f64),
}

/// One kind of fault, for lists.
#[derive(Debug, Clone, Copy)]
pub struct FaultInfo {
    /// Word on the command line.
    pub name: &'static str,
    /// The kind.
    pub kind: FaultKind,
    /// What it acts on.
    pub target: TargetKind,
    /// How much of it there is, where that can be said.
    pub amount: Option<Amount>,
    /// One line for people.
    pub description: &'static str,
    /// It is there from the start and does not strike at a moment.
    pub slow: bool,
    /// Why the instruments of a bench with a tap cannot tell it from a bad part, where they cannot.
    pub cannot_be_told: Option<&'static str>,
}

const fn info(name: &'static str, kind: FaultKind, target: TargetKind, description: &'static str) -> FaultInfo {
    FaultInfo { name, kind, target, amount: None, description, slow: false, cannot_be_told: None }
}

impl FaultInfo {
    const fn of(self, unit: &'static str, default: f64, drawn: (f64, f64)) -> FaultInfo {
        FaultInfo { amount: Some(Amount { unit, default, drawn }), ..self }
    }

    const fn slowly(self) -> FaultInfo {
        FaultInfo { slow: true, ..self }
    }

    const fn untold(self, why: &'static str) -> FaultInfo {
        FaultInfo { cannot_be_told: Some(why), ..self }
    }
}

use FaultKind as K;
use TargetKind::{Axis, Fibre, Instrument, Meter, Source};

const FAULTS: &[FaultInfo] = &[
    info("silent", K::Silent, Instrument, "the device stops answering"),
    info("drop-byte", K::DropByte, Instrument, "one byte of one reply is lost"),
    info("flip-byte", K::FlipByte, Instrument, "one bit of one reply is flipped"),
    info("duplicate-reply", K::DuplicateReply, Instrument, "one reply comes twice"),
    info("late-reply", K::LateReply, Instrument, "one reply comes two seconds late"),
    info("split-reply", K::SplitReply, Instrument, "one reply comes in three pieces, 20 ms apart"),
    info("extra-bytes", K::ExtraBytes, Instrument, "bytes nobody asked for come before one reply"),
    info("half-reply", K::HalfReply, Instrument, "replies stop half-way"),
    info("error-reply", K::ErrorReply, Instrument, "the device refuses every command by its own error code"),
    info("restart", K::Restart, Instrument, "the device restarts: power-on state, references lost"),
    info("port-gone", K::PortGone, Instrument, "the port disappears"),
    info("port-flap", K::PortFlap, Instrument, "the port disappears and comes back after so long").of(
        "s",
        1.0,
        (0.2, 3.0),
    ),
    info("interlock-open", K::InterlockOpen, Source, "the interlock of the source opens"),
    info("source-off", K::SourceOff, Source, "the source switches itself off"),
    info("laser-hop", K::LaserHop, Source, "the laser hops between two modes so far apart").of("dB", 0.3, (0.05, 0.5)),
    info("laser-droop", K::LaserDroop, Source, "the laser's power falls by so much a second").of(
        "dB",
        0.1,
        (0.02, 0.5),
    ),
    info("meter-frozen", K::MeterFrozen, Meter, "the meter repeats its last reading"),
    info("meter-saturated", K::MeterSaturated, Meter, "the meter says it is saturated"),
    info("meter-under-range", K::MeterUnderRange, Meter, "the meter says there is too little light for its range"),
    info("meter-lag", K::MeterLag, Meter, "the meter shows the light of so long ago").of("ms", 50.0, (10.0, 80.0)),
    info("axis-stuck", K::AxisStuck, Axis, "the axis does not move, whatever it is told"),
    info("axis-slip", K::AxisSlip, Axis, "so much of every motion does not reach the load").of("%", 20.0, (5.0, 60.0)),
    info("lost-steps", K::LostSteps, Axis, "so much is lost at the start of every move").of("um", 0.5, (0.2, 5.0)),
    info("limit-stuck", K::LimitStuck, Axis, "the upper limit switch is active wherever the axis is"),
    info("short-move", K::ShortMove, Axis, "moves end so much short, but the axis says it arrived").of(
        "%",
        20.0,
        (5.0, 60.0),
    ),
    info("meter-low", K::MeterLow, Meter, "the meter reads so much low")
        .slowly()
        .of("dB", 0.15, (0.05, 0.15))
        .untold("both meters are believed within their stated uncertainty"),
    info(
        "worn-cord",
        K::WornCord,
        Fibre,
        "the cord to the signal meter loses 0.25 dB over 200 matings, so many are behind it",
    )
    .slowly()
    .of("matings", 0.0, (0.0, 400.0))
    .untold("the cord lies between the part and the signal meter: less light is all it shows"),
    info("laser-aging", K::LaserAging, Source, "the laser loses 0.1 dB a day, so many days are behind it").slowly().of(
        "days",
        0.0,
        (0.0, 20.0),
    ),
    info(
        "slow-replies",
        K::SlowReplies,
        Instrument,
        "replies take 12 +- 6 ms, and a meter answers with the reading before",
    )
    .slowly(),
    info(
        "slow-settling",
        K::SlowSettling,
        Axis,
        "the load rings on for so long after a move, unseen by the controller",
    )
    .slowly()
    .of("ms", 60.0, (30.0, 90.0)),
];

/// All kinds of faults.
pub fn faults() -> &'static [FaultInfo] {
    FAULTS
}

/// What a kind of fault acts on.
pub(crate) fn target(kind: FaultKind) -> TargetKind {
    FAULTS.iter().find(|i| i.kind == kind).map_or(Instrument, |i| i.target)
}

/// One fault to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// How much of it, in the unit of its [`FaultInfo`]; its default where none is given.
    pub amount: Option<f64>,
    /// On which instrument or axis, by bench name.
    pub target: Option<String>,
    /// When, seconds after the first unit is loaded.
    pub at_s: f64,
}

/// A word that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault has this name.
    #[error("there is no fault \"{0}\"")]
    Unknown(String),
    /// The fault has no amount, or what is given is no number from 0.
    #[error("\"{0}\" is no amount of it")]
    Amount(String),
    /// The time is no number of seconds from 0.
    #[error("\"{0}\" is no time in seconds")]
    Time(String),
}

impl Fault {
    /// The fault's entry in the list.
    pub fn info(&self) -> Option<&'static FaultInfo> {
        FAULTS.iter().find(|i| i.kind == self.kind)
    }

    /// How much of it, in its unit; 0 where it has none.
    pub fn amount(&self) -> f64 {
        self.amount.or_else(|| Some(self.info()?.amount?.default)).unwrap_or(0.0)
    }

    /// Reads `NAME[=AMOUNT][:TARGET][@SECONDS]`.
    ///
    /// # Errors
    /// [`FaultError`].
    pub fn parse(word: &str) -> Result<Fault, FaultError> {
        let (what, at) = word.split_once('@').map_or((word, None), |(w, a)| (w, Some(a)));
        let (name, target) = what.split_once(':').map_or((what, None), |(n, t)| (n, Some(t.to_string())));
        let (name, amount) = name.split_once('=').map_or((name, None), |(n, a)| (n, Some(a)));
        let info = FAULTS.iter().find(|f| f.name == name).ok_or_else(|| FaultError::Unknown(name.to_string()))?;
        let number = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
        let at_s = match at {
            None => 0.0,
            Some(text) => number(text).ok_or_else(|| FaultError::Time(text.to_string()))?,
        };
        let amount = match amount {
            None => None,
            Some(text) => {
                let given = info.amount.and_then(|_| number(text));
                Some(given.ok_or_else(|| FaultError::Amount(text.to_string()))?)
            }
        };
        Ok(Fault { kind: info.kind, amount, target, at_s })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.info().map_or("fault", |i| i.name))?;
        if let Some(amount) = self.amount {
            write!(f, "={amount}")?;
        }
        if let Some(target) = &self.target {
            write!(f, ":{target}")?;
        }
        write!(f, "@{}", self.at_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_with_its_target_and_time() {
        assert_eq!(
            Fault::parse("silent"),
            Ok(Fault { kind: FaultKind::Silent, amount: None, target: None, at_s: 0.0 })
        );
        let fault = Fault::parse("axis-stuck:y@2.5").unwrap();
        assert_eq!(fault, Fault { kind: FaultKind::AxisStuck, amount: None, target: Some("y".into()), at_s: 2.5 });
        assert_eq!(fault.to_string(), "axis-stuck:y@2.5");
        let fault = Fault::parse("laser-droop=0.25@3").unwrap();
        assert_eq!((fault.amount(), fault.to_string().as_str()), (0.25, "laser-droop=0.25@3"));
        assert_eq!(Fault::parse("laser-droop").unwrap().amount(), 0.1);
        assert_eq!(Fault::parse("silent=3"), Err(FaultError::Amount("3".into())));
        assert_eq!(Fault::parse("nonsense@1"), Err(FaultError::Unknown("nonsense".into())));
        for time in ["-1", "x", "inf", ""] {
            assert!(matches!(Fault::parse(&format!("silent@{time}")), Err(FaultError::Time(_))), "{time}");
        }
    }
}
