//! Packets of the ASCII protocol to values and back. Pure; knows no line, no time and no micrometres.

use std::time::Duration;

use crate::exchange::Protocol;

/// Asks every device for its serial number. Id 99 is for this alone: its answer cannot be another one's.
const IDENTITY: &[u8] = b"/0 0 99 get system.serial:1B\n";
/// The id of [`IDENTITY`].
pub(super) const IDENTITY_ID: u8 = 99;
/// Stops all axes of all devices; what they answer is not waited for.
pub(super) const STOP: &[u8] = b"/0 0 stop:9A\n";

/// The ASCII protocol over a byte stream.
pub(super) const PROTOCOL: Protocol = Protocol {
    framing: answer_end,
    // Settings of nine axes come in some packets of 80 bytes.
    reply_max: 4096,
    identity_request: IDENTITY,
    is_identity,
    identity_limit: Duration::from_millis(500),
    // The devices of a chain answer one after the other, some 3 ms each at 115200 baud.
    quiet: Duration::from_millis(20),
    // No number ends with it (BADDATA), nor does a checksum.
    spoil: b"~\n",
    requests: crate::requests::ZABER_ASCII,
};

/// A speed of 1 is 1/1.6384 microsteps a second (manual, "maxspeed").
pub(super) const SPEED: f64 = 1.6384;
/// Resolution for which the size of a microstep is given.
pub(super) const RESOLUTION: f64 = 64.0;

/// A stage whose microsteps are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stage {
    /// `peripheralid`; 0 for a stage with its controller built in.
    pub(super) peripheral: i64,
    /// `deviceid` of that one, 0 otherwise.
    pub(super) device: i64,
    /// um or degrees of a microstep at a resolution of 64.
    pub(super) step: f64,
    /// Whether it turns.
    pub(super) rotary: bool,
}

/// Stages whose microsteps are known.
pub(super) const STAGES: &[Stage] = &[
    Stage { peripheral: 43021, device: 0, step: 0.047_625, rotary: false },
    Stage { peripheral: 43211, device: 0, step: 0.124_023_437_5, rotary: false },
    Stage { peripheral: 46657, device: 0, step: 0.000_156_25, rotary: true },
    Stage { peripheral: 0, device: 50081, step: 0.124_023_437_5, rotary: false },
];

/// The product of a `deviceid`; others are told by their number.
pub(super) fn product(device_id: i64) -> String {
    match device_id {
        7601 => "T-LSQ600A".into(),
        30222 => "X-MCB2".into(),
        30342 => "X-MCC4".into(),
        50081 => "X-LHM".into(),
        _ => format!("device {device_id}"),
    }
}

/// Serial numbers of Zaber's have six digits; those from here on are of simulated devices, and are told with SIM.
const SIMULATED: u32 = 4_000_000_000;

/// A serial number as it is told.
pub(super) fn told_serial(serial: &str) -> String {
    let simulated = serial.parse::<u32>().is_ok_and(|n| n >= SIMULATED);
    if simulated { format!("SIM{serial}") } else { serial.to_string() }
}

/// Where a channel is: `device.axis`, with the size of a microstep behind an `@` where it is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) device: u8,
    pub(super) axis: u8,
    pub(super) step: Option<f64>,
}

/// Reads a channel of the bench file.
pub(super) fn place(channel: &str) -> Option<Place> {
    let (at, step) = match channel.split_once('@') {
        Some((at, step)) => (at, Some(step.trim().parse::<f64>().ok().filter(|s| s.is_finite() && *s > 0.0)?)),
        None => (channel, None),
    };
    let (device, axis) = at.split_once('.').unwrap_or((at, "1"));
    let within = |text: &str, most: u8| text.trim().parse().ok().filter(|n| (1..=most).contains(n));
    Some(Place { device: within(device, 99)?, axis: within(axis, 9)?, step })
}

/// To whom a request goes, and under which id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct To {
    pub(super) device: u8,
    pub(super) axis: u8,
    pub(super) id: u8,
    /// The device sends checksums, and an answer without one is damaged.
    pub(super) sealed: bool,
}

/// Two's complement of the sum of the bytes between a packet's first character and its checksum.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)).wrapping_neg()
}

/// A request with its checksum and line end.
pub(super) fn request(to: To, words: &str) -> Vec<u8> {
    let To { device, axis, id, .. } = to;
    let inner =
        if words.is_empty() { format!("{device} {axis} {id:02}") } else { format!("{device} {axis} {id:02} {words}") };
    format!("/{inner}:{:02X}\n", checksum(inner.as_bytes())).into_bytes()
}

/// A packet without its checksum, and whether it had one; `None` where that is wrong.
fn unsealed(line: &[u8]) -> Option<(&[u8], bool)> {
    let Some((text, [b':', high, low])) = line.split_last_chunk::<3>() else { return Some((line, false)) };
    let digit = |b: &u8| char::from(*b).to_digit(16);
    let (Some(high), Some(low)) = (digit(high), digit(low)) else { return Some((line, false)) };
    let right = u32::from(checksum(text.get(1..)?)) == high * 16 + low;
    right.then_some((text, true))
}

/// Whether more of a packet follows in another one.
fn continues(line: &[u8]) -> bool {
    unsealed(line).is_some_and(|(text, _)| text.ends_with(b"\\"))
}

/// Length of the first whole answer: alerts and old info packets before it, the reply, and its continuations.
pub(super) fn answer_end(bytes: &[u8]) -> Option<usize> {
    let mut replied = false;
    let mut end = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n")?;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        end += line.len();
        replied |= !matches!(text.first(), Some(b'!' | b'#') | None);
        if replied && !continues(text) {
            return Some(end);
        }
    }
    None
}

/// A two-letter warning flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag([u8; 2]);

impl Flag {
    fn parse(word: &str) -> Option<Flag> {
        let [first, second] = *word.as_bytes() else { return None };
        (first.is_ascii_uppercase() && second.is_ascii_uppercase()).then_some(Flag([first, second]))
    }

    /// The flag as the device writes it.
    pub(super) fn word(self) -> String {
        self.0.iter().map(|b| char::from(*b)).collect()
    }

    /// A fault: the axis cannot do as it was told.
    pub(super) fn is_fault(self) -> bool {
        self.0[0] == b'F'
    }

    /// The position is not known.
    pub(super) fn is_unreferenced(self) -> bool {
        matches!(&self.0, b"WR" | b"WH")
    }

    /// The motor has no current.
    pub(super) fn is_driver_off(self) -> bool {
        matches!(&self.0, b"FO" | b"FD" | b"FZ" | b"FH")
    }

    /// Something else than the last command had its way with the axis.
    pub(super) fn is_interruption(self) -> bool {
        matches!(&self.0, b"NI" | b"NC")
    }

    /// Zaber's meaning.
    pub(super) fn meaning(self) -> &'static str {
        match &self.0 {
            b"FF" => "critical system error",
            b"FN" => "peripheral not supported",
            b"FZ" => "axis inactive",
            b"FH" => "hardware emergency stop",
            b"FV" => "overvoltage or undervoltage",
            b"FO" | b"FD" => "driver disabled",
            b"FC" => "current inrush",
            b"FM" => "motor temperature",
            b"FQ" => "encoder error",
            b"FI" => "index error",
            b"FA" => "analog encoder synchronisation",
            b"FR" => "overdrive limit",
            b"FS" => "stalled and stopped",
            b"FB" => "stream bounds",
            b"FP" => "excessive path deviation",
            b"FE" => "limit error",
            b"FT" => "excessive twist",
            b"WL" => "unexpected limit trigger",
            b"WV" => "supply voltage out of range",
            b"WT" => "controller temperature high",
            b"WS" => "stalled with recovery",
            b"WM" => "displaced when stationary",
            b"WR" => "no reference position",
            b"WH" => "not homed",
            b"NC" => "manual control",
            b"NI" => "motion interrupted",
            _ => "see the protocol manual",
        }
    }
}

/// Zaber's meaning of a rejection.
pub(super) fn reason(word: &str) -> &'static str {
    match word {
        "AGAIN" => "cannot be done right now",
        "BADAXIS" => "no such axis",
        "BADCOMMAND" => "unknown command or setting",
        "BADDATA" => "value out of range or malformed",
        "BADMESSAGEID" => "message id out of range",
        "DEVICEONLY" => "not for a single axis",
        "DRIVERDISABLED" => "the driver is disabled",
        "FULL" => "no room",
        "INACTIVE" => "no stage on this axis",
        "LOCKSTEP" => "the axis is in a lockstep group",
        "NOACCESS" => "access level too low",
        "NOTSUPPORTED" => "not supported by this device",
        "PARKED" => "the axis is parked",
        "REMOTE" => "under other control",
        "STATUSBUSY" => "not while the axis moves",
        _ => "see the protocol manual",
    }
}

/// What a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The request was rejected; the data are the reason.
    pub(super) rejected: bool,
    /// An axis addressed moves.
    pub(super) busy: bool,
    /// The most important flag.
    pub(super) flag: Option<Flag>,
    pub(super) data: String,
}

/// Reads an answer; `None` unless it is whole, undamaged, and the one to this request.
pub(super) fn reply(answer: &[u8], to: To) -> Option<Reply> {
    let mut packets = answer.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = packets.find(|line| line.starts_with(b"@"))?;
    let (text, sealed) = text(first)?;
    let mut words = text.strip_prefix('@')?.split(' ');
    let head: [&str; 6] = [words.next()?, words.next()?, words.next()?, words.next()?, words.next()?, words.next()?];
    let [device, axis, id, flag, status, warning] = head;
    let from = format!("{:02} {} {:02}", to.device, to.axis, to.id);
    if format!("{device} {axis} {id}") != from || (to.sealed && !sealed) {
        return None;
    }
    let mut data = words.collect::<Vec<_>>().join(" ");
    let mut number = 0;
    while let Some(part) = data.strip_suffix('\\') {
        number += 1;
        let (next, _) = self::text(packets.next()?)?;
        let rest = next.strip_prefix(&format!("#{from} cont {number} "))?;
        data = format!("{}{}{rest}", part.trim_end(), if part.trim_end().is_empty() { "" } else { " " });
    }
    Some(Reply {
        rejected: either(flag, "OK", "RJ")?,
        busy: either(status, "IDLE", "BUSY")?,
        flag: if warning == "--" { None } else { Some(Flag::parse(warning)?) },
        data: Some(data).filter(|d| !d.is_empty())?,
    })
}

/// A packet's printable text, and whether it had a checksum.
fn text(packet: &[u8]) -> Option<(String, bool)> {
    let (bytes, sealed) = unsealed(packet)?;
    let plain = bytes.iter().all(|b| (0x20..0x7f).contains(b));
    plain.then(|| (bytes.iter().map(|b| char::from(*b)).collect(), sealed))
}

/// False for the first word, true for the second, nothing for any other.
fn either(word: &str, no: &str, yes: &str) -> Option<bool> {
    if word == yes { Some(true) } else { (word == no).then_some(false) }
}

/// Whether an answer is one to [`IDENTITY`]: from any device, with its serial number.
fn is_identity(answer: &[u8]) -> bool {
    let device = answer.iter().position(|b| *b == b'@').and_then(|at| {
        let [high, low] = *answer.get(at + 1..at + 3)?.first_chunk::<2>()?;
        let digit = |b: u8| b.is_ascii_digit().then(|| b - b'0');
        Some(digit(high)? * 10 + digit(low)?)
    });
    let Some(device) = device else { return false };
    let to = To { device, axis: 0, id: IDENTITY_ID, sealed: false };
    reply(answer, to).is_some_and(|r| !r.rejected && number(&r.data).is_some())
}

/// A finite number.
pub(super) fn number(data: &str) -> Option<f64> {
    data.parse().ok().filter(|n: &f64| n.is_finite())
}

/// A whole number.
pub(super) fn integer(data: &str) -> Option<i64> {
    data.parse().ok()
}

/// One value an axis, nothing for an axis without it.
pub(super) fn values(data: &str) -> Option<Vec<Option<f64>>> {
    data.split(' ').map(|word| if word == "NA" { Some(None) } else { number(word).map(Some) }).collect()
}

/// The flags of an answer to `warnings`: their count and then they.
pub(super) fn flags(data: &str) -> Option<Vec<Flag>> {
    let mut words = data.split(' ');
    let count: usize = words.next()?.parse().ok()?;
    let flags: Vec<Flag> = words.map(Flag::parse).collect::<Option<_>>()?;
    (flags.len() == count).then_some(flags)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TO: To = To { device: 1, axis: 1, id: 17, sealed: false };

    fn data(answer: &[u8]) -> Option<String> {
        reply(answer, TO).map(|r| r.data)
    }

    /// As zaber-motion 10.2.0 writes them with checksums on.
    #[test]
    fn requests_are_written_as_zabers_client_does() {
        let to = |device, axis, id| To { device, axis, id, sealed: false };
        assert_eq!(request(to(1, 1, 4), "home"), b"/1 1 04 home:31\n");
        assert_eq!(request(to(1, 1, 1), "move abs 10000"), b"/1 1 01 move abs 10000:BF\n");
        assert_eq!(request(to(0, 0, 0), ""), b"/0 0 00:00\n");
        assert_eq!(request(to(0, 0, IDENTITY_ID), "get system.serial"), IDENTITY);
        assert_eq!(checksum(b"0 0 stop"), 0x9A);
    }

    /// Bytes of a conversation with zaber-motion 10.2.0 and of the examples of zproto.
    #[test]
    fn replies_are_read_with_and_without_checksum() {
        let read = reply(b"@01 1 17 OK IDLE -- 10000", TO).unwrap();
        assert_eq!(read, Reply { rejected: false, busy: false, flag: None, data: "10000".into() });
        let to = To { id: 4, sealed: true, ..TO };
        let read = reply(b"@01 1 04 OK BUSY -- 0:E3", to).unwrap();
        assert!(read.busy && !read.rejected);
        assert_eq!(reply(b"@01 1 04 OK BUSY -- 0:E4", to), None);
        assert_eq!(reply(b"@01 1 04 OK BUSY -- 0", to), None);
        let read = reply(b"@01 1 17 RJ IDLE WR BADDATA", TO).unwrap();
        assert!(read.rejected && read.flag.is_some_and(Flag::is_unreferenced));
        // Another id, another axis, another device, no id: other answers.
        for other in ["@01 1 18 OK IDLE -- 0", "@01 2 17 OK IDLE -- 0", "@02 1 17 OK IDLE -- 0", "@01 1 OK IDLE -- 0"] {
            assert_eq!(data(other.as_bytes()), None, "{other}");
        }
        assert_eq!(data(b"!01 1 IDLE --\r\n@01 1 17 OK IDLE -- 5"), Some("5".into()));
    }

    #[test]
    fn continued_reply_is_one_answer() {
        let whole = b"@01 1 17 OK IDLE -- 1 2 \\\r\n#01 1 17 cont 1 3 \\\r\n#01 1 17 cont 2 4\r\n";
        for end in 0..whole.len() {
            assert_eq!(answer_end(&whole[..end]), None, "{end}");
        }
        assert_eq!(answer_end(whole), Some(whole.len()));
        assert_eq!(data(whole), Some("1 2 3 4".into()));
        assert_eq!(data(b"@01 1 17 OK IDLE -- 1 \\\r\n#01 1 17 cont 2 3"), None);
        assert_eq!(data(b"@01 1 17 OK IDLE -- 1 \\"), None);
    }

    #[test]
    fn answers_are_cut_at_their_ends_and_alerts_go_with_the_next_one() {
        let check = |bytes: &[u8], end| assert_eq!(answer_end(bytes), end, "{}", bytes.escape_ascii());
        check(b"@01 0 OK IDLE -- 0\r\n", Some(20));
        check(b"@01 0 OK IDLE -- 0\r\n@02 0 OK IDLE -- 0\r\n", Some(20));
        check(b"!01 1 IDLE --\r\n", None);
        check(b"!01 1 IDLE --\r\n@01 0 OK IDLE -- 0\r\n", Some(35));
        check(b"+0,\"No error\"\n", Some(14));
        check(b"@01 0 OK IDLE -- 0", None);
        check(b"", None);
    }

    #[test]
    fn identities_have_their_own_id_and_a_number() {
        assert!(is_identity(b"@01 0 99 OK IDLE WR 12345"));
        assert!(is_identity(b"@17 0 99 OK BUSY -- 4000000001"));
        assert!(is_identity(b"!01 1 IDLE --\r\n@02 0 99 OK IDLE WR 12345"));
        for other in ["@01 0 98 OK IDLE WR 12345", "@01 0 99 RJ IDLE -- BADCOMMAND", "@01 0 99 OK IDLE WR", "", "@"] {
            assert!(!is_identity(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn channels_name_device_axis_and_step() {
        let check = |text, device, axis, step| assert_eq!(place(text), Some(Place { device, axis, step }), "{text}");
        check("1", 1, 1, None);
        check("2.3", 2, 3, None);
        check("1.1@0.047625", 1, 1, Some(0.047_625));
        check("99@1e-4", 99, 1, Some(1e-4));
        for bad in ["", "0", "100", "1.0", "1.10", "x", "1.1@", "1.1@-1", "1.1@nan", "1.1@0", "1.1.1"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn flags_and_values_are_read_only_when_complete() {
        let words = |data| flags(data).map(|f| f.iter().map(|f| f.word()).collect::<Vec<_>>().join(" "));
        assert_eq!(words("00"), Some(String::new()));
        assert_eq!(words("02 FS WR"), Some("FS WR".into()));
        for bad in ["", "01", "00 WR", "02 WR", "01 wr", "01 WRX", "x"] {
            assert_eq!(words(bad), None, "{bad}");
        }
        assert_eq!(values("1 NA -3"), Some(vec![Some(1.0), None, Some(-3.0)]));
        assert_eq!(values("1 2."), Some(vec![Some(1.0), Some(2.0)]));
        assert_eq!(values("1  2"), None);
        assert_eq!(number("inf"), None);
    }

    #[test]
    fn every_cut_of_a_sealed_reply_is_refused() {
        let whole = b"@01 1 17 OK IDLE -- 10000:5F";
        let to = To { sealed: true, ..TO };
        let sum = checksum(b"01 1 17 OK IDLE -- 10000");
        let whole = [&whole[..whole.len() - 2], format!("{sum:02X}").as_bytes()].concat();
        assert_eq!(reply(&whole, to).map(|r| r.data), Some("10000".into()));
        for end in 0..whole.len() {
            assert_eq!(reply(&whole[..end], to), None, "{end}");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // The letters of the checksum may be small.
            let same = bytes.eq_ignore_ascii_case(&whole) && bytes[..25] == whole[..25];
            assert!(same || reply(&bytes, to).is_none(), "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (answer_end(&bytes), reply(&bytes, TO), is_identity(&bytes));
            let text: String = bytes.iter().map(|b| char::from(*b)).collect();
            let _ = (place(&text), flags(&text), values(&text));
        }

        #[test]
        fn a_reply_split_anywhere_and_glued_to_others_is_cut_alike(at in 0usize..40) {
            let both = b"@01 1 17 OK IDLE -- 5\r\n@01 1 18 OK IDLE -- 6\r\n";
            let (first, _) = both.split_at(at);
            prop_assert_eq!(answer_end(first), (at >= 23).then_some(23));
        }
    }
}
