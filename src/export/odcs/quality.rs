//! Checks as quality rules of the standard: its library where that has one, else the check in words.

use serde::Serialize;

use crate::contract::Column;
use crate::job::{Check, CheckKind, InputSource, Job, Severity};

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quality {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arguments>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_be: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_be_greater_or_equal_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_be_less_or_equal_to: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_be_between: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    /// Of a check that only its own engine runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    implementation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    severity: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Arguments {
    Properties(Vec<String>),
    ValidValues(Vec<String>),
    Pattern(String),
}

/// The rules of the table as a whole; the grain is the first.
pub(super) fn of_table(job: &Job) -> Vec<Quality> {
    let grain = duplicates(Some(job.table.grain.clone()), Severity::Block);
    let others = job.checks.iter().filter(|check| single_column(&check.kind).is_none()).map(rule);
    std::iter::once(grain).chain(others).collect()
}

/// The rules of one column.
pub(super) fn of_column(column: &Column, checks: &[Check]) -> Vec<Quality> {
    checks.iter().filter(|check| single_column(&check.kind) == Some(&column.name)).map(rule).collect()
}

/// The column that a check is of, when it is of one alone.
fn single_column(kind: &CheckKind) -> Option<&String> {
    match kind {
        CheckKind::Unique { columns } | CheckKind::NotNull { columns } | CheckKind::Relationship { columns, .. } => {
            columns.first().filter(|_| columns.len() == 1)
        }
        CheckKind::AcceptedValues { column, .. }
        | CheckKind::Range { column, .. }
        | CheckKind::Matches { column, .. }
        | CheckKind::NullRate { column, .. }
        | CheckKind::Distribution { column, .. }
        | CheckKind::Freshness { column, .. } => Some(column),
        CheckKind::RowCount { .. } | CheckKind::RowCountChange { .. } | CheckKind::Sql { .. } => None,
    }
}

fn rule(check: &Check) -> Quality {
    let one = single_column(&check.kind).is_some();
    let mut rule = match &check.kind {
        CheckKind::Unique { columns } => duplicates((!one).then(|| columns.clone()), check.severity),
        CheckKind::NotNull { .. } if one => library("nullValues", None),
        CheckKind::NotNull { columns } => text(format!("{} have values", columns.join(", "))),
        CheckKind::AcceptedValues { values, .. } => {
            library("invalidValues", Some(Arguments::ValidValues(values.clone())))
        }
        CheckKind::Matches { pattern, .. } => library("invalidValues", Some(Arguments::Pattern(pattern.clone()))),
        CheckKind::NullRate { max, .. } => Quality {
            must_be: None,
            must_be_less_or_equal_to: Some(max * 100.0),
            unit: Some("percent"),
            ..library("nullValues", None)
        },
        CheckKind::RowCount { min, max } => row_count(*min, *max),
        CheckKind::Range { column, min, max } => text(match (min, max) {
            (Some(min), Some(max)) => format!("{column} lies from {min} to {max}, both included"),
            (Some(min), None) => format!("{column} is at least {min}"),
            (None, max) => format!("{column} is at most {}", max.as_deref().unwrap_or_default()),
        }),
        CheckKind::Relationship { columns, to, to_columns } => {
            let to = match to {
                InputSource::Snapshot(name) => format!("the snapshot {name}"),
                InputSource::Table(name) => format!("the table {name}"),
            };
            text(format!("{} exists as {} in {to} of the same day", columns.join(", "), to_columns.join(", ")))
        }
        CheckKind::RowCountChange { max } => {
            text(format!("the number of rows changes by at most {} percent from one day to the next", max * 100.0))
        }
        CheckKind::Distribution { column, max } => text(format!(
            "the shares of the values of {column} differ by at most {} percent in all from the day before",
            max * 100.0
        )),
        CheckKind::Freshness { column, max_age_hours } => {
            text(format!("the latest {column} is at most {max_age_hours} hours before the end of the day"))
        }
        CheckKind::Sql { name, sql } => Quality {
            name: Some(name.clone()),
            r#type: "custom",
            engine: Some("gatefold"),
            implementation: Some(sql.trim().to_owned()),
            ..Quality::default()
        },
    };
    rule.severity = severity(check.severity);
    rule
}

fn duplicates(columns: Option<Vec<String>>, of: Severity) -> Quality {
    Quality { severity: severity(of), ..library("duplicateValues", columns.map(Arguments::Properties)) }
}

/// A metric of the standard that must count no row.
fn library(metric: &'static str, arguments: Option<Arguments>) -> Quality {
    Quality {
        r#type: "library",
        metric: Some(metric),
        arguments,
        must_be: Some(0),
        unit: Some("rows"),
        ..Quality::default()
    }
}

fn row_count(min: Option<u64>, max: Option<u64>) -> Quality {
    let counted = Quality { must_be: None, ..library("rowCount", None) };
    match (min, max) {
        (Some(min), Some(max)) if min == max => Quality { must_be: Some(min), ..counted },
        (Some(min), Some(max)) => Quality { must_be_between: Some([min, max]), ..counted },
        (Some(min), None) => Quality { must_be_greater_or_equal_to: Some(min), ..counted },
        (None, max) => Quality { must_be_less_or_equal_to: max.map(|max| max as f64), ..counted },
    }
}

fn text(description: String) -> Quality {
    Quality { r#type: "text", description: Some(description), ..Quality::default() }
}

fn severity(of: Severity) -> &'static str {
    match of {
        Severity::Block => "error",
        Severity::Warn => "warning",
    }
}
