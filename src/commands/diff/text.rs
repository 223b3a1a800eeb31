//! What `diff` prints for people.

use super::Report;
use crate::commands::report::{count, table};
use crate::diff::{ColumnDifference, Key, Rows};

pub(super) fn of(report: &Report<'_>) -> String {
    let day = report.date.map(|date| format!(" of {date}")).unwrap_or_default();
    let mut text = format!("{}{day}: from {} to {}\n\n", report.table, report.from, report.to);
    let rows = report.difference.rows;
    text += &rows_text(rows, report);
    text += &columns_text(&report.difference.columns, rows);
    for (title, column) in [("added", &report.difference.added), ("removed", &report.difference.removed)] {
        text += &keys_text(title, column);
    }
    for (what, names) in
        [(format!("only in {}", report.from), report.only_from), (format!("only in {}", report.to), report.only_to)]
    {
        text += &not_compared(&what, names);
    }
    text += &not_compared("of two types", report.retyped);
    text += &match report.shared_files {
        0 => String::new(),
        1 => "\n1 file is the same on both sides and was not read\n".to_owned(),
        files => format!("\n{files} files are the same on both sides and were not read\n"),
    };
    text
}

fn rows_text(rows: Rows, report: &Report<'_>) -> String {
    let [from, to] = [report.from, report.to].map(|side| format!("rows of {side}#"));
    let header = [from.as_str(), "removed#", "added#", "changed#", "unchanged#", to.as_str()];
    let figures = [rows.from, rows.removed, rows.added, rows.changed, rows.unchanged, rows.to];
    format!("{}\n", table(&header, vec![figures.map(count).to_vec()]))
}

/// The columns that differ, the most frequent first.
fn columns_text(columns: &[ColumnDifference], rows: Rows) -> String {
    let mut differing: Vec<&ColumnDifference> = columns.iter().filter(|column| column.changed > 0).collect();
    if differing.is_empty() {
        return String::new();
    }
    differing.sort_by_key(|column| std::cmp::Reverse(column.changed));
    let lines = differing.iter().flat_map(|column| column_lines(column, rows.changed)).collect();
    let same = columns.len() - differing.len();
    let others = match same {
        0 => String::new(),
        1 => "1 other column is the same in all rows that both have\n".to_owned(),
        _ => format!("{same} other columns are the same in all rows that both have\n"),
    };
    format!("\n{}\n{others}", table(&["column", "changed#", "share#", "for example"], lines))
}

/// A line for each example.
fn column_lines(column: &ColumnDifference, changed: u64) -> Vec<Vec<String>> {
    let share = format!("{:.1} %", column.changed as f64 / changed as f64 * 100.0);
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let examples = column
        .examples
        .iter()
        .map(|example| format!("{}: {} -> {}", example.key, shown(&example.before), shown(&example.after)));
    let mut examples = examples.collect::<Vec<_>>().into_iter();
    let first = vec![column.name.clone(), count(column.changed), share, examples.next().unwrap_or_default()];
    let more = examples.map(|example| vec![String::new(), String::new(), String::new(), example]);
    std::iter::once(first).chain(more).collect()
}

fn keys_text(title: &str, keys: &[Key]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let lines: String = keys.iter().map(|key| format!("  {key}\n")).collect();
    format!("\n{title}, for example:\n{lines}")
}

fn not_compared(what: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("\n{what}, not compared: {}\n", names.join(", ")) }
}
