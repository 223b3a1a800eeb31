//! From the files of `tests/models` to tests: names resolved, defaults filled in, values typed.

use std::collections::BTreeMap;

use super::expect::ExpectedRow;
use super::given::{GivenTable, Row, Shape};
use super::raw::{RawFile, RawTables, RawTest};
use super::{FOLDER, ModelTest, TEST_KEY};
use crate::contract::{Column, distinct, not_blank};
use crate::error::Result;
use crate::job::Job;
use crate::names::{JobName, SnapshotDate};
use crate::project::Project;
use crate::pseudonym::PseudonymKey;
use crate::storage::Storage;
use crate::toml_file::{At, TomlFile, files_of, suggest};

/// Reads every test of the project, in the order of the files.
///
/// # Errors
/// `Project`, with `file:line:column`: the first thing found wrong.
pub fn load(project: &Project) -> Result<Vec<ModelTest>> {
    let mut tests = Vec::new();
    for path in files_of(&project.root, FOLDER, "toml")?.into_values() {
        tests.extend(read_file(project, &TomlFile::read(&project.root, &path)?)?);
    }
    Ok(tests)
}

pub(super) fn read_file(project: &Project, file: &TomlFile) -> Result<Vec<ModelTest>> {
    let raw: RawFile = file.parse()?;
    let job = find_job(project, file, &raw.model)?;
    distinct(file, raw.test.iter().map(|test| &test.name))?;
    let reader = Reader {
        file,
        project,
        job,
        key: PseudonymKey::from_bytes(TEST_KEY.as_bytes())?,
        // Tables without rows read nothing; they only want to know where that nothing is.
        nowhere: Storage::open_local(&std::env::temp_dir())?,
        shapes: job.inputs.iter().map(|input| Shape::of(project, input)).collect(),
    };
    let defaults = reader.defaults(&raw)?;
    let shared = reader.tables(&raw.given, &defaults)?;
    raw.test.iter().map(|test| reader.test(test, &defaults, &shared)).collect()
}

fn find_job<'a>(project: &'a Project, file: &TomlFile, model: &At<String>) -> Result<&'a Job> {
    let job = JobName::new(model.to_string()).ok().and_then(|name| project.jobs.get(&name));
    job.ok_or_else(|| {
        file.error(model.span(), format!("there is no job '{model}'"))
            .hint(suggest(model, project.jobs.keys().map(JobName::as_str)))
    })
}

/// A file of tests and what it may refer to.
struct Reader<'a> {
    file: &'a TomlFile,
    project: &'a Project,
    job: &'a Job,
    key: PseudonymKey,
    nowhere: Storage,
    /// One an input, in the job's order.
    shapes: Vec<Shape<'a>>,
}

/// Rows with their places in the file, by the place of their input.
type Tables = BTreeMap<usize, Vec<(Row, std::ops::Range<usize>)>>;

impl Reader<'_> {
    fn find_input(&self, name: &At<String>) -> Result<usize> {
        self.shapes.iter().position(|shape| shape.name() == name.as_str()).ok_or_else(|| {
            self.file
                .error(name.span(), format!("the model does not read '{name}'"))
                .hint(suggest(name, self.shapes.iter().map(Shape::name)))
        })
    }

    /// An input's row of which a test says nothing.
    fn defaults(&self, raw: &RawFile) -> Result<Vec<Row>> {
        let mut defaults = self.shapes.iter().map(Shape::neutral).collect::<Result<Vec<_>>>()?;
        for (name, row) in &raw.defaults.0 {
            let input = self.find_input(name)?;
            defaults[input] = self.shapes[input].row(self.file, &defaults[input], row, &self.key)?;
        }
        Ok(defaults)
    }

    fn tables(&self, raw: &RawTables, defaults: &[Row]) -> Result<Tables> {
        let mut tables = Tables::new();
        for (name, rows) in &raw.0 {
            let input = self.find_input(name)?;
            let shape = &self.shapes[input];
            let read = rows.iter().map(|row| Ok((shape.row(self.file, &defaults[input], row, &self.key)?, row.span())));
            tables.insert(input, read.collect::<Result<_>>()?);
        }
        Ok(tables)
    }

    fn test(&self, raw: &RawTest, defaults: &[Row], shared: &Tables) -> Result<ModelTest> {
        let date = self.date(&raw.date)?;
        let own = self.tables(&raw.given, defaults)?;
        let given = self.shapes.iter().enumerate().map(|(input, shape)| -> Result<GivenTable> {
            let rows = own.get(&input).or_else(|| shared.get(&input)).map(Vec::as_slice).unwrap_or_default();
            shape.table(self.file, self.project, &self.nowhere, date, rows)
        });
        let columns: Vec<&Column> = self.job.table.model_columns().collect();
        let expect = raw.expect.iter().map(|row| ExpectedRow::read(self.file, &columns, row, &self.key));
        Ok(ModelTest {
            job: self.job.name.clone(),
            name: not_blank(self.file, &raw.name)?,
            at: self.file.location(raw.name.span()),
            date,
            given: given.collect::<Result<_>>()?,
            expect: expect.collect::<Result<_>>()?,
        })
    }

    /// As a text or as TOML's own date.
    fn date(&self, date: &At<toml::Value>) -> Result<SnapshotDate> {
        let text = match &**date {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.file.locate(date.span(), text.parse())
    }
}
