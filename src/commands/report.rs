//! How results and failures look on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::error::Error;

/// The exit code by which a shell knows a program that wrote to a pipe that nobody reads: 128 and the number of SIGPIPE.
pub const NOBODY_READS: i32 = 128 + 13;

/// An error on stderr: what, where, why, what to do.
pub fn error(error: &Error) {
    eprint!("{}", error_text(error, colour()));
}

pub fn error_text(error: &Error, colour: bool) -> String {
    let paint =
        |text: &str, code: &str| if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut text = format!("{} {}\n", paint("error:", "1;31"), error.message());
    for (key, value) in error.context() {
        text += &format!("  {} {value}\n", paint(&format!("{key}:"), "2"));
    }
    for cause in error.causes() {
        let first = cause.lines().next().unwrap_or_default();
        text += &format!("  {} {first}\n", paint("cause:", "2"));
    }
    if let Some(hint) = error.hint_text() {
        text += &format!("  {} {hint}\n", paint("hint:", "1;36"));
    }
    text
}

/// Whether stderr is a terminal that wants colour.
pub fn colour() -> bool {
    colour_on(&std::io::stderr())
}

/// Whether this stream is a terminal that can show colour, and its owner wants it: https://no-color.org
pub fn colour_on(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A terminal that only prints, such as that of an editor.
pub fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// A table without lines; columns whose header ends with `#` are numbers and stand to the right.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(header.iter().map(|name| name.trim_end_matches('#').to_owned()));
    table.add_rows(rows);
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if name.ends_with('#') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt()
}

/// 1234567 as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// At most three figures and a unit: 999, 12.3k, 1.2M.
pub fn compact(number: u64) -> String {
    let units = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| number >= *size) else { return number.to_string() };
    // Cut and not rounded, so that 999,999 is not 1000k.
    let tenths = number / (size / 10);
    if tenths >= 1_000 { format!("{}{unit}", tenths / 10) } else { format!("{}.{}{unit}", tenths / 10, tenths % 10) }
}

pub fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}

pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60),
        _ => format!("{} h {:02} min", time.as_secs() / 3600, time.as_secs() % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            [999, 12_345, 999_999, 1_250_000, 123_456_789].map(compact),
            ["999", "12.3k", "999k", "1.2M", "123M"]
        );
        assert_eq!(seconds(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn an_error_says_what_where_why_and_what_to_do() {
        let error = Error::project("'teir' is not a column")
            .with("file", "jobs/user_daily.toml:3:4")
            .source(std::io::Error::other("deeper"))
            .hint("did you mean 'tier'?");
        assert_eq!(
            error_text(&error, false),
            "error: 'teir' is not a column\n  file: jobs/user_daily.toml:3:4\n  cause: deeper\n  hint: did you mean 'tier'?\n"
        );
    }
}
