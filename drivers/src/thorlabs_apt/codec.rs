//! APT messages to bytes and back. Pure; knows counts and words, no micrometres.

use std::time::Duration;

use crate::exchange::Protocol;
use crate::identity::Identity;

/// Length of a header, which is all of a message without data.
const HEADER: usize = 6;
/// No message has more data (protocol document: "currently no datapacket exceeds 255 bytes").
const DATA_MAX: usize = 255;
/// The controlling computer.
const HOST: u8 = 0x01;
/// In the destination: data follow.
const LONG: u8 = 0x80;
/// A unit on its own.
pub(super) const UNIT: u8 = 0x50;
/// The controller of a rack.
pub(super) const RACK: u8 = 0x11;
/// The first bay of a rack; others follow.
pub(super) const BAY: u8 = 0x21;

pub(super) const GET_INFO: u16 = 0x0006;
pub(super) const STOP_UPDATES: u16 = 0x0012;
pub(super) const REQ_BAY_USED: u16 = 0x0060;
pub(super) const RICH_RESPONSE: u16 = 0x0081;
pub(super) const SET_ENABLED: u16 = 0x0210;
pub(super) const REQ_ENABLED: u16 = 0x0211;
pub(super) const SET_VELOCITY: u16 = 0x0413;
pub(super) const REQ_VELOCITY: u16 = 0x0414;
pub(super) const SET_LIMITS: u16 = 0x0423;
pub(super) const REQ_LIMITS: u16 = 0x0424;
pub(super) const MOVE_HOME: u16 = 0x0443;
pub(super) const MOVE_ABSOLUTE: u16 = 0x0453;
pub(super) const MOVE_STOP: u16 = 0x0465;
pub(super) const SUSPEND_END_OF_MOVE: u16 = 0x046B;
pub(super) const REQ_STATUS: u16 = 0x0480;
pub(super) const REQ_DC_STATUS: u16 = 0x0490;
pub(super) const SET_POSITION_MODE: u16 = 0x0640;
pub(super) const REQ_POSITION_MODE: u16 = 0x0641;
pub(super) const SET_OUTPUT_POSITION: u16 = 0x0646;
pub(super) const REQ_MAX_TRAVEL: u16 = 0x0650;
pub(super) const SET_ZERO: u16 = 0x0658;
pub(super) const REQ_PIEZO_STATUS: u16 = 0x0660;
pub(super) const SET_NT_MODE: u16 = 0x0603;
pub(super) const REQ_NT_MODE: u16 = 0x0604;
pub(super) const SET_NT_THRESHOLD: u16 = 0x0606;
pub(super) const SET_NT_HOME: u16 = 0x0609;
pub(super) const MOVE_NT_HOME: u16 = 0x0612;
pub(super) const REQ_NT_CENTRE: u16 = 0x0613;
pub(super) const SET_NT_CIRCLE: u16 = 0x0618;
pub(super) const SET_NT_PHASE: u16 = 0x0626;
pub(super) const SET_NT_RANGE: u16 = 0x0630;
pub(super) const SET_NT_GAIN: u16 = 0x0633;
pub(super) const REQ_NT_READING: u16 = 0x0639;

/// Moving, jogging (either way), homing, and "active" of newer firmware (pylablib).
pub(super) const MOVING: u32 = 0x2000_02F0;
pub(super) const HOMING: u32 = 0x200;
pub(super) const HOMED: u32 = 0x400;
pub(super) const SETTLED: u32 = 0x2000;
pub(super) const ENABLED: u32 = 0x8000_0000;
/// Piezo status: zeroed, zeroing, strain gauge.
pub(super) const ZEROED: u32 = 0x10;
pub(super) const ZEROING: u32 = 0x20;
pub(super) const GAUGE: u32 = 0x100;

/// Bits that end a move early or say that something is wrong, worst first.
const FAULTS: &[(u32, &str)] = &[
    (0x0001_0000, "interlock open"),
    (0x0002_0000, "over temperature"),
    (0x0004_0000, "supply voltage fault"),
    (0x0008_0000, "commutation error"),
    (0x0200_0000, "encoder fault"),
    (0x0400_0000, "overcurrent"),
    (0x0100_0000, "motor current limit reached"),
    (0x0000_4000, "position error too large"),
    (0x0000_8000, "instruction error"),
    (0x0000_0001, "hardware limit switch of falling counts"),
    (0x0000_0002, "hardware limit switch of rising counts"),
    (0x0000_0004, "lower soft limit"),
    (0x0000_0008, "upper soft limit"),
];

/// The vendor's words for the worst bit of a status that ends moves; `None` when there is none.
pub(super) fn fault(bits: u32) -> Option<(i64, &'static str)> {
    FAULTS.iter().find(|(bit, _)| bits & bit != 0).map(|(bit, words)| (i64::from(*bit), *words))
}

/// The protocol as the line must know it, for a unit on its own or a rack.
pub(super) fn protocol(rack: bool) -> Protocol {
    Protocol {
        framing,
        reply_max: HEADER + DATA_MAX,
        identity_request: if rack { &[5, 0, 0, 0, RACK, 1] } else { &[5, 0, 0, 0, UNIT, 1] },
        is_identity: |answer| identity(answer).is_some(),
        // FTDI's latency timer is 16 ms, 90 bytes take 8 ms at 115200 baud; controllers answer within some 10 ms.
        identity_limit: Duration::from_millis(500),
        // More than the latency timer.
        quiet: Duration::from_millis(25),
        // No message ends another one early: the line sends the rest of a message that was cut off.
        spoil: b"",
        requests: crate::requests::THORLABS_APT,
    }
}

/// Length of the first message; one for a byte that cannot begin a message, so that the line finds back into step.
pub(super) fn framing(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    // Some firmware leaves source or destination of unasked messages at 0 (thorlabs-apt-device).
    if !matches!(header[4] & !LONG, 0 | HOST) || !matches!(header[5], 0 | UNIT | RACK | BAY..=0x2A) {
        return Some(1);
    }
    if header[4] & LONG == 0 {
        return Some(HEADER);
    }
    let data = usize::from(u16::from_le_bytes([header[2], header[3]]));
    if data > DATA_MAX {
        return Some(1);
    }
    (bytes.len() >= HEADER + data).then_some(HEADER + data)
}

/// Whether a whole message is one that is sent unasked: homed, move completed, move stopped.
pub(super) fn is_aside(message: &[u8]) -> bool {
    message.len() >= HEADER && matches!(u16::from_le_bytes([message[0], message[1]]), 0x0444 | 0x0464 | 0x0466)
}

/// A message without data.
pub(super) fn short(id: u16, first: u8, second: u8, dest: u8) -> Vec<u8> {
    let id = id.to_le_bytes();
    vec![id[0], id[1], first, second, dest, HOST]
}

/// A message with data for channel 1.
pub(super) fn long(id: u16, values: &[&[u8]], dest: u8) -> Vec<u8> {
    let data = [&[&[1, 0][..]], values].concat().concat();
    bare(id, &data, dest)
}

/// A message with data as they are.
pub(super) fn bare(id: u16, data: &[u8], dest: u8) -> Vec<u8> {
    let id = id.to_le_bytes();
    // No message of this driver has more than some tens of bytes.
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![id[0], id[1], length, 0, dest | LONG, HOST];
    bytes.extend_from_slice(data);
    bytes
}

/// An answer to a request: what was asked for, or a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// What was asked for.
    Value(T),
    /// The device's own code and words.
    Refused(i64, String),
}

/// One whole message with this identifier from this address, or a refusal, which also comes in its place.
pub(super) fn answer<T>(
    bytes: &[u8],
    id: u16,
    source: u8,
    read: impl Fn(Fields<'_>) -> Option<T>,
) -> Option<Answer<T>> {
    if framing(bytes) != Some(bytes.len()) || bytes.len() < HEADER {
        return None;
    }
    let fields = Fields(bytes);
    match fields.word_at(0)? {
        found if found == id && bytes[5] == source => read(fields).map(Answer::Value),
        RICH_RESPONSE => {
            let code = i64::from(fields.word(2)?);
            let words: String = bytes[HEADER + 4..].iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
            Some(Answer::Refused(code, words.trim().to_string()))
        }
        _ => None,
    }
}

/// The fields of a message; data are counted from the header's end, little-endian.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// First and second parameter of a message without data.
    pub(super) fn params(self) -> Option<(u8, u8)> {
        (self.0.len() == HEADER).then(|| (self.0[2], self.0[3]))
    }

    /// Bytes of data.
    pub(super) fn size(self) -> usize {
        self.0.len() - HEADER
    }

    /// The data.
    pub(super) fn data(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at + N)?.try_into().ok()
    }

    fn word_at(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn word(self, at: usize) -> Option<u16> {
        self.word_at(HEADER + at)
    }

    pub(super) fn number(self, at: usize) -> Option<i32> {
        self.array(HEADER + at).map(i32::from_le_bytes)
    }

    pub(super) fn bits(self, at: usize) -> Option<u32> {
        self.array(HEADER + at).map(u32::from_le_bytes)
    }

    pub(super) fn float(self, at: usize) -> Option<f32> {
        self.array(HEADER + at).map(f32::from_le_bytes)
    }

    /// Whether these are the data of channel 1, this many bytes long.
    pub(super) fn are(self, size: usize) -> Option<()> {
        (self.size() == size && self.word(0)? == 1).then_some(())
    }
}

/// Who answers, and the number of its stage where it has one.
pub(super) fn identity(bytes: &[u8]) -> Option<(Identity, u16)> {
    let read = |f: Fields<'_>| {
        if f.size() != 84 {
            return None;
        }
        let text: Vec<u8> = bytes[HEADER + 4..HEADER + 12].iter().copied().take_while(|b| *b != 0).collect();
        let model = String::from_utf8(text).ok()?.trim().to_string();
        if model.is_empty() || !model.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let firmware = format!("{}.{}.{}", bytes[HEADER + 16], bytes[HEADER + 15], bytes[HEADER + 14]);
        let serial = f.bits(0)?.to_string();
        Some((Identity { maker: "Thorlabs".into(), model, serial, firmware }, f.word(76)?))
    };
    let source = *bytes.get(5)?;
    match answer(bytes, GET_INFO, source, read)? {
        Answer::Value(found) => Some(found),
        Answer::Refused(..) => None,
    }
}

/// Position and bits of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) counts: i32,
    pub(super) bits: u32,
}

/// A servo's or a stepper's status record.
pub(super) fn status(f: Fields<'_>) -> Option<Status> {
    let bits_at = match f.size() {
        14 => 10,
        // The longer record of some steppers, as pylablib reads it.
        20 => 16,
        _ => return None,
    };
    (f.word(0)? == 1).then_some(())?;
    Some(Status { counts: f.number(2)?, bits: f.bits(bits_at)? })
}

/// A piezo's status record; its position counts to 32767.
pub(super) fn piezo_status(f: Fields<'_>) -> Option<Status> {
    f.are(10)?;
    Some(Status { counts: i32::from(f.word(4)?), bits: f.bits(6)? })
}
