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
    /// Its stream of samples has its count in this form.
    pub(super) count: Count,
}

/// Form of the count before the samples of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Digits and a comma; a bare 0 for none: PM103 and PM103E.
    Text,
    /// 32 bits, lowest byte first: PM5020 and newer ones.
    Binary,
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
        channels: if model.starts_with("PM5020") { 2 } else { 1 },
        count: if model.starts_with("PM103") { Count::Text } else { Count::Binary },
    })
}

/// The header of a setting on a channel: `SENS:...` and `INP:...` of the second are `SENS2:...` and `INP2:...`.
pub(super) fn on_channel(header: &str, channel: u32) -> String {
    if channel == 1 {
        return header.to_string();
    }
    let (first, rest) = header.split_once(':').unwrap_or((header, ""));
    if rest.is_empty() { format!("{first}{channel}") } else { format!("{first}{channel}:{rest}") }
}

/// Samples that an answer can have: all of a queue of ten milliseconds, and one package that came meanwhile.
const SAMPLES_MAX: usize = 1100;
/// Bytes of a sample: its time in us and its value, each 32 bits.
const SAMPLE_BYTES: usize = 8;
/// No answer is longer: samples, count and line end.
pub(super) const SAMPLES_BYTES_MAX: usize = SAMPLES_MAX * SAMPLE_BYTES + 16;

/// The end of samples that begin at `from`; LF behind them belongs to them.
fn counted_end(bytes: &[u8], from: usize, count: usize) -> Option<usize> {
    if count > SAMPLES_MAX {
        // No count: all of it is handed over, to be refused.
        return Some(bytes.len());
    }
    let end = from + count * SAMPLE_BYTES;
    bytes.get(..end)?;
    Some(if bytes.get(end) == Some(&b'\n') { end + 1 } else { end })
}

/// Digits before a comma, or a bare 0; where samples begin, and how many.
fn text_count(bytes: &[u8]) -> Option<(usize, usize)> {
    if bytes.first() == Some(&b'0') {
        return Some((1, 0));
    }
    let comma = bytes.iter().take(6).position(|b| *b == b',')?;
    let count = std::str::from_utf8(&bytes[..comma]).ok()?.parse().unwrap_or(usize::MAX);
    Some((comma + 1, count))
}

fn binary_count(bytes: &[u8]) -> Option<(usize, usize)> {
    let count = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
    Some((4, usize::try_from(count).unwrap_or(usize::MAX)))
}

/// Where samples with a count in text end.
pub(super) fn text_counted_end(bytes: &[u8]) -> Option<usize> {
    match text_count(bytes) {
        Some((from, count)) => counted_end(bytes, from, count),
        None if bytes.len() >= 6 => Some(bytes.len()),
        None => None,
    }
}

/// Where samples with a binary count end.
pub(super) fn binary_counted_end(bytes: &[u8]) -> Option<usize> {
    let (from, count) = binary_count(bytes)?;
    counted_end(bytes, from, count)
}

/// The samples of an answer: times of the meter's counter, us, and readings.
pub(super) fn samples(answer: &[u8], form: Count) -> Option<Vec<(u32, Reading)>> {
    let (from, count) = match form {
        Count::Text => text_count(answer)?,
        Count::Binary => binary_count(answer)?,
    };
    let body = answer.get(from..)?;
    let exact = count.checked_mul(SAMPLE_BYTES).filter(|bytes| body.len() == *bytes || body.len() == bytes + 1)?;
    let (pairs, _) = body[..exact].as_chunks::<SAMPLE_BYTES>();
    let pair = |p: &[u8; SAMPLE_BYTES]| {
        let [a, b, c, d, e, f, g, h] = *p;
        let watts = f64::from(f32::from_le_bytes([e, f, g, h]));
        (u32::from_le_bytes([a, b, c, d]), of_watts(watts))
    };
    Some(pairs.iter().map(pair).collect())
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
    scpi::number(answer).map(of_watts)
}

/// The measured values of two channels with a comma between.
pub(super) fn two_readings(answer: &[u8]) -> Option<Vec<Reading>> {
    let (first, second) = scpi::ascii(answer)?.split_once(',')?;
    Some(vec![reading(first.as_bytes())?, reading(second.as_bytes())?])
}

fn of_watts(watts: f64) -> Reading {
    if watts.is_nan() || watts < -scpi::OVERFLOW {
        Reading::UnderRange
    } else if watts > scpi::OVERFLOW {
        Reading::Saturated
    } else {
        Reading::Power(Power::from_watts(watts))
    }
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
            let count = if text.contains("PM103") { Count::Text } else { Count::Binary };
            assert_eq!(quirks(&identity(text)), Some(Quirks { sample, jabber, channels: 1, count }), "{text}");
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
    fn samples_are_read_in_both_forms_with_and_without_a_line_end() {
        // The maker's example of one sample: 18633763 us, 0.000212 W.
        let sample = *b"\x23\x54\x1c\x01\x51\x4c\x5e\x39";
        let binary = [&[1, 0, 0, 0], &sample[..]].concat();
        let text = [&b"1,"[..], &sample].concat();
        for (form, end, whole) in [
            (Count::Binary, binary_counted_end as fn(&[u8]) -> Option<usize>, binary),
            (Count::Text, text_counted_end, text),
        ] {
            let read = samples(&whole, form).unwrap();
            assert!(
                matches!(read[..], [(18_633_763, Reading::Power(p))] if (p.watts() - 2.12e-4).abs() < 1e-6),
                "{read:?}"
            );
            assert!((0..whole.len()).all(|cut| end(&whole[..cut]).is_none()));
            assert_eq!(end(&whole), Some(whole.len()));
            let ended = [&whole[..], b"\n"].concat();
            assert_eq!((end(&ended), samples(&ended, form)), (Some(ended.len()), Some(read)));
            assert_eq!(samples(&[&whole[..], b"12"].concat(), form), None);
        }
        assert_eq!((binary_counted_end(&[0; 4]), samples(&[0; 4], Count::Binary)), (Some(4), Some(vec![])));
        assert_eq!((text_counted_end(b"0\n"), samples(b"0\n", Count::Text)), (Some(2), Some(vec![])));
        // What is no count is refused.
        assert_eq!(
            binary_counted_end(b"-113,\"Undefined header\"\n").map(|end| samples(&[b'-'; 24][..end], Count::Binary)),
            Some(None)
        );
        assert_eq!(samples(b"-113,\"U", Count::Text), None);
    }

    #[test]
    fn channels_have_headers_and_readings_of_their_own() {
        assert_eq!(on_channel("SENS:POW:UNIT", 2), "SENS2:POW:UNIT");
        assert_eq!((on_channel("INP:FILT", 1).as_str(), on_channel("CONF", 2).as_str()), ("INP:FILT", "CONF2"));
        let power = |w: f64| Reading::Power(Power::from_watts(w));
        assert_eq!(two_readings(b"5.99893e-07,6.95153e-05"), Some(vec![power(5.99893e-7), power(6.95153e-5)]));
        assert_eq!(two_readings(b"inf,-inf"), Some(vec![Reading::Saturated, Reading::UnderRange]));
        assert_eq!(two_readings(b"5.9e-07"), None);
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
            let _ = (samples(&bytes, Count::Text), samples(&bytes, Count::Binary), two_readings(&bytes));
            let _ = (text_counted_end(&bytes), binary_counted_end(&bytes));
            let _ = (sensor(&bytes), reading(&bytes), word(&bytes));
        }

        #[test]
        fn every_cut_of_a_reading_is_read_or_refused(watts in -1.0f64..1.0, cut in 0usize..14) {
            let text = format!("{watts:.6E}");
            let _ = reading(&text.as_bytes()[..cut.min(text.len())]);
        }
    }
}
