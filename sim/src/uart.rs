//! What a serial receiver makes of a sender with other line settings: the bits of one sampled at the pace of the other.
//! Pure.

/// Parity of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// Line settings: 8 data bits, 1 stop bit, and these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSettings {
    /// Bits a second.
    pub baud: u32,
    /// Parity.
    pub parity: Parity,
}

impl LineSettings {
    /// Bits a byte takes on the line: start, data, parity if any, stop.
    pub fn bits(&self) -> u32 {
        10 + u32::from(self.parity != Parity::None)
    }

    /// Seconds a byte takes on the line.
    pub fn byte_s(&self) -> f64 {
        f64::from(self.bits()) / f64::from(self.baud)
    }

    fn parity_bit(&self, byte: u8) -> Option<bool> {
        let odd = byte.count_ones() % 2 == 1;
        match self.parity {
            Parity::None => None,
            Parity::Even => Some(odd),
            Parity::Odd => Some(!odd),
        }
    }
}

/// The bytes a receiver reads when a sender sends `bytes` without pause. Bytes with a wrong parity or stop bit are lost,
/// as most drivers are set to lose them.
pub(crate) fn received(bytes: &[u8], sender: LineSettings, receiver: LineSettings) -> Vec<u8> {
    if sender == receiver {
        return bytes.to_vec();
    }
    let mut wave = Vec::with_capacity(bytes.len() * 11);
    for byte in bytes {
        wave.push(false);
        wave.extend((0..8).map(|i| byte >> i & 1 == 1));
        wave.extend(sender.parity_bit(*byte));
        wave.push(true);
    }
    let bit = f64::from(sender.baud) / f64::from(receiver.baud);
    let level = |t: f64| -> bool {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "t is not below 0")]
        let index = t as usize;
        wave.get(index).copied().unwrap_or(true)
    };
    let end = wave.len();
    let mut read = Vec::new();
    let mut at = 0usize;
    while at < end {
        if wave[at] {
            at += 1;
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "short messages")]
        let start = at as f64;
        let sample = |n: u32| level(start + (f64::from(n) + 0.5) * bit);
        let byte = (0..8).fold(0u8, |b, i| b | u8::from(sample(i + 1)) << i);
        let stop = receiver.bits() - 1;
        let parity_holds = receiver.parity_bit(byte).is_none_or(|p| p == sample(9));
        if sample(stop) && parity_holds {
            read.push(byte);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below 0")]
        let next = (start + (f64::from(stop) + 0.5) * bit).ceil() as usize;
        at = next.max(at + 1);
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(baud: u32, parity: Parity) -> LineSettings {
        LineSettings { baud, parity }
    }

    #[test]
    fn the_same_settings_read_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let even = line(9600, Parity::Even);
        assert_eq!(received(&all, even, even), all);
    }

    #[test]
    fn a_baud_rate_off_by_one_percent_is_read_and_a_wrong_one_is_not() {
        let text = b"*IDN?\n";
        assert_eq!(received(text, line(115_200, Parity::None), line(116_300, Parity::None)), text);
        for wrong in [9600, 19_200, 57_600, 230_400] {
            assert_ne!(received(text, line(115_200, Parity::None), line(wrong, Parity::None)), text, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_parity_loses_bytes() {
        let text = b"MEAS:POW?\n";
        assert_ne!(received(text, line(9600, Parity::Odd), line(9600, Parity::Even)), text);
        assert_ne!(received(text, line(9600, Parity::None), line(9600, Parity::Even)), text);
    }
}
