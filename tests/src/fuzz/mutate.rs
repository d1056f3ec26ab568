//! New inputs from old ones, the same for the same seed: what a stable compiler can do without a coverage-guided fuzzer.

/// Numbers and marks that hurt parsers.
const SHARP: &[&[u8]] = &[
    b"0",
    b"-1",
    b" 99999999999999999999",
    b"4294967296",
    b"-2147483648",
    b"1e308",
    b"-1e308",
    b"1e-400",
    b"nan",
    b"inf",
    b"\n",
    b"\r",
    b";",
    b"?",
    b" ",
    b"\"",
    b"#9",
    b"#9999999999",
    b"\xff\xff",
    b"\x00\x00",
    b"\xff\x7f",
    b"\xc3\x28",
];

/// A source of numbers (xorshift64*).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap_or(0) % end.max(1)
    }
}

/// One of `inputs` with some changes, or parts of two of them.
pub fn mutate(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut new = inputs[dice.below(inputs.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(new.len() + 1);
        let to = at + dice.below((new.len() - at).min(40) + 1);
        match dice.below(7) {
            0 => {
                if let Some(byte) = new.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            1 => drop(new.drain(at..to)),
            2 => {
                let again = new[at..to].repeat(1 + dice.below(8));
                new.splice(at..at, again);
            }
            3 => drop(new.splice(at..to, SHARP[dice.below(SHARP.len())].iter().copied())),
            4 => {
                let other = &inputs[dice.below(inputs.len())];
                let from = dice.below(other.len() + 1);
                let part = other[from..(from + dice.below(60)).min(other.len())].to_vec();
                new.splice(at..to, part);
            }
            5 => new.truncate(at),
            _ => {
                if let Some(byte) = new.get_mut(at) {
                    *byte = u8::try_from(dice.below(256)).unwrap_or(0);
                }
            }
        }
    }
    new
}
