//! Lines of a transcript (`show --wire`) to the bytes that they tell of. Pure; any text is one.

/// The bytes between each pair of quotation marks on a line.
pub fn bytes(line: &str) -> Vec<Vec<u8>> {
    quoted(line).into_iter().map(unescaped).collect()
}

/// Whether bytes can be read as they are written.
pub fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| (0x20..0x7f).contains(b))
}

/// What stands between quotation marks.
fn quoted(line: &str) -> Vec<&str> {
    // An escaped mark inside is written \", and ends nothing.
    let mut inside = false;
    let mut begin = 0;
    let mut escaped = false;
    let mut found = Vec::new();
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if inside => {
                found.push(&line[begin..at]);
                inside = false;
            }
            '"' => (inside, begin) = (true, at + 1),
            _ => {}
        }
    }
    found
}

/// The bytes that a printable form stands for; what is no escape stands for itself.
pub fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, used) = match (first, after) {
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                let value = std::str::from_utf8(&digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok());
                value.map_or((b'\\', 1), |v| (v, 4))
            }
            (b'\\', [other, ..]) => (*other, 2),
            (byte, _) => (*byte, 1),
        };
        bytes.push(byte);
        rest = &rest[used.min(rest.len())..];
    }
    bytes
}

/// Bytes as hexadecimal numbers.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_transcript_are_found_and_read_back() {
        let line = r#"  0.5 s  -> "\x18"  <- "1=0.5 \n2=\"x\" \xb1\n"  after 1 ms"#;
        let found = bytes(line);
        assert_eq!(found, [b"\x18".to_vec(), b"1=0.5 \n2=\"x\" \xb1\n".to_vec()]);
        assert_eq!(hex(&found[0]), "18");
        assert!(!is_plain(&found[0]) && is_plain(b"POS? 1"));
        assert_eq!(unescaped("\\"), b"\\", "a lone backslash is one");
    }
}
