//! A step: a named SELECT that the models of several jobs read, `sql/steps/<name>.sql`.
//!
//! A step is planned into every model that names it among its inputs, as if it stood there as a `WITH` clause, or made once for a job
//! that reads it more than once. It is no table, so personal data that it carries along is in none, and a rule that several
//! tables follow is written once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::sql::parser::DFParser;
use datafusion::sql::resolve::resolve_table_references;

use super::Job;
use crate::contract::{Location, check_column_name};
use crate::engine::plan_error;
use crate::error::{Error, Result};
use crate::names::SnapshotName;
use crate::toml_file::{files_of, read_text, suggest};

const FOLDER: &str = "sql/steps";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    /// Relative to the project.
    pub file: PathBuf,
    pub sql: String,
    /// The snapshots that it reads itself.
    pub snapshots: BTreeSet<SnapshotName>,
    /// The steps that it reads itself.
    pub steps: BTreeSet<String>,
}

/// The steps of a project by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(BTreeMap<String, Arc<Step>>);

impl Steps {
    /// Reads every step of the project in the folder `root`.
    ///
    /// # Errors
    /// `Project`: a file is no single SELECT, reads what is neither a snapshot nor a step, or reads itself in the end.
    pub(crate) fn load(root: &Path, is_snapshot: impl Fn(&str) -> Option<SnapshotName>) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for file in files_of(root, FOLDER, "sql")?.into_values() {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            check_column_name(&name).map_err(|error| error.with("file", file.display()))?;
            if is_snapshot(&name).is_some() {
                return Err(Error::project(format!("'{name}' is a step and a snapshot"))
                    .with("file", file.display())
                    .hint("rename the step's file"));
            }
            texts.insert(name, (read_text(root, &file)?, file));
        }
        let mut steps = BTreeMap::new();
        for (name, (sql, file)) in &texts {
            let mut step = Step { name: name.clone(), file: file.clone(), sql: sql.clone(), ..Step::empty() };
            for table in tables_of(sql, file)? {
                match is_snapshot(&table) {
                    Some(snapshot) => drop(step.snapshots.insert(snapshot)),
                    None if texts.contains_key(&table) => drop(step.steps.insert(table)),
                    None => {
                        return Err(Error::project(format!("there is no snapshot or step '{table}'"))
                            .with("file", file.display())
                            .hint(suggest(&table, texts.keys().map(String::as_str))));
                    }
                }
            }
            steps.insert(name.clone(), Arc::new(step));
        }
        let steps = Steps(steps);
        steps.refuse_circles()?;
        Ok(steps)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The step and those that it reads, each after those that it reads itself.
    pub fn with_upstream(&self, name: &str) -> Vec<Arc<Step>> {
        let mut found = Vec::new();
        self.collect(name, &mut found);
        found
    }

    fn collect(&self, name: &str, found: &mut Vec<Arc<Step>>) {
        let Some(step) = self.0.get(name).filter(|step| !found.contains(step)) else { return };
        step.steps.iter().for_each(|upstream| self.collect(upstream, found));
        found.push(Arc::clone(step));
    }

    fn refuse_circles(&self) -> Result<()> {
        let mut done: BTreeSet<&str> = BTreeSet::new();
        while done.len() < self.0.len() {
            let ready = |step: &&Arc<Step>| {
                !done.contains(step.name.as_str()) && step.steps.iter().all(|upstream| done.contains(upstream.as_str()))
            };
            let next: Vec<&str> = self.0.values().filter(ready).map(|step| step.name.as_str()).collect();
            if next.is_empty() {
                let stuck = self.0.values().filter(|step| !done.contains(step.name.as_str()));
                let (names, files): (Vec<_>, Vec<_>) =
                    stuck.map(|step| (step.name.as_str(), step.file.display().to_string())).unzip();
                return Err(Error::project(format!("steps read each other in a circle: {}", names.join(", ")))
                    .with("file", files.join(", "))
                    .hint("let one of them read snapshots only"));
            }
            done.extend(next);
        }
        Ok(())
    }
}

impl Step {
    fn empty() -> Self {
        Step {
            name: String::new(),
            file: PathBuf::new(),
            sql: String::new(),
            snapshots: BTreeSet::new(),
            steps: BTreeSet::new(),
        }
    }
}

impl Job {
    /// The inputs that make the rows, by alias: those that the model or a step names. Others are there for checks alone.
    ///
    /// # Errors
    /// `Project`: a text is no SQL.
    pub fn read_inputs(&self) -> Result<BTreeSet<String>> {
        let steps = self.steps.iter().map(|step| tables_of(&step.sql, &step.file));
        let tables: Result<Vec<_>> = steps.chain([tables_of(&self.sql, &self.sql_file)]).collect();
        Ok(tables?.into_iter().flatten().collect())
    }
}

/// The tables that a SELECT names, those of its own WITH clauses aside.
pub(super) fn tables_of(sql: &str, file: &Path) -> Result<Vec<String>> {
    let start = Location { file: file.to_owned(), line: 1, column: 1 };
    let statements = DFParser::parse_sql(sql).map_err(|error| plan_error(error, &start))?;
    let mut tables = Vec::new();
    for statement in &statements {
        let (found, _) = resolve_table_references(statement, true).map_err(|error| plan_error(error, &start))?;
        tables.extend(found.into_iter().map(|table| table.to_string()));
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Steps> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join(FOLDER)).unwrap();
        for (name, sql) in files {
            std::fs::write(root.path().join(FOLDER).join(format!("{name}.sql")), sql).unwrap();
        }
        Steps::load(root.path(), |name| (name == "account").then(|| SnapshotName::new("account").unwrap()))
    }

    #[test]
    fn a_step_comes_after_those_that_it_reads() {
        let steps = load(&[
            ("b", "SELECT * FROM a"),
            ("a", "WITH x AS (SELECT 1) SELECT * FROM account, x"),
            ("c", "SELECT * FROM b JOIN a ON TRUE"),
        ]);
        let order: Vec<String> = steps.unwrap().with_upstream("c").iter().map(|step| step.name.clone()).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn what_a_step_cannot_read_is_refused() {
        let message = |files: &[(&str, &str)]| load(files).unwrap_err().to_string();
        assert!(message(&[("a", "SELECT * FROM acount")]).contains("no snapshot or step 'acount'"));
        assert!(message(&[("a", "SELECT * FROM b"), ("b", "SELECT * FROM a")]).contains("in a circle: a, b"));
        assert!(message(&[("account", "SELECT 1")]).contains("is a step and a snapshot"));
        assert!(message(&[("a", "SELEC 1")]).contains("SELEC"));
    }
}
