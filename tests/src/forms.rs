//! Forms: which command a request is (its word, whatever its arguments), and what shape a reply has (its text, whatever its
//! numbers). What two sides are compared by.

/// Parts of a conversation that a shape leaves open: `None` where nothing is open but numbers.
const FLAGS: &[&str] = &["OK", "RJ", "IDLE", "BUSY"];

/// The command words of what was sent to a device of a kind, in order.
pub fn words(kind: &str, bytes: &[u8]) -> Vec<String> {
    match kind {
        "thorlabs-apt" => apt_messages(bytes).iter().map(|m| format!("0x{:04X}", apt_id(m))).collect(),
        "joinwit-pm" => bytes.get(3..5).map(|id| format!("0x{:02X}{:02X}", id[0], id[1])).into_iter().collect(),
        _ => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let joined: &[char] = if one_a_line(kind) { &['\r', '\n'] } else { &['\r', '\n', ';'] };
            text.split(joined).map(str::trim).filter(|c| !c.is_empty()).flat_map(|c| word(kind, c)).collect()
        }
    }
}

fn one_a_line(kind: &str) -> bool {
    matches!(kind, "pi-gcs2" | "zaber-ascii" | "newport-smc" | "newport-1830")
}

/// The word of one command of text.
fn word(kind: &str, command: &str) -> Option<String> {
    let asks = if command.split_whitespace().next().unwrap_or(command).ends_with('?') { "?" } else { "" };
    let letters = |text: &str, n: usize| {
        let bare = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        bare.chars().take(n).collect::<String>().to_ascii_uppercase()
    };
    Some(match kind {
        "pi-gcs2" => {
            let first = command.chars().next()?;
            match u32::from(first) {
                control if control < 0x20 => format!("#{control}"),
                _ => command.split_whitespace().next()?.to_ascii_uppercase(),
            }
        }
        "zaber-ascii" => zaber_word(command),
        "newport-esp" if command.starts_with('*') => command.to_ascii_uppercase(),
        "newport-smc" | "newport-esp" => letters(command, 2) + if command.contains('?') { "?" } else { "" },
        "newport-1830" => letters(command, 1) + if command.contains('?') { "?" } else { "" },
        "dicon-switch" => {
            let mut parts = command.split_whitespace().filter(|p| p.trim_end_matches('?').parse::<u32>().is_err());
            let named = parts.by_ref().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
            let asks = command.ends_with('?') && !named.ends_with('?');
            named + if asks { "?" } else { "" }
        }
        "newport-1936" => newport_word(&command.split_whitespace().next()?.to_ascii_uppercase()),
        _ => scpi_word(command.split_whitespace().next()?.trim_end_matches('?')) + asks,
    })
}

/// A header of SCPI in its short form, without numbers, roots and the nodes that may be missing.
fn scpi_word(header: &str) -> String {
    if header.starts_with('*') {
        return header.to_ascii_uppercase();
    }
    let short = |node: &str| {
        let bare = node.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_uppercase();
        let cut = match bare.as_bytes() {
            // Thorlabs' own.
            b"JABBER" => 3,
            [_, _, _, b'A' | b'E' | b'I' | b'O' | b'U', _, ..] => 3,
            _ => 4,
        };
        bare.chars().take(cut).collect::<String>()
    };
    let nodes = header.trim_start_matches(':').split(':').map(short);
    let all: Vec<String> = nodes.filter(|n| !MISSING.contains(&n.as_str())).collect();
    let named: Vec<&str> = all.iter().map(String::as_str).collect();
    match named.as_slice() {
        ["SENS", "CORR", "LOSS", ..] | ["CORR", "LOSS", ..] => "CORR".into(),
        ["INP", "FILT", ..] => "INP:FILT".into(),
        ["OUTP", "STAT"] => "OUTP".into(),
        ["SOUR", "WAV", "SWE", "STAT"] | ["WAV", "SWE", "STAT"] => "WAV:SWE".into(),
        // The root that may be missing.
        ["SENS" | "SOUR", rest @ ..] if !rest.is_empty() => rest.join(":"),
        _ => named.join(":"),
    }
}

/// Nodes that the makers' manuals have in brackets.
const MISSING: &[&str] =
    &["CHAN", "DC", "UPP", "NEXT", "LEV", "IMM", "AMPL", "SCAL", "PDI", "LPAS", "CW", "FIX", "WIDT"];

/// A header of the PM set in its short form.
fn newport_word(header: &str) -> String {
    let nodes = header.trim_end_matches('?').split(':').map(|node| match node {
        "LAMBDA" => "L",
        "UNITS" => "UNIT",
        "FILTER" => "FILT",
        "CHANNEL" => "CHAN",
        "ATTENUATOR" => "ATT",
        "RANGE" => "RAN",
        "POWER" => "P",
        "COUNT" => "C",
        "CLEAR" => "CL",
        "ZEROSTORE" => "ZEROSTO",
        "ZEROVALUE" => "ZEROVAL",
        "ERRORS" => "ERR",
        other => other,
    });
    let asks = if header.ends_with('?') { "?" } else { "" };
    nodes.collect::<Vec<_>>().join(":") + asks
}

/// A command of Zaber's without address, id, checksum and numbers.
fn zaber_word(command: &str) -> String {
    let bare = command.trim_start_matches('/');
    let bare = match bare.rsplit_once(':') {
        Some((bare, sum)) if sum.len() == 2 => bare,
        _ => bare,
    };
    let parts = bare.split_whitespace().skip_while(|p| p.parse::<i64>().is_ok());
    let named: Vec<&str> = parts.filter(|p| p.parse::<f64>().is_err()).collect();
    let kept = match named.first() {
        Some(&"get" | &"set" | &"move" | &"tools" | &"warnings" | &"driver" | &"system") => 2,
        None => return "(nothing)".into(),
        _ => 1,
    };
    named.into_iter().take(kept).collect::<Vec<_>>().join(" ")
}

/// Messages of the APT protocol: a header of six bytes, and data where its fifth says so.
pub fn apt_messages(bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(header) = rest.get(..6) {
        let data = if header[4] & 0x80 == 0 { 0 } else { usize::from(u16::from_le_bytes([header[2], header[3]])) };
        let Some(message) = rest.get(..6 + data) else { break };
        found.push(message);
        rest = &rest[message.len()..];
    }
    found
}

fn apt_id(message: &[u8]) -> u16 {
    u16::from_le_bytes([message[0], message[1]])
}

/// The forms of replies to what was asked: by the word of what was asked for; of a binary protocol by the message's own.
pub fn replies(kind: &str, asked: &[String], reply: &[u8]) -> Vec<String> {
    match kind {
        "thorlabs-apt" => words(kind, reply),
        "zaber-ascii" => {
            let text = String::from_utf8_lossy(reply).into_owned();
            let asked = asked.last().map_or("(nothing)", String::as_str);
            let lines = text.lines().filter_map(|line| match line.chars().next()? {
                '!' => Some("(alert)".to_string()),
                '#' => Some("(info)".to_string()),
                _ if line.contains(" RJ ") => Some("(refusal)".to_string()),
                _ => Some(asked.to_string()),
            });
            lines.collect()
        }
        _ => {
            let queries: Vec<String> = asked.iter().filter(|w| w.ends_with('?')).cloned().collect();
            if queries.is_empty() { asked.last().cloned().into_iter().collect() } else { queries }
        }
    }
}

/// A reply with `0` in place of each whole number, `0.0` with its decimals in place of a fraction, `E` where it has an exponent;
/// letters stay, save flags that tell a state. Of a binary message its number, addresses and length.
pub fn shape(kind: &str, reply: &[u8]) -> String {
    match kind {
        "thorlabs-apt" => {
            let one = |m: &&[u8]| format!("{:04X} {:02X} {:02X} of {}", apt_id(m), m[4], m[5], m.len());
            apt_messages(reply).iter().map(one).collect::<Vec<_>>().join(", ")
        }
        "joinwit-pm" => format!("{:02x?} of {}", reply.get(..3).unwrap_or(reply), reply.len()),
        _ if reply.starts_with(b"#") && kind.starts_with("keysight") => block_shape(reply),
        // After a reset a byte that is no text comes when it comes.
        "newport-smc" => numberless(&String::from_utf8_lossy(reply).replace('\u{fffd}', "")),
        "zaber-ascii" => String::from_utf8_lossy(reply).lines().map(zaber_shape).collect::<Vec<_>>().join("|"),
        "pi-gcs2" if reply.len() < 6 && reply.trim_ascii_end().iter().all(u8::is_ascii_hexdigit) => {
            "hexadecimal".into()
        }
        _ => numberless(&String::from_utf8_lossy(reply)),
    }
}

/// A block of definite length, whole or not: how long it is depends on what was asked for.
fn block_shape(reply: &[u8]) -> String {
    let digits = reply.get(1).map_or(0, |d| usize::from(d.saturating_sub(b'0')));
    let length = reply.get(2..2 + digits).and_then(|l| std::str::from_utf8(l).ok()?.parse::<usize>().ok());
    let whole = length.is_some_and(|length| reply.len() > 2 + digits + length);
    if whole { "a block" } else { "the begin of a block" }.into()
}

/// Words of a reply of Zaber's; status and warning are a state, and the checksum is a sum.
fn zaber_shape(line: &str) -> String {
    let line = line.trim_end();
    let bare = match line.rsplit_once(':') {
        Some((bare, sum)) if sum.len() == 2 => format!("{bare}:00"),
        _ => line.to_string(),
    };
    let named = bare.split(' ').map(|w| match w {
        _ if FLAGS[2..].contains(&w) => "IDLE".to_string(),
        "--" | "WR" | "WH" | "NI" | "NC" | "FS" | "WM" | "NU" | "WL" => "--".to_string(),
        _ => numberless(w),
    });
    // A list of warnings is as long as there are any.
    named.collect::<Vec<_>>().join(" ").trim_end_matches(" --").to_string()
}

fn numberless(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let number = number_end(rest);
        if number == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let digits = &rest[..number];
        let (mantissa, exponent) = digits.split_once(['E', 'e']).map_or((digits, None), |(m, e)| (m, Some(e)));
        out.push('0');
        if let Some((_, fraction)) = mantissa.split_once('.') {
            out.push('.');
            out.extend(fraction.chars().map(|_| '0'));
        }
        if let Some(exponent) = exponent {
            out += &format!("E{}", exponent.trim_start_matches(['+', '-']).len());
        }
        rest = &rest[number..];
    }
    out
}

/// Length of the number that a text begins with, 0 where it does not.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits(at);
    at += whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        if whole + fraction > 0 {
            at += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return 0;
    }
    if matches!(bytes.get(at), Some(b'E' | b'e')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let power = digits((at + 1 + sign).min(bytes.len()));
        if power > 0 {
            at += 1 + sign + power;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_their_words() {
        for (kind, sent, known) in [
            ("pi-gcs2", "MOV 1 2\nERR?\n", "MOV ERR?"),
            ("pi-gcs2", "\x05", "#5"),
            ("zaber-ascii", "/1 2 04 move abs 10:FF\n", "move abs"),
            ("zaber-ascii", "/1 0\r\n", "(nothing)"),
            ("zaber-ascii", "/get pos\n", "get pos"),
            ("newport-smc", "1PA?\r\n1TE\r\n", "PA? TE"),
            ("newport-esp", "1PA1.0 ; 2PA3;TB?\r", "PA PA TB?"),
            ("newport-1830", "W1550\nW?\n", "W W?"),
            ("newport-1936", "PM:Lambda 1310\r\n", "PM:L"),
            ("keysight-pm", ":SENSE2:CHANNEL1:POWER:WAVELENGTH?\n", "POW:WAV?"),
            ("thorlabs-pm", "SYSTem:ERRor?;*CLS\n", "SYST:ERR? *CLS"),
            ("thorlabs-pm", "SENSE:POWER:DC:RANGE:UPPER 1\n", "POW:RANG"),
            ("dicon-switch", "X1 CH 5 1\rX1 CH 5?\r", "X1.CH X1.CH?"),
        ] {
            let found =
                words(kind, sent.as_bytes()).iter().map(|w| w.replace("X1 ", "X1.")).collect::<Vec<_>>().join(" ");
            let found = if kind == "zaber-ascii" { words(kind, sent.as_bytes()).remove(0) } else { found };
            assert_eq!(found, known, "{kind} {sent:?}");
        }
        assert_eq!(words("thorlabs-apt", &[0x43, 4, 1, 0, 0x50, 1]), ["0x0443"]);
    }

    #[test]
    fn shapes_keep_words_and_the_form_of_numbers() {
        assert_eq!(shape("pi-gcs2", b"1=2.500000 \n2=-12.000000\n"), "0=0.000000 \n0=0.000000\n");
        assert_eq!(shape("thorlabs-pm", b"-8.123456E-03\n"), "0.000000E2\n");
        assert_eq!(shape("thorlabs-pm", b"1550\n"), "0\n");
        assert_eq!(
            shape("zaber-ascii", b"@01 1 07 OK BUSY -- 100:B5\r\n"),
            shape("zaber-ascii", b"@01 1 08 OK IDLE WR 3:11\r\n")
        );
        assert_ne!(
            shape("zaber-ascii", b"@01 1 OK IDLE -- 0\r\n"),
            shape("zaber-ascii", b"@01 1 RJ IDLE -- BADDATA\r\n")
        );
        assert_eq!(shape("thorlabs-apt", &[0x12, 2, 1, 1, 1, 0x50]), "0212 01 50 of 6");
    }
}
