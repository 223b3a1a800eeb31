//! The two states that are asked for: their files, and the columns that can be compared.

use std::collections::{BTreeSet, HashSet};

use arrow::datatypes::{DataType, Field, SchemaRef};
use futures::{StreamExt, TryStreamExt};

use super::{Column, Source};
use crate::check::Guarded;
use crate::engine::DataFile;
use crate::error::{Error, ErrorKind, Result};
use crate::history::{files_as_of, is_whole_as_of};
use crate::job::{IS_CURRENT, Job, Mode, VALID_FROM, VALID_TO};
use crate::names::{Partition, SnapshotDate};
use crate::publish::{LakeFile, LakeTable, slice_of};
use crate::snapshot::read_footer;
use crate::storage::Storage;

/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 8;
/// Days that an error names on each side of the one that is not there.
const NAMED_DAYS: usize = 2;

/// One state of a table, at one version of it.
#[derive(Debug)]
pub struct Side {
    name: String,
    lake: Storage,
    /// Of a history.
    as_of: Option<SnapshotDate>,
    files: Vec<LakeFile>,
    schema: SchemaRef,
}

/// Two states, and what can be compared of them.
#[derive(Debug)]
pub struct Pair {
    pub from: Source,
    pub to: Source,
    pub key: Vec<Column>,
    pub columns: Columns,
    /// Files that both sides have and that need no reading.
    pub shared_files: usize,
}

/// The columns of two states, without those that are the same in every row of a day.
#[derive(Debug, Default)]
pub struct Columns {
    /// Those that are compared, without the key.
    pub both: Vec<Column>,
    pub only_from: Vec<String>,
    pub only_to: Vec<String>,
    /// Those whose types differ.
    pub retyped: Vec<String>,
}

impl Side {
    /// `name` is how people call the side. The day may only be left out where the table has none.
    ///
    /// Errors (exit 10): the table was never published, or not for this day.
    pub async fn open(lake: &Storage, job: &Job, date: Option<SnapshotDate>, name: &str) -> Result<Side> {
        let table = LakeTable::open(lake, &job.table.name).await?.ok_or_else(|| never_published(lake, job))?;
        let (files, as_of) = match (job.table.mode, date) {
            (Mode::Replace, _) => (table.files.iter().collect(), None),
            (mode, Some(date)) => {
                refuse_missing_day(&table, lake, job, date)?;
                match mode {
                    Mode::History => (files_as_of(&table, date), Some(date)),
                    _ => (table.files_of(&slice_of(&job.table, &Partition::Day(date))), None),
                }
            }
            (_, None) => return Err(Error::internal("a table of days is compared without one")),
        };
        let files = files.into_iter().cloned().collect();
        Ok(Side { name: name.to_owned(), lake: lake.clone(), as_of, files, schema: table.schema().clone() })
    }

    /// The columns that the files have. A file older than a column reads as null there, which nobody has ever stated.
    async fn columns(&self) -> Result<HashSet<String>> {
        let names = futures::stream::iter(&self.files).map(|file| self.columns_of(file));
        let names: Vec<Vec<String>> = names.buffer_unordered(FOOTERS_AT_ONCE).try_collect().await?;
        Ok(names.into_iter().flatten().collect())
    }

    async fn columns_of(&self, file: &LakeFile) -> Result<Vec<String>> {
        let footer = read_footer(&self.lake, &file.meta).await.map_err(|error| {
            Error::new(ErrorKind::InputBroken, "a file of the table cannot be read")
                .with("file", self.lake.describe(&file.meta.location))
                .source(error)
                .hint("the table is damaged: run the day again with --force")
        })?;
        // Rows are dealt out by their places, so that a log that counts them wrongly would leave some unread.
        let rows = footer.metadata().file_metadata().num_rows();
        if rows != file.rows as i64 {
            return Err(Error::new(
                ErrorKind::InputBroken,
                format!("a file of the table has {rows} rows, its log says {}", file.rows),
            )
            .with("file", self.lake.describe(&file.meta.location))
            .hint("another program wrote it without its statistics: run the day again with --force"));
        }
        Ok(footer.schema().fields().iter().map(|field| field.name().to_owned()).collect())
    }

    fn has_whole(&self, file: &LakeFile) -> bool {
        self.as_of.is_none_or(|date| is_whole_as_of(file, date))
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.schema.field_with_name(name).ok()
    }

    fn kind(&self, name: &str) -> Option<&DataType> {
        self.field(name).map(Field::data_type)
    }

    fn source(self, shared_rows: u64) -> Source {
        let file = |file: &LakeFile| DataFile { meta: file.meta.clone(), rows: file.rows, selection: None };
        Source {
            name: self.name,
            store: self.lake.url().clone(),
            files: self.files.iter().map(file).collect(),
            schema: self.schema,
            as_of: self.as_of,
            only: None,
            shared_rows,
        }
    }
}

/// Finds what both sides share and what can be compared.
///
/// Errors: a key that one side does not have (exit 2), a file that cannot be read (exit 11).
pub async fn pair(job: &Job, mut from: Side, mut to: Side) -> Result<Pair> {
    let shared = take_shared(&mut from, &mut to);
    let (mut in_from, mut in_to) = tokio::try_join!(from.columns(), to.columns())?;
    // A side of which nothing is left to read lacks no column.
    match (from.files.is_empty(), to.files.is_empty()) {
        (true, _) => in_from.clone_from(&in_to),
        (_, true) => in_to.clone_from(&in_from),
        _ => {}
    }
    let column = |name: &str| Column { name: name.to_owned(), withheld: !Guarded::Table(job).is_known_harmless(name) };
    let given = columns_of_the_day(job);
    let key: Vec<Column> =
        job.table.key().iter().filter(|name| !given.contains(name)).map(|name| column(name)).collect();
    let mut columns = Columns::default();
    let others = from.schema.fields().iter().filter(|field| to.field(field.name()).is_none());
    for field in to.schema.fields().iter().chain(others) {
        let name = field.name();
        if given.contains(name) {
            continue;
        }
        match (in_from.contains(name), in_to.contains(name)) {
            (true, false) => columns.only_from.push(name.clone()),
            (false, true) => columns.only_to.push(name.clone()),
            (true, true) if from.kind(name) != to.kind(name) => columns.retyped.push(name.clone()),
            (true, true) => columns.both.push(column(name)),
            // The table has had it, or is to have it, but on neither side.
            (false, false) => {}
        }
    }
    let (rows, files) = (shared.iter().map(|file| file.rows).sum(), shared.len());
    columns.refuse_missing_key(job, &key, in_from.is_empty())?;
    columns.both.retain(|column| !key.contains(column));
    Ok(Pair { from: from.source(rows), to: to.source(rows), key, columns, shared_files: files })
}

/// Columns that say which day a row is of, and what a history knows of it: they tell no difference of the rows.
fn columns_of_the_day(job: &Job) -> Vec<String> {
    let partition = job.table.partition.iter().map(|partition| partition.column.clone());
    match job.table.mode {
        Mode::History => [VALID_FROM, VALID_TO, IS_CURRENT].map(str::to_owned).into(),
        _ => partition.collect(),
    }
}

/// Takes out the files that both sides have: a run's folder is its own and its files are never written again, so one path is
/// one file, also in a copy of the lake.
fn take_shared(from: &mut Side, to: &mut Side) -> Vec<LakeFile> {
    let known = |file: &LakeFile| (file.path.clone(), file.meta.size, file.rows);
    let whole =
        |side: &Side| -> HashSet<_> { side.files.iter().filter(|file| side.has_whole(file)).map(known).collect() };
    let (before, after) = (whole(from), whole(to));
    let shared = |file: &LakeFile| before.contains(&known(file)) && after.contains(&known(file));
    from.files.retain(|file| !shared(file));
    to.files.extract_if(.., |file| shared(file)).collect()
}

impl Columns {
    fn refuse_missing_key(&self, job: &Job, key: &[Column], nothing_to_read: bool) -> Result<()> {
        let lost = key.iter().find(|column| !self.both.contains(column));
        let Some(lost) = lost.filter(|_| !nothing_to_read) else { return Ok(()) };
        Err(Error::project(format!(
            "the two sides cannot be compared: '{}' is not a column of both, or has two types",
            lost.name
        ))
        .with("table", &job.table.name)
        .with("file", job.file.display())
        .hint("the grain tells rows apart, and both sides must have it; run the older one again"))
    }
}

fn never_published(lake: &Storage, job: &Job) -> Error {
    Error::new(ErrorKind::InputMissing, format!("the table {} was never published", job.table.name))
        .with("lake", lake.describe_root())
        .hint(format!("gatefold run {} publishes it", job.name))
}

fn refuse_missing_day(table: &LakeTable, lake: &Storage, job: &Job, date: SnapshotDate) -> Result<()> {
    let days: BTreeSet<SnapshotDate> = match (job.table.mode, &job.table.partition) {
        (Mode::Partition, Some(by)) => table.values_of(&by.column).iter().filter_map(|day| day.parse().ok()).collect(),
        _ => table.applied().dates().collect(),
    };
    if days.contains(&date) {
        return Ok(());
    }
    let before = days.range(..date).rev().take(NAMED_DAYS).collect::<Vec<_>>().into_iter().rev();
    let near: Vec<String> = before.chain(days.range(date..).take(NAMED_DAYS)).map(ToString::to_string).collect();
    let near =
        if near.is_empty() { "there is none yet".to_owned() } else { format!("the nearest are {}", near.join(", ")) };
    Err(Error::new(ErrorKind::InputMissing, format!("{} of {date} is not published", job.table.name))
        .with("lake", lake.describe_root())
        .hint(format!("{near}; gatefold run {} --date {date} makes it", job.name)))
}
