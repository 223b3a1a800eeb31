//! From a job's file to a [`Job`]: names resolved, columns found, the table's layout and privacy checked.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::checks::{CheckReader, Related};
use super::history::{read_forget, read_history, read_keep_open};
use super::raw::{RawInput, RawInputTable, RawJob, RawMode, RawPartition, RawTable, RawUnit};
use super::{Input, InputSource, Job, Mode, PartitionSpec, PartitionUnit, Step, Steps, TableSpec, declassify};
use crate::config::Config;
use crate::contract::{Column, ColumnSet, ColumnType, PiiClass, SnapshotContract, distinct, not_blank, read_columns};
use crate::error::{Error, Result};
use crate::names::{JobName, SnapshotName, TableName};
use crate::toml_file::{At, TomlFile, read_text, suggest};

/// BigQuery sorts by at most four columns.
const CLUSTER_LIMIT: usize = 4;

/// A job's file, read but not yet understood.
pub(crate) struct JobFile {
    pub file: TomlFile,
    pub raw: RawJob,
}

impl JobFile {
    pub fn read(root: &Path, path: &Path) -> Result<Self> {
        let file = TomlFile::read(root, path)?;
        let raw = RawJob::read(&file)?;
        Ok(JobFile { file, raw })
    }
}

/// What the file of a job may refer to.
pub(crate) struct Scope<'a> {
    pub root: &'a Path,
    pub config: &'a Config,
    pub snapshots: &'a BTreeMap<SnapshotName, SnapshotContract>,
    pub steps: &'a Steps,
    pub jobs: &'a BTreeMap<JobName, JobFile>,
}

impl Scope<'_> {
    /// The snapshot or job of a name.
    pub fn find(&self, name: &str) -> Option<InputSource> {
        let snapshot = self.snapshots.keys().find(|snapshot| snapshot.as_str() == name);
        let job = || self.jobs.keys().find(|job| job.as_str() == name);
        snapshot.cloned().map(InputSource::Snapshot).or_else(|| job().cloned().map(InputSource::Table))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        let tables = self.snapshots.keys().map(SnapshotName::as_str).chain(self.jobs.keys().map(JobName::as_str));
        tables.chain(self.steps.names())
    }

    pub fn columns_of(&self, source: &InputSource) -> Vec<&str> {
        match source {
            InputSource::Snapshot(name) => {
                let columns = self.snapshots.get(name).map(|contract| contract.columns.iter());
                columns.into_iter().flatten().map(|column| column.column.name.as_str()).collect()
            }
            InputSource::Table(name) => {
                let columns = self.jobs.get(name).map(|job| job.raw.table.columns.iter());
                columns.into_iter().flatten().map(|column| column.name.as_str()).collect()
            }
        }
    }

    fn replaces_whole(&self, job: &JobName) -> bool {
        self.jobs.get(job).is_some_and(|job| *job.raw.table.mode == RawMode::Replace)
    }
}

impl Job {
    /// Understands the file of `name`, which is one of `scope.jobs`.
    ///
    /// # Errors
    /// `Project`, with `file:line:column`, for whatever the file says wrongly.
    pub(crate) fn read(name: &JobName, source: &JobFile, scope: &Scope<'_>) -> Result<Job> {
        let JobFile { file, raw } = source;
        let (inputs, steps) = read_inputs(name, source, scope)?;
        let table = read_table(name, file, &raw.table, scope)?;
        let columns = ColumnSet::new(file, &table.columns);
        let checks =
            CheckReader { file, columns: &columns, related: Some(Related { inputs: &inputs, job: name, scope }) }
                .read_all(&raw.check)?;
        let declassify = declassify::read_all(file, &raw.declassify, &columns)?;
        let (sql_file, sql) = read_sql(file, &raw.sql, scope.root, "the key 'sql' names the model")?;
        let job = Job {
            name: name.clone(),
            description: not_blank(file, &raw.description)?,
            owner: not_blank(file, &raw.owner)?,
            tags: read_tags(file, &raw.tags)?,
            inputs,
            steps,
            checks,
            declassify,
            promise: raw.promise.as_ref().map(|promise| promise.read(file)).transpose()?,
            table,
            file: file.path.clone(),
            text: file.text.clone(),
            sql_file,
            sql,
        };
        job.refuse_names_of_rejected(file, &raw.table)?;
        Ok(job)
    }
}

fn read_tags(file: &TomlFile, tags: &[At<String>]) -> Result<Vec<String>> {
    distinct(file, tags)?;
    for tag in tags {
        if tag.is_empty() || tag.contains(|c: char| c.is_whitespace() || matches!(c, '+' | ',')) {
            return Err(file
                .error(tag.span(), format!("'{tag}' is not a tag"))
                .hint("a word without white space, '+' and ','"));
        }
    }
    Ok(tags.iter().map(At::to_string).collect())
}

/// A file with a SELECT that the job's file names, and its text.
pub(super) fn read_sql(file: &TomlFile, path: &At<String>, root: &Path, what: &str) -> Result<(PathBuf, String)> {
    let sql_file = PathBuf::from(path.as_str());
    let inside = !path.is_empty() && sql_file.components().all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        return Err(file
            .error(path.span(), format!("'{path}' is not a file of the project"))
            .hint("a path relative to the project: sql/name.sql"));
    }
    let sql = read_text(root, &sql_file).map_err(|error| error.with("file", file.location(path.span())).hint(what))?;
    if sql.trim().is_empty() {
        return Err(file.error(path.span(), format!("'{path}' is empty")).hint("write one SELECT"));
    }
    Ok((sql_file, sql))
}

fn read_inputs(job: &JobName, source: &JobFile, scope: &Scope<'_>) -> Result<(Vec<Input>, Vec<Arc<Step>>)> {
    let JobFile { file, raw } = source;
    let mut inputs: Vec<Input> = Vec::new();
    let mut steps: Vec<(&At<RawInput>, Arc<Step>)> = Vec::new();
    for input in &raw.inputs {
        let reader = InputReader { file, at: input, job, scope };
        let read = match &**input {
            RawInput::Name(name) if scope.steps.contains(name) => {
                let named = scope.steps.with_upstream(name).into_iter();
                steps.extend(named.map(|step| (input, step)));
                continue;
            }
            RawInput::Name(name) => reader.named(name)?,
            RawInput::Table(table) => reader.table(table)?,
        };
        if inputs.iter().any(|before| before.alias == read.alias) {
            return Err(reader
                .refuse(format!("two inputs are called '{}'", read.alias))
                .hint("name one with as = \"…\""));
        }
        inputs.push(read);
    }
    let mut distinct: Vec<Arc<Step>> = Vec::new();
    for (at, step) in steps {
        InputReader { file, at, job, scope }.add_what_it_reads(&step, &mut inputs)?;
        if !distinct.contains(&step) {
            distinct.push(step);
        }
    }
    Ok((inputs, distinct))
}

struct InputReader<'a> {
    file: &'a TomlFile,
    at: &'a At<RawInput>,
    job: &'a JobName,
    scope: &'a Scope<'a>,
}

impl InputReader<'_> {
    fn named(&self, name: &str) -> Result<Input> {
        let source = self.find(name).map_err(|error| error.with("file", self.file.location(self.at.span())))?;
        self.finish(Input {
            source,
            alias: name.to_owned(),
            days_ago: 0,
            optional: false,
            at: self.file.location(self.at.span()),
        })
    }

    fn table(&self, table: &RawInputTable) -> Result<Input> {
        let source = self.file.locate(table.table.span(), self.find(&table.table))?;
        if let InputSource::Snapshot(name) = &source {
            let only_tables = [table.days_ago.as_ref().map(At::span), table.optional.as_ref().map(At::span)];
            if let Some(span) = only_tables.into_iter().flatten().next() {
                return Err(self
                    .file
                    .error(span, format!("the snapshot '{name}' is read at the run's own date and must be there"))
                    .hint("days_ago and optional go with tables of jobs"));
            }
        }
        let alias = table.alias.as_ref().unwrap_or(&table.table);
        self.file.locate(alias.span(), crate::contract::check_column_name(alias)).map_err(|error| {
            error.hint("the name of an input in SQL: lower-case letters, digits and '_', a letter first")
        })?;
        self.finish(Input {
            source,
            alias: alias.to_string(),
            days_ago: table.days_ago.as_ref().map_or(0, |days| **days),
            optional: table.optional.as_ref().is_some_and(|optional| **optional),
            at: self.file.location(self.at.span()),
        })
    }

    fn find(&self, name: &str) -> Result<InputSource> {
        self.scope.find(name).ok_or_else(|| {
            Error::project(format!("there is no snapshot, step or job '{name}'"))
                .hint(suggest(name, self.scope.names()))
        })
    }

    /// What holds of an input however it was written.
    fn finish(&self, input: Input) -> Result<Input> {
        let InputSource::Table(source) = &input.source else { return self.not_called_as_the_job(input) };
        if source == self.job && input.days_ago == 0 {
            return Err(self
                .refuse(format!("the job '{source}' reads the partition that it makes"))
                .hint("read an earlier one: days_ago = 1"));
        }
        if input.days_ago > 0 && self.scope.replaces_whole(source) {
            return Err(self
                .refuse(format!("the table '{source}' is replaced as a whole and has no earlier days"))
                .hint("remove days_ago, or set its mode = \"partition\""));
        }
        self.not_called_as_the_job(input)
    }

    /// The job's own name means the rows in the making, in `sql` checks.
    fn not_called_as_the_job(&self, input: Input) -> Result<Input> {
        if input.alias == self.job.as_str() {
            return Err(self
                .refuse(format!("the name '{}' is that of the table in the making", input.alias))
                .hint(format!("give the input another: as = \"{}_before\"", input.alias)));
        }
        Ok(input)
    }

    /// In its text a step calls snapshots by their own names, so these must mean the same in the job.
    fn add_what_it_reads(&self, step: &Step, inputs: &mut Vec<Input>) -> Result<()> {
        if inputs.iter().any(|input| input.alias == step.name) {
            return Err(self.refuse(format!("the step '{}' and an input have the same name", step.name)));
        }
        for snapshot in &step.snapshots {
            match inputs.iter().find(|input| input.alias == snapshot.as_str()) {
                Some(input) if input.source == InputSource::Snapshot(snapshot.clone()) => {}
                Some(_) => {
                    return Err(self
                        .refuse(format!(
                            "the step '{}' reads the snapshot '{snapshot}', another input has its name",
                            step.name
                        ))
                        .hint("name the input with as = \"…\""));
                }
                None => inputs.push(self.named(snapshot.as_str())?),
            }
        }
        Ok(())
    }

    fn refuse(&self, message: String) -> Error {
        self.file.error(self.at.span(), message)
    }
}

fn read_table(job: &JobName, file: &TomlFile, raw: &RawTable, scope: &Scope<'_>) -> Result<TableSpec> {
    let name = file.locate(raw.dataset.span(), TableName::new(raw.dataset.as_str(), job.as_str()))?;
    let columns = read_columns(file, raw.columns.span(), raw.columns.iter().map(|column| (&**column, column.span())))?;
    refuse_exposed(file, raw, &columns, scope.config)?;
    let known = ColumnSet::new(file, &columns);
    if raw.grain.is_empty() {
        return Err(file.error(raw.grain.span(), "the grain is empty").hint("name the columns that identify a row"));
    }
    let grain = known.find_key(&raw.grain)?;
    let partition = read_partition(file, raw, &known, &grain)?;
    let cluster = read_cluster(file, &raw.cluster, &known)?;
    let mode = match *raw.mode {
        RawMode::Partition => Mode::Partition,
        RawMode::History => Mode::History,
        RawMode::Replace => Mode::Replace,
    };
    let forget = read_forget(file, raw, &known, scope.root)?;
    let keep_open = read_keep_open(file, raw, &known, scope.root)?;
    Ok(TableSpec { name, mode, grain, partition, cluster, columns, forget, keep_open })
}

/// Invariant 6: what is `direct` stays in restricted datasets.
fn refuse_exposed(file: &TomlFile, raw: &RawTable, columns: &[Column], config: &Config) -> Result<()> {
    let restricted = &config.restricted_datasets;
    if restricted.contains(raw.dataset.as_str()) {
        return Ok(());
    }
    let Some((at, column)) = raw.columns.iter().zip(columns).find(|(_, column)| column.pii == PiiClass::Direct) else {
        return Ok(());
    };
    Err(file
        .error(
            at.span(),
            format!(
                "the column '{}' is of class direct and the dataset '{}' is not restricted",
                column.name, raw.dataset
            ),
        )
        .hint(format!("restricted datasets: {}", suggest(&raw.dataset, restricted.iter().map(String::as_str)))))
}

fn read_partition(
    file: &TomlFile,
    raw: &RawTable,
    known: &ColumnSet<'_>,
    grain: &[String],
) -> Result<Option<PartitionSpec>> {
    match (*raw.mode, &raw.partition) {
        (RawMode::Replace, None) => Ok(None),
        (RawMode::Replace, Some(partition)) => Err(file
            .error(partition.span(), "a table that is replaced as a whole has no partitions")
            .hint("remove the key, or set mode = \"partition\"")),
        (RawMode::Partition, None) => Err(file
            .error(raw.mode.span(), "mode is partition and the key 'partition' is missing")
            .hint("add partition = { column = \"snapshot_date\", by = \"day\" }")),
        (RawMode::Partition, Some(partition)) => partition_of(file, partition, known, grain).map(Some),
        (RawMode::History, _) => read_history(file, raw, known, grain).map(Some),
    }
}

fn partition_of(file: &TomlFile, raw: &RawPartition, known: &ColumnSet<'_>, grain: &[String]) -> Result<PartitionSpec> {
    let column = known.find(&raw.column)?;
    let problem = if column.column_type != ColumnType::Date {
        Some(format!("is {} and not DATE", column.column_type))
    } else if !column.required {
        Some("is not required".to_owned())
    } else if !grain.contains(&column.name) {
        Some("is not in the grain".to_owned())
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(file
            .error(raw.column.span(), format!("the partition column '{}' {problem}", column.name))
            .hint("a table is partitioned by a required DATE column of its grain"));
    }
    if *raw.by != RawUnit::Day {
        return Err(file
            .error(raw.by.span(), "a table that is replaced by the day is partitioned by the day")
            .hint("write by = \"day\"; months go with mode = \"history\""));
    }
    partition_spec(file, raw, PartitionUnit::Day)
}

pub(super) fn partition_spec(file: &TomlFile, raw: &RawPartition, by: PartitionUnit) -> Result<PartitionSpec> {
    if let Some(days) = raw.expire_days.as_ref().filter(|days| ***days == 0) {
        return Err(file
            .error(days.span(), "expire_days is 0")
            .hint("1 or more; leave it out to keep partitions for ever"));
    }
    Ok(PartitionSpec {
        column: raw.column.to_string(),
        by,
        expire_days: raw.expire_days.as_ref().map(|days| **days),
        require_filter: raw.require_filter,
    })
}

fn read_cluster(file: &TomlFile, raw: &[At<String>], known: &ColumnSet<'_>) -> Result<Vec<String>> {
    let columns = known.find_all(raw)?;
    if let Some(fifth) = raw.get(CLUSTER_LIMIT) {
        return Err(file
            .error(fifth.span(), format!("{} columns to cluster by", raw.len()))
            .hint(format!("BigQuery takes {CLUSTER_LIMIT}")));
    }
    for (at, column) in raw.iter().zip(&columns) {
        if !column.column_type.is_clusterable() {
            return Err(file
                .error(at.span(), format!("BigQuery does not cluster by '{at}', which is {}", column.column_type))
                .hint("cluster by STRING, INT64, BOOL, NUMERIC, DATE or TIMESTAMP columns"));
        }
    }
    Ok(columns.into_iter().map(|column| column.name.clone()).collect())
}
