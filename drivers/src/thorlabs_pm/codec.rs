//! Texts of Thorlabs meters to values and back. Pure; knows no line and no time.

use std::time::Duration;

use units::{Power, Reading};

use crate::identity::Identity;
use crate::scpi;

/// What differs between models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quirks {
    /// One unit of averaging.
    pub(super) sample: Duration,
    /// It can send results unasked over a serial line.
    pub(super) jabber: bool,
    /// Channels.
    pub(super) channels: u32,
}

/// The older models measure at 300 Hz (pylablib, qcodes: a count of 300 takes a second).
const OLD_SAMPLE: Duration = Duration::from_nanos(3_333_333);
/// The newer models give at most 1000 results a second, divided by the averaging count.
const NEW_SAMPLE: Duration = Duration::from_millis(1);
/// Models of the newer kind, by the beginning of their name; PM100D3 is one although it begins like an old one.
const NEW_MODELS: &[&str] = &["PM101", "PM102", "PM103", "PM5020", "PM100D3"];

/// The quirks of a Thorlabs power meter; `None` for anything else.
pub(super) fn quirks(identity: &Identity) -> Option<Quirks> {
    let model = identity.model.to_uppercase();
    if !identity.maker.to_uppercase().starts_with("THORLABS") || !model.starts_with("PM") {
        return None;
    }
    let new = NEW_MODELS.iter().any(|m| model.starts_with(m));
    Some(Quirks {
        sample: if new { NEW_SAMPLE } else { OLD_SAMPLE },
        jabber: model.starts_with("PM101") || model.starts_with("PM103"),
        channels: 1,
    })
}

/// What a meter says of its sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sensor {
    /// Name, or the meter's words for none.
    pub(super) name: String,
    /// It measures power.
    pub(super) power: bool,
}

/// Flag of the sensor text: measures power.
const FLAG_POWER: i64 = 1;

/// Reads the answer to `SYST:SENS:IDN?`: six fields, texts quoted on newer models and bare on older ones.
pub(super) fn sensor(answer: &[u8]) -> Option<Sensor> {
    let text = scpi::ascii(answer)?;
    let fields: Vec<&str> = text.split(',').map(scpi::unquoted).collect();
    let name = (*fields.first()?).to_string();
    if name.is_empty() || name.to_lowercase().contains("no sensor") {
        return Some(Sensor { name: "no sensor".into(), power: false });
    }
    let flags: i64 = fields.get(5)?.trim().parse().ok()?;
    Some(Sensor { name, power: flags & FLAG_POWER != 0 })
}

/// Reads a measured value in watts. Infinities and numbers beyond all sense are the meter's word for out of range;
/// not-a-number is what is left where there is no light to speak of, and is told as under range.
pub(super) fn reading(answer: &[u8]) -> Option<Reading> {
    let watts = scpi::number(answer)?;
    Some(if watts.is_nan() || watts < -scpi::OVERFLOW {
        Reading::UnderRange
    } else if watts > scpi::OVERFLOW {
        Reading::Saturated
    } else {
        Reading::Power(Power::from_watts(watts))
    })
}

/// A power as a command's argument.
pub(super) fn watts(power: Power) -> String {
    format!("{:.6E}", power.watts())
}

/// A bare word, such as `W` or `POW`, in capitals.
pub(super) fn word(answer: &[u8]) -> Option<String> {
    let text = scpi::unquoted(scpi::ascii(answer)?).to_uppercase();
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (!text.is_empty() && plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(text: &str) -> Identity {
        Identity::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn quirks_follow_the_model() {
        let check = |text: &str, sample: Duration, jabber: bool| {
            assert_eq!(quirks(&identity(text)), Some(Quirks { sample, jabber, channels: 1 }), "{text}");
        };
        check("Thorlabs,PM101,M00000001,1.2.3", NEW_SAMPLE, true);
        check("Thorlabs,PM103,T00000002,0.1.0.1", NEW_SAMPLE, true);
        check("THORLABS,PM100D,P0000001,2.4.0", OLD_SAMPLE, false);
        check("Thorlabs,PM100D3,P0000001,1.0", NEW_SAMPLE, false);
        check("Thorlabs,PM160,1,2", OLD_SAMPLE, false);
        check("Thorlabs,PM400,1,2", OLD_SAMPLE, false);
        assert_eq!(quirks(&identity("Thorlabs,TLX1,1,2")), None);
        assert_eq!(quirks(&identity("Keysight Technologies,PM1,1,2")), None);
    }

    #[test]
    fn sensor_texts_of_both_kinds_are_read() {
        let s120c = Some(Sensor { name: "S120C".into(), power: true });
        assert_eq!(sensor(br#""S120C","16060232","2-JUN-2021",1,18,33"#), s120c);
        assert_eq!(sensor(b"S120C,16060232,2-JUN-2021,1,18,33"), s120c);
        let none = Some(Sensor { name: "no sensor".into(), power: false });
        assert_eq!(sensor(b"no sensor,none,none,0,0,0"), none);
        assert_eq!(sensor(br#""No Sensor","","",0,0,0"#), none);
        assert!(!sensor(b"ES111C,1,2-JUN-2021,3,1,2").unwrap().power);
        assert_eq!(sensor(b"1.0E-3"), None);
    }

    #[test]
    fn readings_are_powers_or_out_of_range_never_bare_numbers() {
        let power = |w: f64| Some(Reading::Power(Power::from_watts(w)));
        assert_eq!(reading(b"8.123456E-03"), power(8.123456e-3));
        assert_eq!(reading(b"-1.2e-12"), power(-1.2e-12));
        assert_eq!(reading(b"0.0"), power(0.0));
        for over in ["inf", "+INF", "Infinity", "9.9E37", "9.90000000E+37"] {
            assert_eq!(reading(over.as_bytes()), Some(Reading::Saturated), "{over}");
        }
        for under in ["-inf", "-9.9E37", "nan", "NaN"] {
            assert_eq!(reading(under.as_bytes()), Some(Reading::UnderRange), "{under}");
        }
        assert_eq!(reading(b"W"), None);
        assert_eq!(reading(br#"0,"No error""#), None);
    }

    #[test]
    fn words_and_powers() {
        assert_eq!(word(b"w"), Some("W".into()));
        assert_eq!(word(b"4Q_VOLT"), Some("4Q_VOLT".into()));
        assert_eq!(word(b"1.5"), None);
        assert_eq!(watts(Power::from_watts(1.25e-3)), "1.250000E-3");
        assert_eq!(scpi::finite(watts(Power::from_watts(1.25e-3)).as_bytes()), Some(1.25e-3));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (sensor(&bytes), reading(&bytes), word(&bytes));
        }

        #[test]
        fn every_cut_of_a_reading_is_read_or_refused(watts in -1.0f64..1.0, cut in 0usize..14) {
            let text = format!("{watts:.6E}");
            let _ = reading(&text.as_bytes()[..cut.min(text.len())]);
        }
    }
}
