//! Data to stdout, talk to stderr. Whoever listens may be gone: that must never end a run in the middle.

use std::fmt::Arguments;
use std::io::{Write as _, stderr, stdout};

/// A line of data.
pub(crate) fn print(line: Arguments<'_>) {
    let _ = writeln!(stdout().lock(), "{line}");
}

/// Data that ends its own lines.
pub(crate) fn print_text(text: Arguments<'_>) {
    let _ = write!(stdout().lock(), "{text}");
}

/// A line of talk.
pub(crate) fn tell(line: Arguments<'_>) {
    let _ = writeln!(stderr().lock(), "{line}");
}
