//! dbt's `sources.yml`: each dataset a source, its tables with their descriptions, and the data tests that the contracts
//! imply. https://docs.getdbt.com/reference/source-properties
//!
//! dbt alone has four generic tests and no packages are needed: a test of several columns is one of their JSON text.
//! Checks that have no such test (ranges, patterns, drift) have passed before a row was published.

use std::collections::BTreeMap;

use serde::Serialize;

use chrono::Timelike;

use crate::config::BigQuery;
use crate::contract::ColumnType;
use crate::error::Result;
use crate::job::{CheckKind, InputSource, Job, Mode, PartitionSpec, Severity, TableSpec};
use crate::names::JobName;
use crate::project::Project;
use crate::publish::bigquery::schema::described;

/// The dbt variable that says from which day on tests look, an SQL expression.
const TESTS_FROM: &str = "gatefold_tests_from";
/// Tests of a table that must be filtered look at these last days unless the variable is set: they cost what they scan.
const TESTS_DAYS: u32 = 3;

#[derive(Serialize)]
struct File {
    version: u8,
    sources: Vec<Source>,
}

#[derive(Serialize)]
struct Source {
    name: String,
    database: String,
    schema: String,
    /// Project ids hold dashes, and names may be words of SQL.
    quoting: Quoting,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Quoting {
    database: bool,
    schema: bool,
    identifier: bool,
}

#[derive(Serialize)]
struct Table {
    name: String,
    description: String,
    config: TableConfig,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data_tests: Vec<Test>,
    columns: Vec<ColumnEntry>,
}

#[derive(Serialize)]
struct TableConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    meta: TableMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_at_field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freshness: Option<Freshness>,
}

#[derive(Serialize)]
struct TableMeta {
    owner: String,
    grain: Vec<String>,
}

#[derive(Serialize)]
struct Freshness {
    error_after: Age,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
}

#[derive(Serialize)]
struct Age {
    count: u32,
    period: &'static str,
}

#[derive(Serialize)]
struct ColumnEntry {
    name: String,
    description: String,
    data_type: String,
    quote: bool,
    config: ColumnConfig,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data_tests: Vec<Test>,
}

#[derive(Serialize)]
struct ColumnConfig {
    meta: ColumnMeta,
}

#[derive(Serialize)]
struct ColumnMeta {
    pii: String,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Test {
    Unique(Settings),
    NotNull(Settings),
    AcceptedValues(Settings),
    Relationships(Settings),
}

#[derive(Serialize, Default)]
struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arguments>,
    #[serde(skip_serializing_if = "TestConfig::is_empty")]
    config: TestConfig,
}

#[derive(Serialize, Default)]
struct Arguments {
    #[serde(skip_serializing_if = "Option::is_none")]
    column_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

#[derive(Serialize, Default)]
struct TestConfig {
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
}

impl TestConfig {
    fn is_empty(&self) -> bool {
        self.filter.is_none() && self.severity.is_none()
    }
}

/// The text of `sources.yml` for every job of the project.
pub fn sources(project: &Project, jobs: &[JobName], bigquery: &BigQuery) -> Result<String> {
    let mut datasets: BTreeMap<&str, Vec<Table>> = BTreeMap::new();
    for job in project.jobs.values().filter(|job| jobs.contains(&job.name)) {
        datasets.entry(&job.table.name.dataset).or_default().push(table(project, job));
    }
    let sources = datasets.into_iter().map(|(dataset, tables)| Source {
        name: dataset.to_owned(),
        database: bigquery.project.clone(),
        schema: dataset.to_owned(),
        quoting: Quoting { database: true, schema: true, identifier: true },
        tables,
    });
    super::yaml(&File { version: 2, sources: sources.collect() })
}

fn table(project: &Project, job: &Job) -> Table {
    let tests = Tests { project, job, filter: required_filter(&job.table) };
    let mut columns: BTreeMap<&str, Vec<Test>> = BTreeMap::new();
    let mut of_table = Vec::new();
    for (columns_named, test) in tests.all() {
        match columns_named.as_slice() {
            [column] => columns.entry(column).or_default().push(test),
            _ => of_table.push(test),
        }
    }
    let entries = job.table.columns.iter().map(|column| ColumnEntry {
        name: column.name.clone(),
        description: described(column, &job.table.columns),
        data_type: column.column_type.to_string(),
        quote: true,
        config: ColumnConfig { meta: ColumnMeta { pii: column.pii.to_string() } },
        data_tests: columns.remove(column.name.as_str()).unwrap_or_default(),
    });
    let (loaded_at_field, freshness) = freshness(job).unzip();
    Table {
        name: job.table.name.table.clone(),
        description: job.description.clone(),
        config: TableConfig {
            tags: job.tags.clone(),
            meta: TableMeta { owner: job.owner.clone(), grain: job.table.grain.clone() },
            loaded_at_field,
            freshness,
        },
        columns: entries.collect(),
        data_tests: of_table,
    }
}

/// What `dbt source freshness` asks: a day is late when, at the hour that is promised, the day before it is the latest, or when
/// it is older than it may be.
fn freshness(job: &Job) -> Option<(String, Freshness)> {
    let (promise, partition) = (job.promise.as_ref()?, days(&job.table)?);
    // From the begin of the day on: that day, the next, and the hours of the third.
    let ready_by = promise.ready_by.map(|time| 48 + time.hour() + u32::from(time.minute() > 0));
    let aged = promise.max_age_hours.map(|hours| 24 + hours.ceil() as u32);
    let error_after = Age { count: ready_by.into_iter().chain(aged).min()?, period: "hour" };
    let filter = partition.require_filter.then(|| last_days(&partition.column));
    Some((format!("timestamp(`{}`)", partition.column), Freshness { error_after, filter }))
}

fn days(table: &TableSpec) -> Option<&PartitionSpec> {
    table.partition.as_ref().filter(|_| table.mode == Mode::Partition)
}

/// What tests must filter by, where BigQuery refuses to scan the whole table.
fn required_filter(table: &TableSpec) -> Option<String> {
    let partition = table.partition.as_ref().filter(|partition| partition.require_filter)?;
    let column = table.columns.iter().find(|column| column.name == partition.column)?;
    Some(match column.column_type {
        ColumnType::Date => last_days(&partition.column),
        // A row of a history holds from any day on.
        _ => format!("`{}` >= timestamp '0001-01-01'", partition.column),
    })
}

fn last_days(column: &str) -> String {
    let default = format!("date_sub(current_date('UTC'), interval {TESTS_DAYS} day)");
    format!("`{column}` >= {{{{ var('{TESTS_FROM}', \"{default}\") }}}}")
}

struct Tests<'a> {
    project: &'a Project,
    job: &'a Job,
    filter: Option<String>,
}

impl<'a> Tests<'a> {
    /// The tests, each with the columns it is of.
    fn all(&self) -> Vec<(Vec<&'a str>, Test)> {
        let table = &self.job.table;
        let mut tests = vec![self.unique(&table.grain, Severity::Block)];
        let required = table.columns.iter().filter(|column| column.required);
        tests.extend(required.map(|column| self.not_null(&column.name, Severity::Block)));
        for check in &self.job.checks {
            match &check.kind {
                CheckKind::Unique { columns } if *columns != table.grain => {
                    tests.push(self.unique(columns, check.severity));
                }
                CheckKind::NotNull { columns } => {
                    let open = columns.iter().filter(|name| !is_required(table, name));
                    tests.extend(open.map(|name| self.not_null(name, check.severity)));
                }
                CheckKind::AcceptedValues { column, values } => {
                    tests.push(self.accepted_values(column, values, check.severity));
                }
                CheckKind::Relationship { columns, to: InputSource::Table(to), to_columns } => {
                    if let Some(other) = self.project.jobs.get(to) {
                        tests.push(self.relationship(columns, &other.table, to_columns, check.severity));
                    }
                }
                _ => {}
            }
        }
        tests
    }

    fn unique(&self, columns: &'a [String], severity: Severity) -> (Vec<&'a str>, Test) {
        let arguments = self.of_several(columns, Arguments::default());
        (names(columns), Test::Unique(self.settings(arguments, severity)))
    }

    fn not_null(&self, column: &'a str, severity: Severity) -> (Vec<&'a str>, Test) {
        (vec![column], Test::NotNull(self.settings(None, severity)))
    }

    fn accepted_values(&self, column: &'a str, values: &[String], severity: Severity) -> (Vec<&'a str>, Test) {
        let quoted =
            self.job.table.columns.iter().any(|other| {
                other.name == column && matches!(other.column_type, ColumnType::String | ColumnType::Date)
            });
        let arguments = Arguments { values: Some(values.to_vec()), quote: Some(quoted), ..Arguments::default() };
        (vec![column], Test::AcceptedValues(self.settings(Some(arguments), severity)))
    }

    fn relationship(
        &self,
        columns: &'a [String],
        other: &TableSpec,
        to_columns: &[String],
        severity: Severity,
    ) -> (Vec<&'a str>, Test) {
        let source = format!("source('{}', '{}')", other.name.dataset, other.name.table);
        // dbt puts the filter of a test around its own table alone.
        let to = match required_filter(other) {
            None => source,
            Some(filter) => format!("(select * from {{{{ {source} }}}} where {filter})"),
        };
        let arguments = Arguments { to: Some(to), field: Some(expression(to_columns)), ..Arguments::default() };
        let arguments = match columns {
            [_] => Some(arguments),
            several => self.of_several(several, arguments),
        };
        (names(columns), Test::Relationships(self.settings(arguments, severity)))
    }

    /// The arguments of a test of the table, which names what it looks at; one of a column does not.
    fn of_several(&self, columns: &[String], arguments: Arguments) -> Option<Arguments> {
        (columns.len() > 1).then(|| Arguments { column_name: Some(expression(columns)), ..arguments })
    }

    fn settings(&self, arguments: Option<Arguments>, severity: Severity) -> Settings {
        let severity = (severity == Severity::Warn).then_some("warn");
        Settings { arguments, config: TestConfig { filter: self.filter.clone(), severity } }
    }
}

fn names(columns: &[String]) -> Vec<&str> {
    columns.iter().map(String::as_str).collect()
}

fn is_required(table: &TableSpec, name: &str) -> bool {
    table.columns.iter().any(|column| column.name == name && column.required)
}

/// One value that stands for several columns.
fn expression(columns: &[String]) -> String {
    match columns {
        [column] => format!("`{column}`"),
        several => {
            let columns: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
            format!("to_json_string(struct({}))", columns.join(", "))
        }
    }
}
