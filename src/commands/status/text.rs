//! The screen: a line a table, and below it what is wrong and what to type next.

use super::lines::lines;
use super::look::Look;
use crate::status::{Problem, Report, Severity};

/// `flags` lead to the same project and environment.
pub(super) fn page(report: &Report, flags: &str, look: &Look) -> String {
    let mut text = format!("{} at {}\n", report.environment, report.now.format("%Y-%m-%d %H:%M UTC"));
    text += &lines(report, look);
    text += &verdict(report, flags, look);
    for warning in &report.warnings {
        text += &format!("{} {warning}\n", look.paint("warning:", "33"));
    }
    text
}

/// What is wrong and what to do, or that nothing is.
fn verdict(report: &Report, flags: &str, look: &Look) -> String {
    if report.is_untouched() {
        let next = look.paint(&format!("gatefold run{flags}"), "1;36");
        return format!("\nnothing was published yet\n    {next}\n");
    }
    let (wrong, notes): (Vec<&Problem>, Vec<&Problem>) =
        report.problems.iter().partition(|problem| problem.severity > Severity::Note);
    let mut text = String::new();
    if wrong.is_empty() {
        text += &format!("\n{}\n", look.paint("all is well", "32"));
    }
    for problem in wrong.iter().chain(&notes).filter(|problem| problem.because.is_none()) {
        let followers = report.problems.iter().filter(|other| other.because.as_ref() == Some(&problem.job));
        text += &told(problem, followers.count(), look);
    }
    text
}

fn told(problem: &Problem, followers: usize, look: &Look) -> String {
    let mut text = String::from("\n");
    let name = match problem.severity {
        Severity::Broken => look.paint(&problem.table.to_string(), "1;31"),
        Severity::Missing => look.paint(&problem.table.to_string(), "1;33"),
        Severity::Note => problem.table.to_string(),
    };
    for (number, reason) in problem.reasons.iter().enumerate() {
        let begin = if number == 0 { format!("{name}: ") } else { "    ".to_owned() };
        let used = if number == 0 { problem.table.to_string().chars().count() + 2 } else { 4 };
        text += &format!("{begin}{}\n", wrapped(&reason.text, used, look));
    }
    if !problem.waiting.is_empty() {
        let names: Vec<&str> = problem.waiting.iter().map(|job| job.as_str()).collect();
        let held = if followers > 0 { format!(" ({followers} late or missing with it)") } else { String::new() };
        text += &format!("    {}\n", wrapped(&format!("waited for by {}{held}", names.join(", ")), 4, look));
    }
    // A command is never cut: it is there to be copied.
    text += &format!("    {}\n", look.paint(&problem.next, "1;36"));
    text
}

/// The first line of a text in lines that fit the terminal, those after the first set in; `used` is what stands before it.
fn wrapped(text: &str, used: usize, look: &Look) -> String {
    let text = text.lines().next().unwrap_or_default();
    let Some(width) = look.width else { return text.to_owned() };
    let (mut told, mut column) = (String::new(), used);
    for (number, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if number > 0 && column + 1 + length > width {
            told += "\n    ";
            column = 4;
        } else if number > 0 {
            told += " ";
            column += 1;
        }
        told += word;
        column += length;
    }
    told
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::PLAIN;
    use super::*;
    use crate::job::Severity as CheckSeverity;
    use crate::status::tests::{check, day, failed, job, last_run, latest, reading, well};
    use crate::status::{JobOutcome, Latest, RowsOfDay, TableFacts};

    #[test]
    fn a_sentence_is_wrapped_behind_what_stands_before_it() {
        let narrow = Look { width: Some(30), ..PLAIN };
        let sentence = "a sentence that is longer than the line";
        assert_eq!(wrapped(sentence, 10, &narrow), "a sentence that is\n    longer than the line");
        assert_eq!(wrapped(sentence, 10, &PLAIN), sentence);
    }

    /// A morning on call: raw was blocked, daily waits for it, plans are late by themselves, and two tables are well.
    fn morning() -> Report {
        let day_of = |index: usize| RowsOfDay { date: day("20").days_ago(13 - index as u32).unwrap(), rows: 0 };
        let rows = [5, 6, 5, 7, 8, 9, 9, 8, 7, 8, 9, 12, 11, 12];
        let trend: Vec<RowsOfDay> =
            rows.iter().enumerate().map(|(index, rows)| RowsOfDay { rows: rows * 100_000, ..day_of(index) }).collect();
        let rows = |rows| latest("20").map(|latest| Latest { rows, ..latest });
        let raw = TableFacts {
            latest: latest("19"),
            last_run: last_run("20", failed("check_blocked", 12)),
            failing_checks: vec![check(CheckSeverity::Block)],
            ..well("raw")
        };
        let daily = TableFacts {
            latest: latest("19"),
            last_run: last_run("20", JobOutcome::Skipped { because: job("raw") }),
            ..well("daily")
        };
        let plans = TableFacts { latest: latest("17"), last_run: None, in_bigquery: Some(true), ..well("plans") };
        let users = TableFacts {
            latest: rows(1_200_000),
            trend,
            failing_checks: vec![check(CheckSeverity::Warn)],
            ..well("users")
        };
        let whole = TableFacts { promise: None, latest: rows(12), in_bigquery: Some(true), ..well("whole") };
        reading(vec![raw, daily, plans, users, whole], &[("daily", "raw")])
    }

    #[test]
    fn a_screen_tells_what_is_wrong_and_what_to_type() {
        let look = Look { width: Some(100), ..PLAIN };
        let page = page(&morning(), " --env prod", &look);
        assert!(page.lines().all(|line| line.chars().count() <= 100 || line.starts_with("    gatefold")), "{page}");
        insta::assert_snapshot!(page, @r"
        prod at 2026-11-21 12:00 UTC
           table       last day    promise  last run         rows           trend  checks   BigQuery
        ✗  shop.raw    2026-11-19  late 6h   8h failed (12)  1.0k                  1 block
        !  shop.daily  2026-11-19  late 6h   8h skipped      1.0k                  pass
        !  shop.plans  2026-11-17  late 2d  never            1.0k                  pass     shown
           shop.users  2026-11-20  on time   8h ok           1.2M  ▁▂▁▂▃▃▃▃▂▃▃▇▅▇  1 warn
           shop.whole  2026-11-20  none      8h ok             12                  pass     shown

        shop.raw: the run for 2026-11-20 failed (12): it went wrong
            late since 2026-11-21 06:00 UTC, 6 h: 2026-11-20 is not there
            waited for by daily (1 late or missing with it)
            gatefold show 20261121t033000000z-00000002 --env prod

        shop.plans: late since 2026-11-19 06:00 UTC, 2 days: 2026-11-18 to 2026-11-20 are not there; no run
            has tried
            gatefold backfill plans --from 2026-11-18 --to 2026-11-20 --env prod

        shop.users: checks warn: null_rate(city)
            gatefold show 20261121t033000000z-00000001 --env prod
        ");
        let plain = Look { unicode: false, ..look };
        assert!(super::page(&morning(), "", &plain).is_ascii());
    }

    #[test]
    fn colour_changes_no_letter() {
        let coloured = page(&morning(), "", &Look { colour: true, ..PLAIN });
        let mut letters = String::new();
        for (number, part) in coloured.split('\u{1b}').enumerate() {
            letters += if number == 0 { part } else { part.split_once('m').unwrap().1 };
        }
        assert!(coloured.len() > letters.len());
        assert_eq!(letters, page(&morning(), "", &PLAIN));
    }
}
