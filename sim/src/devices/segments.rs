//! The Ethernet port of a Thorlabs power meter: its bytes in numbered segments. From the maker's raw-socket sample.

use super::Device;

/// Mark of the first segment, which tells the length of the whole message, and of those that follow, which tell their own.
const START: u8 = 0xca;
const CONTINUED: u8 = 0xcb;
/// Largest segment on the wire, bytes, and its head.
const SEGMENT: usize = 1440;
const HEAD: usize = 4;
/// Longest message the meter takes.
const MESSAGE_MAX: u16 = 0x7fff;

/// A device behind such a port.
pub(super) struct Segmented<D> {
    device: D,
    head: Vec<u8>,
    /// Bytes of the present segment and of the message that are still to come, and the number of the next segment.
    segment_left: u16,
    message_left: u16,
    expected: u8,
}

impl<D: Device> Segmented<D> {
    pub(super) fn new(device: D) -> Segmented<D> {
        Segmented { device, head: Vec::new(), segment_left: 0, message_left: 0, expected: 0 }
    }

    fn forget(&mut self) {
        self.head.clear();
        (self.segment_left, self.message_left, self.expected) = (0, 0, 0);
    }

    /// A head is whole. One that does not fit what came before is dropped, and the message with it.
    fn headed(&mut self, mark: u8, number: u8, length: u16) {
        const BODY: u16 = (SEGMENT - HEAD) as u16;
        let first = mark == START && number == 0 && length <= MESSAGE_MAX;
        let next = mark == CONTINUED && number == self.expected && self.message_left > 0;
        if first {
            (self.message_left, self.segment_left, self.expected) = (length, length.min(BODY), 1);
        } else if next && (1..=self.message_left.min(BODY)).contains(&length) {
            self.segment_left = length;
            self.expected = self.expected.wrapping_add(1);
        } else {
            self.forget();
        }
    }

    /// Takes a byte off the wire; gives the one that the device gets.
    fn unwrap_byte(&mut self, byte: u8) -> Option<u8> {
        if self.segment_left > 0 {
            self.segment_left -= 1;
            self.message_left -= 1;
            return Some(byte);
        }
        let wanted = byte == START || (byte == CONTINUED && self.message_left > 0);
        if self.head.is_empty() && !wanted {
            return None;
        }
        self.head.push(byte);
        if let [mark, number, low, high] = self.head[..] {
            self.head.clear();
            self.headed(mark, number, u16::from_le_bytes([low, high]));
        }
        None
    }
}

/// A reply as it goes over the wire.
fn wrapped(reply: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for message in reply.chunks(usize::from(MESSAGE_MAX)) {
        let mut mark = START;
        let mut length = message.len();
        for (number, body) in (0u8..).zip(message.chunks(SEGMENT - HEAD)) {
            if number > 0 {
                (mark, length) = (CONTINUED, body.len());
            }
            let length = u16::try_from(length).unwrap_or(MESSAGE_MAX).to_le_bytes();
            wire.extend([mark, number, length[0], length[1]]);
            wire.extend_from_slice(body);
        }
    }
    wire
}

impl<D: Device> Device for Segmented<D> {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        let inner: Vec<u8> = bytes.iter().filter_map(|b| self.unwrap_byte(*b)).collect();
        if !inner.is_empty() {
            self.device.receive(now_s, &inner);
        }
    }

    fn due(&self) -> Option<f64> {
        self.device.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.device.reply(now_s).map(|reply| wrapped(&reply))
    }

    fn restart(&mut self, now_s: f64) {
        self.forget();
        self.device.restart(now_s);
    }

    fn refuse(&mut self, refuse: bool) {
        self.device.refuse(refuse);
    }

    fn hang_up(&mut self) {
        self.forget();
        self.device.hang_up();
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogues::with;
    use super::*;

    /// As `TL_TCP_query(s, "*IDN?\n")` of the maker's sample puts it on the wire.
    #[test]
    fn a_query_and_its_answer_are_segments() {
        with("thorlabs-pm-lan", &[], |d| {
            let answer = d.raw(b"\xca\x00\x06\x00*IDN?\n");
            assert_eq!(answer, b"\xca\x00\x22\x00Thorlabs,PM103E,SIM00000101,1.2.0\n");
            // Without a head nothing is heard, and an error is silent as ever.
            assert_eq!(d.raw(b"*IDN?\n"), b"");
            assert_eq!(d.raw(b"\xca\x00\x03\x00NO\n"), b"");
            assert_eq!(d.raw(b"\xca\x00\x0a\x00SYST:ERR?\n"), b"\xca\x00\x18\x00-113,\"Undefined header\"\n");
        });
    }

    #[test]
    fn long_messages_are_cut_and_put_together() {
        let reply: Vec<u8> = (0..3000u16).map(|k| k.to_le_bytes()[0]).collect();
        let wire = wrapped(&reply);
        assert_eq!(wire[..4], [0xca, 0, 0xb8, 0x0b]);
        assert_eq!(wire[1440..1444], [0xcb, 1, 0x9c, 0x05]);
        assert_eq!(wire[2880..2884], [0xcb, 2, 0x80, 0x00]);
        with("thorlabs-pm-lan", &[], |d| {
            // 1500 blanks before a query, in two segments, byte by byte.
            let mut message = vec![b' '; 1500];
            message.extend(b"*OPC?\n");
            let mut heard = Vec::new();
            for byte in wrapped(&message) {
                heard.extend(d.raw(&[byte]));
            }
            assert_eq!(heard, b"\xca\x00\x02\x001\n");
        });
    }
}
