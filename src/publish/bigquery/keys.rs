//! The keys that a table is declared with. BigQuery does not enforce them, and its optimiser believes them: only what
//! checks have proved is told, and only what stays true.

use std::collections::BTreeSet;

use super::resource::{ColumnReference, ForeignKey, PrimaryKey, ReferencedTable, TableConstraints};
use crate::contract::ColumnType;
use crate::job::{CheckKind, InputSource, Job, Mode, PartitionSpec, Severity, TableSpec};
use crate::names::JobName;
use crate::project::Project;

/// Begins the names of our foreign keys: others are kept, ours follow the checks.
pub(super) const FOREIGN_KEY_PREFIX: &str = "gatefold_";

/// https://cloud.google.com/bigquery/docs/information-schema-table-constraints#limitations
const KEY_COLUMNS_LIMIT: usize = 16;

/// The grain as primary key, and what the job's relationships prove as foreign keys.
pub fn constraints_of(project: &Project, job: &Job, warehouse: &str) -> Option<TableConstraints> {
    let primary_key = primary_key(&job.table).map(|columns| PrimaryKey { columns: columns.to_vec() });
    let foreign_keys: Vec<ForeignKey> = relationships(job)
        .filter_map(|pairs| foreign_key(project, job, warehouse, pairs))
        .enumerate()
        .map(named)
        .collect();
    (primary_key.is_some() || !foreign_keys.is_empty()).then_some(TableConstraints { primary_key, foreign_keys })
}

/// The grain, where its uniqueness is proved for the whole table and BigQuery can hold it as a key.
fn primary_key(table: &TableSpec) -> Option<&[String]> {
    let can_be_key = |name: &String| {
        table.columns.iter().any(|column| {
            column.name == *name && !matches!(column.column_type, ColumnType::Bytes | ColumnType::Float64)
        })
    };
    (table.grain.len() <= KEY_COLUMNS_LIMIT && table.grain.iter().all(can_be_key)).then_some(&table.grain)
}

/// A blocking relationship to another job's table: the job, and which of our columns stands for which of its.
struct Pairs<'a> {
    to: &'a JobName,
    columns: Vec<(&'a str, &'a str)>,
}

fn relationships(job: &Job) -> impl Iterator<Item = Pairs<'_>> {
    job.checks.iter().filter(|check| check.severity == Severity::Block).filter_map(|check| match &check.kind {
        CheckKind::Relationship { columns, to: InputSource::Table(to), to_columns } => Some(Pairs {
            to,
            columns: columns.iter().map(String::as_str).zip(to_columns.iter().map(String::as_str)).collect(),
        }),
        _ => None,
    })
}

/// A check looks at the other table of the same day, so with the days added it holds for two tables by the day, as long
/// as the other keeps its days. A table that is replaced later, or a history, may have lost what was pointed at.
/// BigQuery refuses a key across datasets.
fn foreign_key<'a>(project: &'a Project, job: &'a Job, warehouse: &str, mut pairs: Pairs<'a>) -> Option<ForeignKey> {
    let target = &project.jobs.get(pairs.to)?.table;
    let (own_days, their_days) = (days(&job.table)?, days(target)?);
    let kept_as_long = match (own_days.expire_days, their_days.expire_days) {
        (_, None) => true,
        (Some(own), Some(theirs)) => own <= theirs,
        (None, Some(_)) => false,
    };
    if !kept_as_long || job.table.name.dataset != target.name.dataset || job.table.name == target.name {
        return None;
    }
    let day = (own_days.column.as_str(), their_days.column.as_str());
    if !pairs.columns.contains(&day) {
        pairs.columns.push(day);
    }
    let pointed_at: BTreeSet<&str> = pairs.columns.iter().map(|(_, there)| *there).collect();
    let key: BTreeSet<&str> = primary_key(target)?.iter().map(String::as_str).collect();
    if pointed_at != key || pairs.columns.len() != key.len() {
        return None;
    }
    Some(ForeignKey {
        name: None,
        referenced_table: ReferencedTable {
            project_id: warehouse.to_owned(),
            dataset_id: target.name.dataset.clone(),
            table_id: target.name.table.clone(),
        },
        column_references: pairs
            .columns
            .iter()
            .map(|(own, there)| ColumnReference {
                referencing_column: (*own).to_owned(),
                referenced_column: (*there).to_owned(),
            })
            .collect(),
    })
}

fn days(table: &TableSpec) -> Option<&PartitionSpec> {
    table.partition.as_ref().filter(|_| table.mode == Mode::Partition)
}

fn named((place, mut key): (usize, ForeignKey)) -> ForeignKey {
    key.name = Some(format!("{FOREIGN_KEY_PREFIX}{}", place + 1));
    key
}
