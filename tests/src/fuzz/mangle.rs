//! What happens to the answers of a device on their way: a script of bytes, one or more for each lot that comes.

/// Reads the script from front to back; at its end everything passes.
pub(super) struct Mangler<'a> {
    script: &'a [u8],
    pass: u8,
    held: Vec<u8>,
}

impl<'a> Mangler<'a> {
    pub(super) fn new(script: &'a [u8]) -> Mangler<'a> {
        Mangler { script, pass: 0, held: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.script.split_first() else { return 0 };
        self.script = rest;
        *first
    }

    /// Bytes of the script itself, their number first.
    fn literal(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.script.len());
        let (bytes, rest) = self.script.split_at(length);
        self.script = rest;
        bytes
    }

    /// What becomes of a lot, in the pieces in which it arrives.
    pub(super) fn mangle(&mut self, lot: &[u8]) -> Vec<Vec<u8>> {
        let mut lot = [&std::mem::take(&mut self.held), lot].concat();
        if self.pass > 0 {
            self.pass -= 1;
            return vec![lot];
        }
        let what = self.byte();
        match what & 0x87 {
            0x80 => {
                let bit = usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % (lot.len() * 8).max(1);
                if let Some(byte) = lot.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            0x81 => lot.truncate(usize::from(self.byte()) % lot.len().max(1)),
            0x82 => lot.extend_from_within(..),
            0x83 => self.held = std::mem::take(&mut lot),
            0x84 => lot = self.literal().to_vec(),
            0x85 => lot = [self.literal(), &lot].concat(),
            0x86 => lot.extend_from_slice(self.literal()),
            0x87 => {
                let length = usize::from(self.byte()).max(1);
                return lot.chunks(length).map(<[u8]>::to_vec).collect();
            }
            pass => self.pass = pass,
        }
        vec![lot]
    }
}
