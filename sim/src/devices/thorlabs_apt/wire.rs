//! Messages of the APT protocol as bytes: a header of six, and data where the destination has its top bit set. Pure.

/// The controlling computer.
pub(super) const HOST: u8 = 0x01;
/// A unit on its own.
pub(super) const UNIT: u8 = 0x50;
/// The controller of a rack.
pub(super) const RACK: u8 = 0x11;
/// The first bay of a rack; others follow.
pub(super) const BAY: u8 = 0x21;
/// Bays of the largest rack.
const BAYS: u8 = 10;
/// No message has more data ("currently no datapacket exceeds 255 bytes").
const DATA_MAX: usize = 255;
const HEADER: usize = 6;
/// In the destination: data follow.
const LONG: u8 = 0x80;

/// A message for the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    /// First and second parameter; of a message with data its length.
    pub(super) params: [u8; 2],
    pub(super) dest: u8,
    pub(super) source: u8,
    pub(super) data: Vec<u8>,
}

impl Message {
    /// A little-endian word of the data; 0 beyond its end.
    pub(super) fn word(&self, at: usize) -> u16 {
        word(&self.data, at)
    }

    /// A little-endian 32-bit number of the data; 0 beyond its end.
    pub(super) fn long(&self, at: usize) -> i32 {
        long(&self.data, at)
    }

    pub(super) fn is_long(&self) -> bool {
        !self.data.is_empty()
    }
}

/// A little-endian word of some data; 0 beyond its end.
pub(super) fn word(data: &[u8], at: usize) -> u16 {
    data.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

/// A little-endian 32-bit number of some data; 0 beyond its end.
pub(super) fn long(data: &[u8], at: usize) -> i32 {
    data.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_le_bytes)
}

/// A message of the device without data.
pub(super) fn short(id: u16, params: [u8; 2], source: u8) -> Vec<u8> {
    let id = id.to_le_bytes();
    vec![id[0], id[1], params[0], params[1], HOST, source]
}

/// A message of the device with data.
pub(super) fn with_data(id: u16, data: &[u8], source: u8) -> Vec<u8> {
    let id = id.to_le_bytes();
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX).to_le_bytes();
    let mut bytes = vec![id[0], id[1], length[0], length[1], HOST | LONG, source];
    bytes.extend_from_slice(data);
    bytes
}

/// Bytes that have come in and are no whole message yet.
#[derive(Debug, Default)]
pub(super) struct Input(Vec<u8>);

impl Input {
    pub(super) fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the next whole message; what cannot begin one is thrown away byte by byte, so that the device finds back
    /// into step.
    pub(super) fn take(&mut self) -> Option<Message> {
        while self.0.len() >= HEADER {
            if let Some(length) = length(&self.0) {
                if self.0.len() < length {
                    return None;
                }
                let bytes: Vec<u8> = self.0.drain(..length).collect();
                return Some(Message {
                    id: word(&bytes, 0),
                    params: [bytes[2], bytes[3]],
                    dest: bytes[4] & !LONG,
                    source: bytes[5],
                    data: bytes[HEADER..].to_vec(),
                });
            }
            self.0.remove(0);
        }
        None
    }
}

/// Length of the message that a header of six begins; `None` for what is no header.
fn length(header: &[u8]) -> Option<usize> {
    let dest = header[4] & !LONG;
    if !matches!(dest, UNIT | RACK) && !(BAY..BAY + BAYS).contains(&dest) {
        return None;
    }
    if header[4] & LONG == 0 {
        return Some(HEADER);
    }
    let data = usize::from(word(header, 2));
    (data <= DATA_MAX).then_some(HEADER + data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Stream;

    fn feed(input: &mut Input, bytes: &[u8]) -> Vec<Message> {
        let mut taken = Vec::new();
        for byte in bytes {
            input.push(*byte);
            taken.extend(std::iter::from_fn(|| input.take()));
        }
        taken
    }

    const MOVE: [u8; 12] = [0x53, 0x04, 0x06, 0x00, 0xd0, 0x01, 0x01, 0x00, 0x80, 0xa7, 0x00, 0x00];
    const INFO: [u8; 6] = [0x05, 0x00, 0x00, 0x00, 0x50, 0x01];

    #[test]
    fn glued_messages_are_two_and_a_cut_one_waits_for_its_rest() {
        let glued = [&MOVE[..], &INFO[..]].concat();
        let whole = feed(&mut Input::default(), &glued);
        assert_eq!((whole.len(), whole[0].id, whole[0].long(2), whole[1].id), (2, 0x0453, 42_880, 0x0005));
        for cut in 0..MOVE.len() {
            let mut input = Input::default();
            assert_eq!(feed(&mut input, &MOVE[..cut]), []);
            assert_eq!(feed(&mut input, &MOVE[cut..]).len(), 1);
        }
    }

    #[test]
    fn a_device_out_of_step_hears_the_message_after_the_next() {
        for cut in 1..MOVE.len() {
            let mut input = Input::default();
            feed(&mut input, &MOVE[cut..]);
            feed(&mut input, &INFO);
            let heard = feed(&mut input, &INFO);
            assert_eq!(heard.last().map(|m| m.id), Some(0x0005), "{cut}");
        }
    }

    #[test]
    fn any_bytes_leave_less_than_one_message_waiting() {
        let stream = Stream::new(1, "bytes");
        let mut input = Input::default();
        for index in 0..200_000 {
            input.push(stream.bits(index).to_le_bytes()[0]);
            while input.take().is_some() {}
            assert!(input.0.len() < HEADER + DATA_MAX);
        }
    }

    #[test]
    fn replies_go_to_the_host_and_say_how_long_they_are() {
        assert_eq!(short(0x0444, [1, 0], UNIT), [0x44, 0x04, 1, 0, 0x01, 0x50]);
        assert_eq!(with_data(0x0412, &[1, 0, 0, 0, 0, 0], UNIT)[..6], [0x12, 0x04, 6, 0, 0x81, 0x50]);
    }
}
