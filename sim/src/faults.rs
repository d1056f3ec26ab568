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
    /// Moves of an axis end short, but it says it arrived and its encoder agrees with the target until it is asked again.
    ShortMove,
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
    /// One line for people.
    pub description: &'static str,
    /// Why the instruments of a bench with a tap cannot tell it from a bad part, where they cannot.
    pub cannot_be_told: Option<&'static str>,
}

const fn info(name: &'static str, kind: FaultKind, target: TargetKind, description: &'static str) -> FaultInfo {
    FaultInfo { name, kind, target, description, cannot_be_told: None }
}

const FAULTS: &[FaultInfo] = &[
    info("silent", FaultKind::Silent, TargetKind::Instrument, "the device stops answering"),
    info("drop-byte", FaultKind::DropByte, TargetKind::Instrument, "one byte of one reply is lost"),
    info("flip-byte", FaultKind::FlipByte, TargetKind::Instrument, "one bit of one reply is flipped"),
    info("duplicate-reply", FaultKind::DuplicateReply, TargetKind::Instrument, "one reply comes twice"),
    info("late-reply", FaultKind::LateReply, TargetKind::Instrument, "one reply comes two seconds late"),
    info("split-reply", FaultKind::SplitReply, TargetKind::Instrument, "one reply comes in three pieces, 20 ms apart"),
    info("extra-bytes", FaultKind::ExtraBytes, TargetKind::Instrument, "bytes nobody asked for come before one reply"),
    info("half-reply", FaultKind::HalfReply, TargetKind::Instrument, "replies stop half-way"),
    info(
        "error-reply",
        FaultKind::ErrorReply,
        TargetKind::Instrument,
        "the device refuses every command by its own error code",
    ),
    info("restart", FaultKind::Restart, TargetKind::Instrument, "the device restarts: power-on state, references lost"),
    info("port-gone", FaultKind::PortGone, TargetKind::Instrument, "the port disappears"),
    info("interlock-open", FaultKind::InterlockOpen, TargetKind::Source, "the interlock of the source opens"),
    info("source-off", FaultKind::SourceOff, TargetKind::Source, "the source switches itself off"),
    info("meter-frozen", FaultKind::MeterFrozen, TargetKind::Meter, "the meter repeats its last reading"),
    info("meter-saturated", FaultKind::MeterSaturated, TargetKind::Meter, "the meter says it is saturated"),
    info("axis-stuck", FaultKind::AxisStuck, TargetKind::Axis, "the axis does not move, whatever it is told"),
    info("short-move", FaultKind::ShortMove, TargetKind::Axis, "moves end 20 % short, but the axis says it arrived"),
];

/// All kinds of faults.
pub fn faults() -> &'static [FaultInfo] {
    FAULTS
}

/// One fault to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
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
    /// The time is no number of seconds from 0.
    #[error("\"{0}\" is no time in seconds")]
    Time(String),
}

impl Fault {
    /// Reads `NAME[:TARGET][@SECONDS]`.
    ///
    /// # Errors
    /// [`FaultError`].
    pub fn parse(word: &str) -> Result<Fault, FaultError> {
        let (what, at) = word.split_once('@').map_or((word, None), |(w, a)| (w, Some(a)));
        let (name, target) = what.split_once(':').map_or((what, None), |(n, t)| (n, Some(t.to_string())));
        let info = FAULTS.iter().find(|f| f.name == name).ok_or_else(|| FaultError::Unknown(name.to_string()))?;
        let at_s = match at {
            None => 0.0,
            Some(text) => {
                let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0);
                seconds.ok_or_else(|| FaultError::Time(text.to_string()))?
            }
        };
        Ok(Fault { kind: info.kind, target, at_s })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FAULTS.iter().find(|i| i.kind == self.kind).map_or("fault", |i| i.name);
        write!(f, "{name}")?;
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
        assert_eq!(Fault::parse("silent"), Ok(Fault { kind: FaultKind::Silent, target: None, at_s: 0.0 }));
        let fault = Fault::parse("axis-stuck:y@2.5").unwrap();
        assert_eq!(fault, Fault { kind: FaultKind::AxisStuck, target: Some("y".into()), at_s: 2.5 });
        assert_eq!(fault.to_string(), "axis-stuck:y@2.5");
        assert_eq!(Fault::parse("nonsense@1"), Err(FaultError::Unknown("nonsense".into())));
        for time in ["-1", "x", "inf", ""] {
            assert!(matches!(Fault::parse(&format!("silent@{time}")), Err(FaultError::Time(_))), "{time}");
        }
    }
}
