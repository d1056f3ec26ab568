//! Reading a TOML file with all its faults at once, each with its line, column and a hint.
//!
//! The parser recovers and goes on; a [`Table`] hands out typed values, notes what is missing or mistyped, and on its
//! end notes every key that nobody asked for. Knows nothing of what the files are about.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One fault of a text file. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, naming the key.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// All the faults of one text file, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} fault{} in the file", .0.len(), if .0.len() == 1 { "" } else { "s" })]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// These faults and those of `other`, without repeats, in the order of their places.
    pub fn merged(self, other: Faults) -> Faults {
        let all: BTreeSet<Fault> = self.0.into_iter().chain(other.0).collect();
        Faults(all.into_iter().collect())
    }
}

/// The text of a file's bytes.
///
/// # Errors
/// One fault at the first byte that is not UTF-8.
pub fn from_utf8(bytes: &[u8]) -> Result<&str, Faults> {
    std::str::from_utf8(bytes).map_err(|e| {
        let good = String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned();
        let (line, column) = place(&good, good.len());
        Faults(vec![Fault {
            line,
            column,
            message: format!("byte 0x{:02x} is not UTF-8", bytes[e.valid_up_to()]),
            hint: Some("save the file as UTF-8 text".into()),
        }])
    })
}

/// Reads `text` as TOML and builds a `T` from its root table.
///
/// # Errors
/// All faults: the grammar's, those `build` noted, and every key `build` never asked for. `build` returns `None`
/// only after it noted a fault.
pub fn read<T>(text: &str, build: impl FnOnce(&Table<'_>) -> Option<T>) -> Result<T, Faults> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let page = Page { text, faults: RefCell::new(Vec::new()) };
    for error in &errors {
        let at = error.span().map_or(0, |s| s.start);
        page.note(at, error.message().trim().to_string(), None);
    }
    let broken = !errors.is_empty();
    let built = {
        let table = Table::new(&page, root.get_ref(), root.span(), String::new());
        build(&table)
    };
    let mut faults = page.faults.into_inner();
    if broken {
        // What a broken line took with it must not be reported as missing too.
        faults.retain(|f| !f.message.starts_with("missing "));
    }
    faults.sort();
    faults.dedup();
    match built {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(Faults(faults)),
    }
}

/// Line and column, both from 1, of byte `at` in `text`.
fn place(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}

struct Page<'t> {
    text: &'t str,
    faults: RefCell<Vec<Fault>>,
}

impl Page<'_> {
    fn note(&self, at: usize, message: String, hint: Option<String>) {
        let (line, column) = place(self.text, at);
        self.faults.borrow_mut().push(Fault { line, column, message, hint });
    }
}

/// A TOML table being read: hands out values, remembers which keys were asked for.
pub struct Table<'a> {
    page: &'a Page<'a>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    path: String,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Table<'a> {
    fn new(page: &'a Page<'a>, table: &'a DeTable<'a>, span: Range<usize>, path: String) -> Self {
        Table { page, table, span, path, asked: RefCell::default() }
    }

    /// The table's dotted path in the file; empty for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The dotted path of one of this table's keys.
    pub fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().insert(key.to_string());
        self.table.get(key)
    }

    /// Whether the key is there; does not count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Lets this table hold any keys without complaint: somebody else reads it.
    pub fn leave(&self) {
        for (key, _) in self.table {
            self.asked.borrow_mut().insert(key.get_ref().to_string());
        }
    }

    /// Leaves a whole value to somebody else.
    pub fn leave_key(&self, key: &str) {
        self.asked.borrow_mut().insert(key.to_string());
    }

    /// Notes a fault at `key`'s value, or at the table where the key is missing.
    pub fn fault(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let at = self.table.get(key).map_or(self.span.start, |v| v.span().start);
        self.page.note(at, format!("{}: {}", self.key_path(key), message.into()), some(hint));
    }

    /// Notes a fault of the table as a whole, at its head.
    pub fn fault_here(&self, message: impl Into<String>, hint: impl Into<String>) {
        let message = message.into();
        let text = if self.path.is_empty() { message } else { format!("{}: {message}", self.path) };
        self.page.note(self.span.start, text, some(hint));
    }

    fn missing(&self, key: &str, what: &str) {
        let at = self.span.start;
        let hint = format!("add `{key} = ...` ({what})");
        self.page.note(at, format!("missing {} ({what})", self.key_path(key)), Some(hint));
    }

    fn typed<T>(&self, key: &str, what: &str, take: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Option<T> {
        let value = self.value(key)?;
        let taken = take(value.get_ref());
        if taken.is_none() {
            let found = value.get_ref().type_str();
            self.fault(key, format!("expected {what}, found {found}"), format!("give {what}"));
        }
        taken
    }

    fn demanded<T>(&self, key: &str, what: &str, take: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Option<T> {
        if self.value(key).is_none() {
            self.missing(key, what);
            return None;
        }
        self.typed(key, what, take)
    }

    /// A string, if the key is there.
    pub fn str(&self, key: &str) -> Option<&'a str> {
        self.typed(key, "a string", DeValue::as_str)
    }

    /// A string that must be there and not be empty.
    pub fn need_str(&self, key: &str) -> Option<&'a str> {
        let text = self.demanded(key, "a string", DeValue::as_str)?;
        if text.trim().is_empty() {
            self.fault(key, "is empty", "give it a text");
            return None;
        }
        Some(text)
    }

    /// A number (integer or decimal), if the key is there. Infinities and NaN are faults.
    pub fn f64(&self, key: &str) -> Option<f64> {
        self.typed(key, "a finite number", number)
    }

    /// A number that must be there.
    pub fn need_f64(&self, key: &str) -> Option<f64> {
        self.demanded(key, "a finite number", number)
    }

    /// A number within `low..=high`, or `default` where the key is missing.
    pub fn f64_within(&self, key: &str, low: f64, high: f64, default: f64) -> f64 {
        self.f64(key).map_or(default, |v| self.bounded(key, v, low, high).unwrap_or(default))
    }

    /// A number within `low..=high` that must be there.
    pub fn need_f64_within(&self, key: &str, low: f64, high: f64) -> Option<f64> {
        let value = self.need_f64(key)?;
        self.bounded(key, value, low, high)
    }

    fn bounded(&self, key: &str, value: f64, low: f64, high: f64) -> Option<f64> {
        if (low..=high).contains(&value) {
            return Some(value);
        }
        self.fault(key, format!("{value} is outside {low} to {high}"), format!("give a number from {low} to {high}"));
        None
    }

    /// An integer, if the key is there.
    pub fn i64(&self, key: &str) -> Option<i64> {
        self.typed(key, "an integer", integer)
    }

    /// An integer within `low..=high`, or `default` where the key is missing.
    pub fn i64_within(&self, key: &str, low: i64, high: i64, default: i64) -> i64 {
        let Some(value) = self.i64(key) else { return default };
        if (low..=high).contains(&value) {
            return value;
        }
        self.fault(key, format!("{value} is outside {low} to {high}"), format!("give an integer from {low} to {high}"));
        default
    }

    /// A boolean, if the key is there.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    /// Exactly `N` numbers, if the key is there.
    pub fn f64_list<const N: usize>(&self, key: &str) -> Option<[f64; N]> {
        let what = format!("a list of {N} numbers");
        self.typed(key, &what, |v| numbers(v)?.try_into().ok())
    }

    /// Exactly `N` numbers that must be there.
    pub fn need_f64_list<const N: usize>(&self, key: &str) -> Option<[f64; N]> {
        let what = format!("a list of {N} numbers");
        self.demanded(key, &what, |v| numbers(v)?.try_into().ok())
    }

    /// A list of strings, if the key is there.
    pub fn str_list(&self, key: &str) -> Option<Vec<&'a str>> {
        self.typed(key, "a list of strings", |v| v.as_array()?.iter().map(|s| s.get_ref().as_str()).collect())
    }

    /// One of the named choices, if the key is there.
    pub fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.str(key)?;
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, v)| v.clone());
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.fault(key, format!("\"{word}\" is not known"), format!("one of: {}", names.join(", ")));
        }
        found
    }

    /// One of the named choices that must be there.
    pub fn need_choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        if self.value(key).is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.missing(key, &format!("one of: {}", names.join(", ")));
            return None;
        }
        self.choice(key, choices)
    }

    fn child(&self, value: &'a Spanned<DeValue<'a>>, path: String) -> Option<Table<'a>> {
        let table = value.get_ref().as_table()?;
        Some(Table::new(self.page, table, value.span(), path))
    }

    /// A sub-table, if the key is there.
    pub fn table(&self, key: &str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        let child = self.child(value, self.key_path(key));
        if child.is_none() {
            let found = value.get_ref().type_str();
            self.fault(
                key,
                format!("expected a table, found {found}"),
                format!("write a `[{}]` table", self.key_path(key)),
            );
        }
        child
    }

    /// A sub-table that must be there.
    pub fn need_table(&self, key: &str) -> Option<Table<'a>> {
        if self.value(key).is_none() {
            self.missing(key, &format!("a [{}] table", self.key_path(key)));
            return None;
        }
        self.table(key)
    }

    /// The tables of an array of tables, in order; empty where the key is missing.
    pub fn tables(&self, key: &str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let path = self.key_path(key);
            self.fault(
                key,
                format!("expected a list of tables, found {}", value.get_ref().type_str()),
                format!("write `[[{path}]]` tables"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (i, item) in array.iter().enumerate() {
            let path = format!("{}[{i}]", self.key_path(key));
            match self.child(item, path) {
                Some(table) => tables.push(table),
                None => self.page.note(
                    item.span().start,
                    format!("{}[{i}]: expected a table, found {}", self.key_path(key), item.get_ref().type_str()),
                    None,
                ),
            }
        }
        tables
    }

    /// The named sub-tables of the sub-table `key` (`[axes.x]`, `[axes.y]`), in the order of the file.
    pub fn named_tables(&self, key: &str) -> Vec<(&'a str, Table<'a>)> {
        let Some(parent) = self.table(key) else { return Vec::new() };
        let mut named: Vec<(usize, &'a str, Table<'a>)> = Vec::new();
        for (name, _) in parent.table {
            let name: &'a str = name.get_ref();
            let start = parent.table.get(name).map_or(0, |v| v.span().start);
            if let Some(child) = parent.table(name) {
                named.push((start, name, child));
            }
        }
        named.sort_by_key(|(start, ..)| *start);
        named.into_iter().map(|(_, name, table)| (name, table)).collect()
    }

    /// The numbers of a table of numbers (`{ x = 0, y = 1.5 }`), by key; faults for others.
    pub fn numbers(&self) -> Vec<(&'a str, f64)> {
        let mut found = Vec::new();
        for (name, _) in self.table {
            let name: &'a str = name.get_ref();
            if let Some(value) = self.f64(name) {
                found.push((name, value));
            }
        }
        found
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if asked.contains(name) {
                continue;
            }
            let near = asked.iter().filter(|k| !self.has(k)).map(|k| (distance(k, name), k)).min();
            let begun = asked.iter().find(|k| !self.has(k) && k.starts_with(name));
            let hint = match (begun, near) {
                (Some(k), _) => format!("did you mean `{k}`?"),
                (_, Some((d, k))) if d <= 2 || d * 3 <= name.len() => format!("did you mean `{k}`?"),
                _ if asked.is_empty() => "remove it".to_string(),
                _ => format!("known here: {}", asked.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
            };
            self.page.note(key.span().start, format!("unknown key {}", self.key_path(name)), Some(hint));
        }
    }
}

fn some(hint: impl Into<String>) -> Option<String> {
    let hint = hint.into();
    (!hint.is_empty()).then_some(hint)
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let parsed = match value {
        DeValue::Float(f) => f.as_str().parse::<f64>().ok(),
        #[expect(clippy::cast_precision_loss, reason = "an integer given for a physical quantity")]
        DeValue::Integer(_) => integer(value).map(|i| i as f64),
        _ => None,
    };
    parsed.filter(|v| v.is_finite())
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let DeValue::Integer(i) = value else { return None };
    i64::from_str_radix(i.as_str(), i.radix()).ok()
}

fn numbers(value: &DeValue<'_>) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(|v| number(v.get_ref())).collect()
}

/// Edits (insert, delete, replace) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replace = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults<T: fmt::Debug>(text: &str, build: impl FnOnce(&Table<'_>) -> Option<T>) -> Vec<String> {
        read(text, build).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_faults_of_a_file_are_told_at_once_in_order() {
        let got = faults("nmae = 3\nage = \"x\"\n[sub]\nz = 1\n", |t| {
            let name = t.need_str("name").map(str::to_string);
            let age = t.need_f64("age");
            t.table("sub").map(|s| s.f64("y"));
            Some((name?, age?))
        });
        assert_eq!(got.len(), 4, "{got:?}");
        assert!(got[0].starts_with("1:1: missing name"), "{}", got[0]);
        assert!(got[1].contains("1:1: unknown key nmae\n  hint: did you mean `name`?"), "{}", got[1]);
        assert!(got[2].contains("2:7: age: expected a finite number, found string"), "{}", got[2]);
        assert!(got[3].contains("4:1: unknown key sub.z"), "{}", got[3]);
    }

    #[test]
    fn grammar_errors_are_recovered_from_and_do_not_hide_others() {
        let got = faults("a = = 1\nb = 2\nc = \"no end\nd = true\n", |t| {
            t.f64("a");
            t.f64("b");
            t.str("c");
            t.f64("d")
        });
        assert!(got.iter().any(|f| f.starts_with("1:")), "{got:?}");
        assert!(got.iter().any(|f| f.starts_with("3:")), "{got:?}");
        assert!(got.iter().any(|f| f.contains("4:5: d: expected a finite number")), "{got:?}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_with_their_place() {
        let fault = &from_utf8(b"a = 1\nb = \xff").unwrap_err().0[0];
        assert_eq!((fault.line, fault.column), (2, 5));
        assert!(fault.message.contains("0xff"));
    }

    #[test]
    fn named_tables_come_in_the_order_of_the_file() {
        let names = read("[axes.z]\na = 1\n[axes.b]\na = 2\n", |t| {
            Some(t.named_tables("axes").iter().map(|(n, a)| (n.to_string(), a.f64("a"))).collect::<Vec<_>>())
        });
        assert_eq!(names.unwrap(), vec![("z".to_string(), Some(1.0)), ("b".to_string(), Some(2.0))]);
    }

    #[test]
    fn infinities_are_no_numbers() {
        assert!(faults("a = inf\nb = nan\n", |t| t.f64("a").zip(t.f64("b"))).len() == 2);
    }
}
