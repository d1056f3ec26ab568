//! Texts of DiCon switches to values and back. Pure; knows no line and no time.

use crate::identity::Identity;
use crate::scpi;

/// Length of the first answer: up to its CR. A LF before it belongs to the line before.
pub(super) fn line_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|b| *b == b'\r')?;
    Some(if bytes.get(end + 1) == Some(&b'\n') { end + 2 } else { end + 1 })
}

/// Whether this is a matrix switch of DiCon.
pub(super) fn is_switch(identity: &Identity) -> bool {
    identity.maker.to_uppercase().starts_with("DICON") && identity.model.to_uppercase().starts_with("GP600")
}

/// Two numbers: inputs and outputs of `X1 DIM?`, input and output of `X1 CH n?`.
pub(super) fn pair(answer: &[u8]) -> Option<(u32, u32)> {
    let (a, b) = scpi::ascii(answer)?.split_once(',')?;
    Some((a.trim().parse().ok()?, b.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_read() {
        assert!(is_switch(&Identity::parse(b"Dicon Fiberoptics Inc, GP600, 19A0M10D0117, 7.0").unwrap()));
        assert!(!is_switch(&Identity::parse(b"Dicon Fiberoptics Inc, VX500, 1, 7.0").unwrap()));
        assert_eq!(pair(b"4,8"), Some((4, 8)));
        assert_eq!(pair(b" 1, 0"), Some((1, 0)));
        assert_eq!(pair(b"-1,0"), None);
        assert_eq!(pair(b"+0, No Error"), None);
        assert_eq!((line_end(b"4,8\r"), line_end(b"4,8\r\n"), line_end(b"4,8")), (Some(4), Some(5), None));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = pair(&bytes);
            prop_assert!(line_end(&bytes).is_none_or(|end| end <= bytes.len()));
        }
    }
}
