//! Reading a small CSV table: named columns, and the place of every value for messages. Knows nothing of what it is about.

use units::text::Fault;

pub(crate) struct Cell {
    /// Column in characters, from 1.
    pub(crate) column: usize,
    pub(crate) text: String,
}

pub(crate) struct Row {
    pub(crate) line: usize,
    cells: Vec<Cell>,
}

pub(crate) struct Table {
    pub(crate) header_line: usize,
    pub(crate) header: Vec<Cell>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// The table of a text, without rows of the wrong length; nothing where there is no header.
    pub(crate) fn read(text: &str, faults: &mut Vec<Fault>) -> Option<Table> {
        let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
        let Some((at, first)) = lines.next() else {
            let hint = "the first line names the columns";
            faults.push(fault(1, 1, "the table is empty".into(), Some(hint.into())));
            return None;
        };
        let header = cells(first, at + 1, faults)?;
        let note = header.iter().position(|c| c.text == "note" || c.text == "notes");
        let mut rows = Vec::new();
        for (at, line) in lines {
            let Some(mut cells) = cells(line, at + 1, faults) else { continue };
            if let Some(note) = note {
                join(&mut cells, note, header.len());
            }
            if cells.len() == header.len() {
                rows.push(Row { line: at + 1, cells });
                continue;
            }
            let message = format!("{} values for the {} columns of the header", cells.len(), header.len());
            faults.push(fault(at + 1, 1, message, Some("a text that holds commas goes in double quotes".into())));
        }
        Some(Table { header_line: at + 1, header, rows })
    }

    /// A row's number in a column; one that is missing, is none or is not `good` is noted.
    pub(crate) fn number(
        &self,
        row: &Row,
        name: &str,
        good: impl Fn(f64) -> bool,
        expect: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<f64> {
        let Some(cell) = self.cell(row, name) else {
            faults.push(fault(row.line, 1, format!("no value for column {name}"), None));
            return None;
        };
        let value = cell.text.parse::<f64>().ok().filter(|v| v.is_finite() && good(*v));
        if value.is_none() {
            let message = format!("column {name}: \"{}\" is no {expect}", cell.text);
            faults.push(fault(row.line, cell.column, message, None));
        }
        value
    }

    /// Whether all columns are there, once each.
    pub(crate) fn has(&self, columns: &[&str], faults: &mut Vec<Fault>) -> bool {
        let before = faults.len();
        for name in columns {
            let mut found = self.header.iter().filter(|c| c.text == *name);
            if found.next().is_none() {
                let hint = format!("the columns {} are needed, in any order", columns.join(", "));
                faults.push(fault(self.header_line, 1, format!("no column {name}"), Some(hint)));
            }
            for again in found {
                faults.push(fault(self.header_line, again.column, format!("a second column {name}"), None));
            }
        }
        faults.len() == before
    }

    /// A row's value in a column.
    pub(crate) fn cell<'r>(&self, row: &'r Row, name: &str) -> Option<&'r Cell> {
        row.cells.get(self.header.iter().position(|c| c.text == name)?)
    }
}

/// A note may hold commas without quotes: what is too much in a row is its.
fn join(cells: &mut Vec<Cell>, note: usize, columns: usize) {
    while cells.len() > columns && note + 1 < cells.len() {
        let next = cells.remove(note + 1);
        cells[note].text.push(',');
        cells[note].text.push_str(&next.text);
    }
}

/// The values of a line; a quote within a quoted value is doubled.
fn cells(line: &str, number: usize, faults: &mut Vec<Fault>) -> Option<Vec<Cell>> {
    let mut cells = vec![Cell { column: 1, text: String::new() }];
    let mut quote = None;
    let mut chars = line.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        let cell = cells.last_mut()?;
        match c {
            '"' if quote.is_some() && chars.next_if(|(_, next)| *next == '"').is_some() => cell.text.push('"'),
            '"' if quote.is_some() => quote = None,
            '"' if cell.text.trim().is_empty() => quote = Some(at + 1),
            ',' if quote.is_none() => cells.push(Cell { column: at + 2, text: String::new() }),
            c => cell.text.push(c),
        }
    }
    if let Some(column) = quote {
        faults.push(fault(number, column, "a double quote that does not end on its line".into(), None));
        return None;
    }
    for cell in &mut cells {
        cell.text = cell.text.trim().to_string();
    }
    Some(cells)
}

pub(crate) fn fault(line: usize, column: usize, message: String, hint: Option<String>) -> Fault {
    Fault { line, column, message, hint }
}
