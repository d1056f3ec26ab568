//! GCS arrays (`DRR?`), results of routines (`FRR?`) and other answers with keys: text to values. Pure.

use crate::scpi;

/// Rows of numbers with their header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    /// Seconds a row.
    pub(super) sample_s: f64,
    /// As many columns in each as the header says.
    pub(super) rows: Vec<Vec<f64>>,
}

/// Columns that an answer may have; recorders have some tens of tables.
const COLUMNS_MAX: usize = 64;

/// An array of an answer without its line end; none unless it has all the rows that its header announces.
pub(super) fn array(answer: &[u8]) -> Option<Array> {
    let text = std::str::from_utf8(answer).ok()?;
    let mut sample_s = None;
    let (mut columns, mut count, mut separator) = (None, None, b' ');
    let mut lines = text.split('\n').map(str::trim);
    loop {
        let line = lines.next()?.strip_prefix('#')?.trim();
        if line.eq_ignore_ascii_case("END_HEADER") {
            break;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        match key.trim() {
            "DIM" => columns = value.trim().parse::<usize>().ok(),
            "NDATA" => count = value.trim().parse::<usize>().ok(),
            "SAMPLE_TIME" => sample_s = scpi::finite(value.trim().as_bytes()),
            "SEPARATOR" => separator = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let columns = columns.filter(|n| (1..=COLUMNS_MAX).contains(n))?;
    let cut = |line: &str| -> Option<Vec<f64>> {
        let cells = line.split(char::from(separator)).map(str::trim).filter(|c| !c.is_empty());
        let row: Vec<f64> = cells.map(|c| scpi::finite(c.as_bytes())).collect::<Option<_>>()?;
        (row.len() == columns).then_some(row)
    };
    let rows: Vec<Vec<f64>> = lines.map(cut).collect::<Option<_>>()?;
    let whole = count.is_none_or(|n| n == rows.len());
    whole.then_some(Array { sample_s: sample_s?, rows })
}

/// The texts after `name id=` of an answer to `FRR?`, in the order of `ids`; none unless exactly these are answered.
pub(super) fn results(answer: &[u8], name: &str, ids: &[u32]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(answer).ok()?;
    let lines: Vec<&str> = text.split('\n').map(str::trim).collect();
    if lines.len() != ids.len() {
        return None;
    }
    let one = |(line, id): (&&str, &u32)| {
        let (key, value) = line.split_once('=')?;
        let mut words = key.split_whitespace();
        let fits = words.next() == Some(name) && words.next()?.parse() == Ok(*id) && words.next().is_none();
        fits.then(|| value.trim().to_string())
    };
    lines.iter().zip(ids).map(one).collect()
}

/// Numbers with blanks between them.
pub(super) fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split_whitespace().map(|word| scpi::finite(word.as_bytes())).collect()
}

/// Value of an answer to `SPA? item id`, whatever way the id is written.
pub(super) fn parameter(answer: &[u8]) -> Option<f64> {
    let text = scpi::ascii(answer)?;
    let (key, value) = text.split_once('=')?;
    (key.split_whitespace().count() == 2).then(|| scpi::finite(value.trim().as_bytes()))?
}

/// Names and types of the coordinate systems of an answer to `KEN?`.
pub(super) fn systems(answer: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(answer).ok()?;
    let pair = |line: &str| {
        let (name, kind) = line.trim().split_once('=')?;
        let (name, kind) = (name.trim().to_uppercase(), kind.trim().to_uppercase());
        let named = !name.is_empty() && kind.starts_with('K') && kind.len() == 3;
        named.then_some((name, kind))
    };
    text.split('\n').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As PI's manuals print it, with the blank before each LF but the last.
    const RECORDED: &[u8] = b"# REM C-887 \n# VERSION = 1 \n# TYPE = 1 \n# SEPARATOR = 32 \n# DIM = 2 \n\
        # SAMPLE_TIME = 0.000500 \n# NDATA = 3 \n# NAME0 = Actual Position of Axis  AXIS:1 \n# NAME1 = ... \n\
        # END_HEADER \n0.000000 1.000000 \n0.100000 1.100000 \n0.700000 -1.7e0";

    #[test]
    fn an_array_is_read_with_its_times() {
        let got = array(RECORDED).unwrap();
        assert_eq!(got.sample_s, 0.0005);
        assert_eq!(got.rows, [[0.0, 1.0], [0.1, 1.1], [0.7, -1.7]]);
        let tabbed = String::from_utf8(RECORDED.to_vec()).unwrap().replace("= 32", "= 9").replace("000 1.", "000\t1.");
        assert_eq!(array(tabbed.replace("000 -1.", "000\t-1.").as_bytes()), Some(got));
    }

    #[test]
    fn every_cut_of_an_array_is_refused_but_where_its_last_number_still_reads() {
        for end in 0..RECORDED.len() {
            let whole = array(&RECORDED[..end]);
            // `-1.7e0` cut to `-1`, `-1.` and `-1.7` is a number; only the terminator of the line tells.
            let reads = [4, 3, 2].iter().any(|left| end == RECORDED.len() - left);
            assert_eq!(whole.is_some(), reads, "{end}");
        }
    }

    #[test]
    fn results_are_read_by_name_and_id() {
        // PIPython reads FRR? as in the sheet's conversation: name, id, value; two numbers for the position.
        let answer = b"1 1=1 \n1 2=3.21 \n1 3=1.234 -0.567";
        let got = results(answer, "1", &[1, 2, 3]).unwrap();
        assert_eq!(got, ["1", "3.21", "1.234 -0.567"]);
        assert_eq!(numbers(&got[2]), Some(vec![1.234, -0.567]));
        assert_eq!(results(answer, "2", &[1, 2, 3]), None);
        assert_eq!(results(answer, "1", &[1, 2]), None);
        assert_eq!(results(b"1 1 1=1", "1", &[1]), None);
        assert_eq!(numbers("1 x"), None);
    }

    #[test]
    fn parameters_and_systems_are_read() {
        assert_eq!(parameter(b"1 0xE000200=0.000500"), Some(0.0005));
        assert_eq!(parameter(b"0.0005"), None);
        let two = [("PI_BASE".to_string(), "KSB".to_string()), ("LEVEL".into(), "KLD".into())];
        assert_eq!(systems(b"PI_BASE=KSB \nlevel=KLD"), Some(two.to_vec()));
        assert_eq!(systems(b"ZERO"), None);
        assert_eq!(systems(b"ZERO=1"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (array(&bytes), results(&bytes, "1", &[1]), parameter(&bytes), systems(&bytes));
        }

        #[test]
        fn a_flipped_bit_does_not_panic(at in 0usize..250, bit in 0u8..8) {
            let mut bytes = RECORDED.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = array(&bytes);
        }
    }
}
