//! Packets of the Zaber ASCII protocol: a command read, replies written. Pure.

/// Digits of the checksum behind its colon.
const CHECKSUM: usize = 3;

/// The message id of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    /// None was given.
    None,
    /// Comes back in the reply.
    Number(u8),
    /// `--`: no reply is wanted.
    Quiet,
    /// A third number that is no id.
    Bad,
}

/// A command as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// 0 for all devices; beyond 99 nobody is meant.
    pub(super) device: u32,
    /// 0 for the device and all its axes.
    pub(super) axis: u32,
    pub(super) id: Id,
    pub(super) words: Vec<String>,
    /// More of it follows in another packet.
    pub(super) more: bool,
}

/// Two's complement of the sum of what stands between a packet's first character and its checksum.
pub(super) fn checksum(text: &str) -> u8 {
    text.bytes().fold(0u8, u8::wrapping_add).wrapping_neg()
}

/// Reads a line; `None` for one that is no command, or whose checksum is wrong.
pub(super) fn parse(line: &str) -> Option<Packet> {
    let (_, text) = line.split_once('/')?;
    let text = unsealed(text)?;
    let text = text.trim_end();
    let (text, more) = text.strip_suffix('\\').map_or((text, false), |t| (t, true));
    let mut words = text.split_whitespace().peekable();
    let mut number = || words.next_if(|w| w.bytes().all(|b| b.is_ascii_digit())).map(|w| w.parse().unwrap_or(u32::MAX));
    let device = number();
    let axis = device.and_then(|_| number());
    let id = match axis {
        None => Id::None,
        Some(_) => match words.next_if(|w| *w == "--" || w.bytes().all(|b| b.is_ascii_digit())) {
            None => Id::None,
            Some("--") => Id::Quiet,
            Some(digits) => digits.parse().ok().filter(|n| *n < 100).map_or(Id::Bad, Id::Number),
        },
    };
    let words = words.map(str::to_string).collect();
    Some(Packet { device: device.unwrap_or(0), axis: axis.unwrap_or(0), id, words, more })
}

/// The text without its checksum; `None` where that is wrong.
fn unsealed(text: &str) -> Option<&str> {
    let Some((before, digits)) = text.len().checked_sub(CHECKSUM).and_then(|at| text.split_at_checked(at)) else {
        return Some(text);
    };
    let Some(digits) = digits.strip_prefix(':').filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())) else {
        return Some(text);
    };
    (u8::from_str_radix(digits, 16).ok()? == checksum(before)).then_some(before)
}

/// How a device writes its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Greatest length without line end (`comm.packet.size.max`).
    pub(super) size_max: usize,
    /// With a checksum (`comm.checksum`).
    pub(super) sealed: bool,
}

impl Style {
    /// One packet with its line end.
    pub(super) fn packet(self, text: &str) -> Vec<u8> {
        let inner = text.get(1..).unwrap_or("");
        if self.sealed {
            format!("{text}:{:02X}\r\n", checksum(inner)).into_bytes()
        } else {
            format!("{text}\r\n").into_bytes()
        }
    }

    /// A reply and, where it is too long for one packet, its continuation in info packets, cut between words.
    pub(super) fn reply(self, head: &str, info: &str, data: &str) -> Vec<u8> {
        let room = self.size_max - if self.sealed { CHECKSUM } else { 0 };
        let mut bytes = Vec::new();
        let mut text = head.to_string();
        let mut pieces = 0;
        let mut begun = false;
        let mut words = data.split(' ').peekable();
        while let Some(word) = words.next() {
            let continues = if words.peek().is_some() { 2 } else { 0 };
            if begun && text.len() + 1 + word.len() + continues > room {
                bytes.extend(self.packet(&format!("{text} \\")));
                pieces += 1;
                text = format!("{info} cont {pieces}");
            }
            text.push(' ');
            text.push_str(word);
            begun = true;
        }
        bytes.extend(self.packet(&text));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Style = Style { size_max: 80, sealed: false };

    /// Examples of the protocol's manual, and those of its Rust client's tests.
    #[test]
    fn checksums_are_those_of_the_manual() {
        for (line, words) in [
            ("/1:CF", 0),
            ("/0 1:7F", 0),
            ("/2 1:7D", 0),
            ("/0 0 5:2B", 0),
            ("/get maxspeed:49", 2),
            ("/2 0 5 get maxspeed:52", 2),
            ("/1 tools echo:BF", 2),
            ("/:00", 0),
            ("/1 1 04 home:31", 1),
            ("/1 1 01 move abs 10000:BF", 3),
            ("/1 1 01 move abs 10000:bf", 3),
        ] {
            assert_eq!(parse(line).map(|p| p.words.len()), Some(words), "{line}");
        }
        assert_eq!(parse("/1 1 04 home:32"), None);
        let sealed = Style { sealed: true, ..PLAIN };
        assert_eq!(sealed.packet("@01 1 04 OK BUSY -- 0"), b"@01 1 04 OK BUSY -- 0:E3\r\n");
        assert_eq!(sealed.packet("!01 1 IDLE --"), b"!01 1 IDLE --:96\r\n");
    }

    #[test]
    fn addresses_and_ids_are_the_numbers_before_the_first_word() {
        let check = |line: &str, device, axis, id, first: &str| {
            let p = parse(line).unwrap();
            assert_eq!((p.device, p.axis, p.id), (device, axis, id), "{line}");
            assert_eq!(p.words.first().map_or("", String::as_str), first, "{line}");
        };
        check("/", 0, 0, Id::None, "");
        check("/home", 0, 0, Id::None, "home");
        check("noise/2 home", 2, 0, Id::None, "home");
        check("/1 2 07 get pos", 1, 2, Id::Number(7), "get");
        check("/1 2 -- home", 1, 2, Id::Quiet, "home");
        check("/1 2 100 home", 1, 2, Id::Bad, "home");
        check("/1 2 3 4", 1, 2, Id::Number(3), "4");
        check("/99999999999999 1", u32::MAX, 1, Id::None, "");
        assert_eq!(parse("1 home"), None);
        assert!(parse("/1 0 01 stream 1 setup \\").unwrap().more);
    }

    #[test]
    fn long_reply_is_continued_in_info_packets_of_whole_words() {
        let data = vec!["-123456789"; 14].join(" ");
        let text = String::from_utf8(PLAIN.reply("@01 0 05 OK IDLE --", "#01 0 05", &data)).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert!(lines.len() > 2 && lines.iter().all(|l| l.len() <= 80), "{text}");
        assert!(lines[0].ends_with(" \\") && lines[1].starts_with("#01 0 05 cont 1 "), "{text}");
        assert!(!lines[lines.len() - 1].ends_with('\\'));
        assert_eq!(text.matches("-123456789").count(), 14);
        assert_eq!(PLAIN.reply("@01 0 OK IDLE --", "#01 0", "0"), b"@01 0 OK IDLE -- 0\r\n");
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".{0,60}", start in prop::sample::select(vec!["", "/", "/1 1 05 ", "/1:"])) {
            let _ = parse(&format!("{start}{line}"));
        }

        #[test]
        fn one_wrong_character_is_noticed_by_the_checksum(at in 1usize..22, bit in 0u8..7) {
            let mut bytes = b"/1 1 01 move abs 10000:BF".to_vec();
            bytes[at] ^= 1 << bit;
            let text = String::from_utf8(bytes).unwrap();
            // Another slash moves the packet's begin, a colon nothing.
            prop_assert!(parse(&text).is_none(), "{text}");
        }
    }
}
