//! From `[[check]]` to a [`Check`]: the columns are there and of a type that the kind can judge, the bounds make sense.

use std::ops::Range;

use super::literal::Literal;
use super::raw::{RawCheck, RawCondition, RawSeverity, Scalar};
use super::read::Scope;
use super::{Check, CheckKind, Input, InputSource, Severity};
use crate::contract::{Column, ColumnSet, ColumnType, distinct, not_blank};
use crate::error::{Error, Result};
use crate::names::JobName;
use crate::toml_file::{At, TomlFile, suggest};

pub(crate) struct CheckReader<'a> {
    pub file: &'a TomlFile,
    /// The columns of the job's own table, or of the snapshot.
    pub columns: &'a ColumnSet<'a>,
    /// What a relationship may point at; a snapshot's contract speaks of its own day alone.
    pub related: Option<Related<'a>>,
}

/// What surrounds a job's table.
pub(crate) struct Related<'a> {
    pub inputs: &'a [Input],
    pub job: &'a JobName,
    pub scope: &'a Scope<'a>,
}

impl CheckReader<'_> {
    pub fn read_all(&self, checks: &[At<RawCheck>]) -> Result<Vec<Check>> {
        let names = checks.iter().filter_map(|check| match &check.condition {
            RawCondition::Sql { name, .. } => Some(name),
            _ => None,
        });
        distinct(self.file, names)?;
        checks.iter().map(|check| self.read(check)).collect()
    }

    fn read(&self, check: &At<RawCheck>) -> Result<Check> {
        let severity = match check.severity {
            RawSeverity::Block => Severity::Block,
            RawSeverity::Warn => Severity::Warn,
        };
        Ok(Check { kind: self.kind(check.span(), &check.condition)?, severity, at: self.file.location(check.span()) })
    }

    fn kind(&self, span: Range<usize>, condition: &RawCondition) -> Result<CheckKind> {
        if self.related.is_none() && !condition.fits_a_snapshot() {
            return Err(self
                .refuse(
                    span,
                    "the check compares with another table or an earlier day, and a contract speaks of one day",
                )
                .hint("state it in the job that reads the snapshot, or compare in its model"));
        }
        Ok(match condition {
            RawCondition::Unique { column, columns } => {
                let columns = self.listed(span, "column", column.as_ref(), columns.as_ref())?;
                self.each_of(columns, "compare rows by", |kind| !kind.is_nested())?;
                CheckKind::Unique { columns: names(columns) }
            }
            RawCondition::NotNull { column, columns } => {
                let columns = self.listed(span, "column", column.as_ref(), columns.as_ref())?;
                self.columns.find_all(columns)?;
                CheckKind::NotNull { columns: names(columns) }
            }
            RawCondition::AcceptedValues { column, values } => self.accepted_values(column, values)?,
            RawCondition::Range { column, min, max } => self.range(span, column, min.as_ref(), max.as_ref())?,
            RawCondition::Matches { column, pattern } => self.matches(column, pattern)?,
            RawCondition::Relationship { column, columns, to, to_column, to_columns } => {
                let columns = self.listed(span.clone(), "column", column.as_ref(), columns.as_ref())?;
                self.each_of(columns, "look up", |kind| !kind.is_nested())?;
                let to_columns = match (to_column, to_columns) {
                    (None, None) => columns,
                    (one, many) => self.listed(span, "to_column", one.as_ref(), many.as_ref())?,
                };
                self.relationship(columns, to, to_columns)?
            }
            RawCondition::RowCount { min, max } => self.row_count(span, *min, max.as_ref())?,
            RawCondition::RowCountChange { max } => {
                CheckKind::RowCountChange { max: self.number(max, "max", f64::INFINITY)? }
            }
            RawCondition::NullRate { column, max } => {
                let column = self.columns.find(column)?.name.clone();
                CheckKind::NullRate { column, max: self.number(max, "max", 1.0)? }
            }
            RawCondition::Distribution { column, max } => {
                let column = self.one_of(column, "count the values of", |kind| !kind.is_nested())?.name.clone();
                CheckKind::Distribution { column, max: self.number(max, "max", 1.0)? }
            }
            RawCondition::Freshness { column, max_age_hours } => {
                let timed = |kind: &ColumnType| matches!(kind, ColumnType::Timestamp | ColumnType::Date);
                let column = self.one_of(column, "tell the age of", timed)?.name.clone();
                let max_age_hours = self.number(max_age_hours, "max_age_hours", f64::INFINITY)?;
                CheckKind::Freshness { column, max_age_hours }
            }
            RawCondition::Sql { name, sql } => {
                CheckKind::Sql { name: not_blank(self.file, name)?, sql: not_blank(self.file, sql)? }
            }
        })
    }

    fn accepted_values(&self, column: &At<String>, values: &At<Vec<At<Scalar>>>) -> Result<CheckKind> {
        let listable = |kind: &ColumnType| {
            matches!(kind, ColumnType::String | ColumnType::Int64 | ColumnType::Bool | ColumnType::Date)
        };
        let column = self.one_of(column, "list the values of", listable)?;
        if values.is_empty() {
            return Err(self.refuse(values.span(), "the list of values is empty").hint("state the values"));
        }
        let values = values.iter().map(|value| Ok(self.literal(value, column)?.canonical())).collect::<Result<_>>()?;
        Ok(CheckKind::AcceptedValues { column: column.name.clone(), values })
    }

    fn range(
        &self,
        span: Range<usize>,
        column: &At<String>,
        min: Option<&At<Scalar>>,
        max: Option<&At<Scalar>>,
    ) -> Result<CheckKind> {
        let column = self.one_of(column, "order the values of", ColumnType::is_ordered)?;
        match read_bounds(self.file, span.clone(), column, min, max)? {
            (None, None) => Err(self.refuse(span, "a range without bounds").hint("state min, max or both")),
            (min, max) => Ok(CheckKind::Range { column: column.name.clone(), min, max }),
        }
    }

    fn matches(&self, column: &At<String>, pattern: &At<String>) -> Result<CheckKind> {
        let column = self.one_of(column, "match texts of", |kind| *kind == ColumnType::String)?;
        regex::Regex::new(pattern).map_err(|error| {
            self.refuse(pattern.span(), format!("'{pattern}' is not a regular expression"))
                .hint("the syntax is that of the regex crate: no look-around, no back-references")
                .source(error)
        })?;
        Ok(CheckKind::Matches { column: column.name.clone(), pattern: pattern.to_string() })
    }

    fn relationship(&self, columns: &[At<String>], to: &At<String>, to_columns: &[At<String>]) -> Result<CheckKind> {
        let related = self.related.as_ref().ok_or_else(|| self.refuse(to.span(), "a snapshot stands alone"))?;
        let target = self.target(related, to)?;
        let there = related.scope.columns_of(&target);
        distinct(self.file, to_columns)?;
        for name in to_columns {
            if !there.contains(&name.as_str()) {
                return Err(self
                    .refuse(name.span(), format!("there is no column '{name}' in '{to}'"))
                    .hint(suggest(name, there.iter().copied())));
            }
        }
        if columns.len() != to_columns.len() {
            return Err(self
                .refuse(to.span(), format!("{} columns here stand against {} there", columns.len(), to_columns.len()))
                .hint("name as many in to_columns as in columns, in the same order"));
        }
        Ok(CheckKind::Relationship { columns: names(columns), to: target, to_columns: names(to_columns) })
    }

    /// An input by its name in the SQL, then by its own, then any other job: always of the run's own date.
    fn target(&self, related: &Related<'_>, to: &At<String>) -> Result<InputSource> {
        let named = |input: &&Input| match &input.source {
            InputSource::Snapshot(name) => name.as_str() == to.as_str(),
            InputSource::Table(name) => name.as_str() == to.as_str(),
        };
        let input = related.inputs.iter().find(|input| input.alias == to.as_str());
        let input = input.or_else(|| related.inputs.iter().filter(|input| input.days_ago == 0).find(named));
        match input {
            Some(input) if input.days_ago == 0 => return Ok(input.source.clone()),
            Some(_) => {
                return Err(self.refuse(to.span(), format!("the input '{to}' is of an earlier day")).hint(
                    "a relationship is to a table of the same day; compare with another by a check of kind \"sql\"",
                ));
            }
            None => {}
        }
        match related.scope.find(to) {
            Some(InputSource::Table(job)) if job != *related.job => Ok(InputSource::Table(job)),
            _ => {
                let inputs = related.inputs.iter().map(|input| input.alias.as_str());
                let jobs = related.scope.jobs.keys().filter(|job| *job != related.job).map(JobName::as_str);
                Err(self
                    .refuse(to.span(), format!("'{to}' is no input of the job and no other job"))
                    .hint(suggest(to, inputs.chain(jobs))))
            }
        }
    }

    fn row_count(&self, span: Range<usize>, min: Option<u64>, max: Option<&At<u64>>) -> Result<CheckKind> {
        match (min, max) {
            (None, None) => Err(self.refuse(span, "a row count without bounds").hint("state min, max or both")),
            (Some(min), Some(max)) if min > **max => {
                Err(self.refuse(max.span(), format!("no row count lies from {min} to {max}")).hint("swap the bounds"))
            }
            _ => Ok(CheckKind::RowCount { min, max: max.map(|max| **max) }),
        }
    }

    /// A number from 0 to `limit`.
    fn number(&self, number: &At<f64>, key: &str, limit: f64) -> Result<f64> {
        if number.is_finite() && (0.0..=limit).contains(&**number) {
            return Ok(**number);
        }
        let wanted = if limit.is_finite() { format!("a share: 0 to {limit}") } else { "0 or more".to_owned() };
        Err(self.refuse(number.span(), format!("{key} is {number}")).hint(format!("write {wanted}")))
    }

    fn literal(&self, scalar: &At<Scalar>, column: &Column) -> Result<Literal> {
        self.file.locate(scalar.span(), Literal::read(scalar, column))
    }

    /// `column = "a"` or `columns = ["a", "b"]`, exactly one of them.
    fn listed<'c>(
        &self,
        span: Range<usize>,
        key: &str,
        one: Option<&'c At<String>>,
        many: Option<&'c At<Vec<At<String>>>>,
    ) -> Result<&'c [At<String>]> {
        match (one, many) {
            (Some(one), None) => Ok(std::slice::from_ref(one)),
            (None, Some(many)) if !many.is_empty() => Ok(many),
            (None, Some(many)) => Err(self.refuse(many.span(), format!("'{key}s' is empty")).hint("name a column")),
            (Some(_), Some(many)) => {
                Err(self.refuse(many.span(), format!("both '{key}' and '{key}s' are there")).hint("keep one of them"))
            }
            (None, None) => {
                Err(self.refuse(span, format!("the key '{key}' is missing")).hint(format!("add {key} or {key}s")))
            }
        }
    }

    fn each_of(&self, columns: &[At<String>], purpose: &str, fits: impl Fn(&ColumnType) -> bool) -> Result<()> {
        self.columns.find_all(columns)?;
        columns.iter().try_for_each(|name| self.one_of(name, purpose, &fits).map(drop))
    }

    /// A column of a type that the kind of check can judge.
    fn one_of(&self, name: &At<String>, purpose: &str, fits: impl Fn(&ColumnType) -> bool) -> Result<&Column> {
        let column = self.columns.find(name)?;
        if fits(&column.column_type) {
            return Ok(column);
        }
        Err(self
            .refuse(name.span(), format!("the check cannot {purpose} '{name}', which is {}", column.column_type))
            .hint("name another column, or write a check of kind \"sql\""))
    }

    fn refuse(&self, span: Range<usize>, message: impl Into<String>) -> Error {
        self.file.error(span, message)
    }
}

/// Bounds that a column can hold, the least first.
pub(crate) fn read_bounds(
    file: &TomlFile,
    span: Range<usize>,
    column: &Column,
    min: Option<&At<Scalar>>,
    max: Option<&At<Scalar>>,
) -> Result<(Option<String>, Option<String>)> {
    let read = |bound: Option<&At<Scalar>>| {
        bound.map(|bound| file.locate(bound.span(), Literal::read(bound, column))).transpose()
    };
    let (low, high) = (read(min)?, read(max)?);
    match (&low, &high) {
        (Some(low), Some(high)) if !low.at_most(high) => {
            Err(file.error(span, format!("no value lies from {} to {}", low.text, high.text)).hint("swap the bounds"))
        }
        _ => Ok((low.map(|bound| bound.text), high.map(|bound| bound.text))),
    }
}

fn names(columns: &[At<String>]) -> Vec<String> {
    columns.iter().map(At::to_string).collect()
}
