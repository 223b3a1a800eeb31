//! A line a table.

use chrono::{DateTime, TimeDelta, Utc};

use super::look::Look;
use crate::commands::report::compact;
use crate::job::Severity as CheckSeverity;
use crate::status::{JobOutcome, PromiseState, Report, Severity, TableStatus};

const TABLE: usize = 1;
const TREND: usize = 6;

/// The table of tables, never wider than the terminal: the trend gives way first, then the ends of names.
pub(super) fn lines(report: &Report, look: &Look) -> String {
    let bigquery = report.tables.iter().any(|table| table.facts.in_bigquery.is_some());
    let mut rows = vec![
        ["", "table", "last day", "promise", "last run", "rows", "trend", "checks", "BigQuery"].map(str::to_owned),
    ];
    rows.extend(report.tables.iter().map(|table| cells(table, report.now, look)));
    if !bigquery {
        rows.iter_mut().for_each(|row| row[8].clear());
    }
    let mut widths = [0; 9];
    for row in &rows {
        row.iter().zip(&mut widths).for_each(|(cell, width)| *width = cell.chars().count().max(*width));
    }
    fit(&mut widths, look.width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let line = line(row, &widths, look);
        let colour = match number.checked_sub(1).and_then(|table| report.tables.get(table)) {
            None => "2",
            Some(table) => colour_of(table.severity),
        };
        text += &(if colour.is_empty() { line } else { look.paint(&line, colour) });
        text += "\n";
    }
    text
}

fn fit(widths: &mut [usize; 9], limit: Option<usize>) {
    let total = |widths: &[usize; 9]| {
        let shown = widths.iter().filter(|width| **width > 0);
        shown.clone().sum::<usize>() + 2 * shown.count().saturating_sub(1)
    };
    let Some(limit) = limit else { return };
    if total(widths) > limit {
        widths[TREND] = widths[TREND].min(7);
    }
    if total(widths) > limit {
        widths[TREND] = 0;
    }
    let over = total(widths).saturating_sub(limit);
    widths[TABLE] = widths[TABLE].saturating_sub(over).max(8);
}

fn line(row: &[String; 9], widths: &[usize; 9], look: &Look) -> String {
    let cells = row.iter().zip(widths).enumerate().filter(|(_, (_, width))| **width > 0);
    let cells = cells.map(|(column, (cell, width))| {
        let length = cell.chars().count();
        let cut = match column {
            // The newest days of a trend stand last.
            TREND => cell.chars().skip(length.saturating_sub(*width)).collect(),
            _ if length > *width => {
                let kept = width.saturating_sub(look.more().chars().count());
                cell.chars().take(kept).chain(look.more().chars()).collect()
            }
            _ => cell.clone(),
        };
        if column == 5 || column == TREND { format!("{cut:>width$}") } else { format!("{cut:<width$}") }
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn cells(table: &TableStatus, now: DateTime<Utc>, look: &Look) -> [String; 9] {
    let facts = &table.facts;
    let latest = facts.latest.as_ref();
    let day = match latest {
        Some(latest) => latest.date.map_or_else(|| "unknown".to_owned(), |date| date.to_string()),
        None if facts.unreadable.is_some() => "unreadable".to_owned(),
        None => "never".to_owned(),
    };
    let bigquery = match facts.in_bigquery {
        Some(true) => "shown",
        Some(false) => "not yet",
        None => "",
    };
    [
        mark(table.severity, look).to_owned(),
        facts.table.to_string(),
        day,
        promise_text(&table.promise, now),
        last_run_text(table, now),
        latest.map(|latest| compact(latest.rows)).unwrap_or_default(),
        sparkline(&facts.trend.iter().map(|day| day.rows).collect::<Vec<_>>(), look.unicode),
        checks_text(table),
        bigquery.to_owned(),
    ]
}

fn mark(severity: Option<Severity>, look: &Look) -> &'static str {
    match (severity, look.unicode) {
        (Some(Severity::Broken), true) => "✗",
        (Some(Severity::Broken), false) => "x",
        (Some(Severity::Missing), _) => "!",
        (Some(Severity::Note) | None, _) => " ",
    }
}

fn colour_of(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Broken) => "31",
        Some(Severity::Missing) => "33",
        Some(Severity::Note) | None => "",
    }
}

fn promise_text(promise: &PromiseState, now: DateTime<Utc>) -> String {
    match promise {
        PromiseState::NoPromise => "none".to_owned(),
        PromiseState::OnTime => "on time".to_owned(),
        PromiseState::Late { since, .. } => format!("late {}", age(now - *since)),
        PromiseState::Stale { age_hours, .. } => {
            format!("stale {}", age(TimeDelta::seconds((age_hours * 3600.0) as i64)))
        }
        PromiseState::Unknown => "unknown".to_owned(),
    }
}

fn last_run_text(table: &TableStatus, now: DateTime<Utc>) -> String {
    let Some(run) = &table.facts.last_run else { return "never".to_owned() };
    let ago = age(now - run.started_at);
    let outcome = match &run.outcome {
        JobOutcome::Published => "ok".to_owned(),
        JobOutcome::UpToDate => "up to date".to_owned(),
        JobOutcome::Failed { exit_code, .. } => format!("failed ({exit_code})"),
        JobOutcome::Skipped { .. } => "skipped".to_owned(),
        JobOutcome::Running => "running".to_owned(),
        JobOutcome::Interrupted => "interrupted".to_owned(),
        JobOutcome::Untold => "not told".to_owned(),
    };
    format!("{ago:>3} {outcome}")
}

fn checks_text(table: &TableStatus) -> String {
    if table.facts.audited_by.is_none() {
        return String::new();
    }
    let failing = |severity| table.facts.failing_checks.iter().filter(|check| check.severity == severity).count();
    match (failing(CheckSeverity::Block), failing(CheckSeverity::Warn)) {
        (0, 0) => "pass".to_owned(),
        (0, warn) => format!("{warn} warn"),
        (block, 0) => format!("{block} block"),
        (block, warn) => format!("{block} block, {warn} warn"),
    }
}

/// At most three figures and a letter: `45s`, `12m`, `7h`, `3d`.
fn age(time: TimeDelta) -> String {
    match time.num_seconds().max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// The rows of days between their least and their greatest. Changes of no more than a twentieth are noise, and drawn flat.
fn sparkline(rows: &[u64], unicode: bool) -> String {
    let levels: [char; 5] = if unicode { ['▁', '▂', '▃', '▅', '▇'] } else { ['_', '.', '-', '=', '#'] };
    let (least, greatest) = (rows.iter().min().copied().unwrap_or(0), rows.iter().max().copied().unwrap_or(0));
    let range = greatest - least;
    if u128::from(range) * 20 <= u128::from(greatest) {
        return rows.iter().map(|_| levels[2]).collect();
    }
    let level =
        |rows: &u64| ((u128::from(rows - least) * 4 + u128::from(range) / 2) / u128::from(range.max(1))) as usize;
    rows.iter().map(|rows| levels[level(rows).min(4)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::PLAIN;
    use super::*;

    #[test]
    fn a_trend_is_drawn_between_its_least_and_its_greatest() {
        assert_eq!(sparkline(&[10, 20, 30, 40, 50], true), "▁▂▃▅▇");
        assert_eq!(sparkline(&[10, 20, 30, 40, 50], false), "_.-=#");
        assert_eq!(sparkline(&[1_000, 1_001, 1_049], true), "▃▃▃");
        assert_eq!(sparkline(&[0, 0], true), "▃▃");
        assert_eq!(sparkline(&[u64::MAX, 0], true), "▇▁");
        assert_eq!(sparkline(&[], true), "");
    }

    #[test]
    fn lines_are_cut_to_the_terminal_and_the_trend_gives_way_first() {
        let row: [String; 9] = [
            "!",
            "shop.a_table_with_a_long_name",
            "2026-11-20",
            "on time",
            " 8h ok",
            "1.2M",
            "▁▂▃▅▇▁▂▃▅▇▁▂▃▅",
            "pass",
            "",
        ]
        .map(str::to_owned);
        let at = |width| {
            let mut widths = [0; 9];
            row.iter().zip(&mut widths).for_each(|(cell, width)| *width = cell.chars().count());
            fit(&mut widths, width);
            line(&row, &widths, &PLAIN)
        };
        assert_eq!(
            at(None),
            "!  shop.a_table_with_a_long_name  2026-11-20  on time   8h ok  1.2M  ▁▂▃▅▇▁▂▃▅▇▁▂▃▅  pass"
        );
        assert_eq!(at(Some(86)), "!  shop.a_table_with_a_long_name  2026-11-20  on time   8h ok  1.2M  ▃▅▇▁▂▃▅  pass");
        assert_eq!(at(Some(76)), "!  shop.a_table_with_a_long_name  2026-11-20  on time   8h ok  1.2M  pass");
        assert_eq!(at(Some(60)), "!  shop.a_table_wi…  2026-11-20  on time   8h ok  1.2M  pass");
    }

    #[test]
    fn ages_have_one_unit() {
        let told = [59, 60, 7_200, 172_799, 172_800].map(|seconds| age(TimeDelta::seconds(seconds)));
        assert_eq!(told, ["59s", "1m", "2h", "47h", "2d"]);
    }
}
