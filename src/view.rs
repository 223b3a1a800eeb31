//! The views of `sql/views`: one GoogleSQL statement a file, for analysts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sqlparser::ast::{ObjectName, Statement, Visit, Visitor};
use sqlparser::dialect::BigQueryDialect;
use sqlparser::parser::Parser;

use crate::digest::digest;
use crate::error::{Error, Result, did_you_mean};
use crate::names::TableName;
use crate::toml_file::{files_of, read_text};

const FOLDER: &str = "sql/views";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub name: TableName,
    /// Relative to the project.
    pub file: PathBuf,
    /// The first paragraph of the comment at the file's head.
    pub description: String,
    /// `CREATE OR REPLACE VIEW …`, the whole file.
    pub sql: String,
    /// The tables and views that it reads.
    pub reads: BTreeSet<TableName>,
}

impl View {
    /// Every view of the project, each after those that it reads.
    ///
    /// # Errors
    /// `Project`: a file is not one `CREATE OR REPLACE VIEW dataset.name AS SELECT …`, it reads what is neither a table of
    /// a job nor a view, or views read each other in a circle.
    pub fn load(root: &Path, tables: &BTreeSet<TableName>) -> Result<Vec<View>> {
        let mut views = BTreeMap::new();
        for path in files_of(root, FOLDER, "sql")?.into_values() {
            let view = View::parse(&path, read_text(root, &path)?)?;
            if let Some(twice) = views.insert(view.name.clone(), view) {
                return Err(Error::project(format!("the view {} is written twice", twice.name))
                    .with("file", path.display())
                    .with("file", twice.file.display()));
            }
        }
        let known: BTreeSet<TableName> = tables.iter().chain(views.keys()).cloned().collect();
        views.values().try_for_each(|view| view.refuse_unknown(&known))?;
        in_order(views)
    }

    fn parse(file: &Path, sql: String) -> Result<View> {
        let refuse = |why: String| {
            Error::project(why).with("file", file.display()).hint(
                "a file of sql/views is one statement of GoogleSQL: CREATE OR REPLACE VIEW dataset.name AS SELECT …",
            )
        };
        let statements = Parser::parse_sql(&BigQueryDialect, &sql)
            .map_err(|error| refuse(format!("the view cannot be read: {error}")))?;
        let [Statement::CreateView(view)] = statements.as_slice() else {
            return Err(refuse("the file is not one view".to_owned()));
        };
        if !view.or_replace || view.materialized {
            return Err(refuse("the view is not made by CREATE OR REPLACE VIEW".to_owned()));
        }
        let name = table_name(&view.name).ok_or_else(|| refuse(format!("'{}' is not dataset.name", view.name)))?;
        let mut reads = Reads::default();
        let _ = view.query.visit(&mut reads);
        Ok(View { name, file: file.to_owned(), description: head(&sql), reads: reads.0, sql })
    }

    fn refuse_unknown(&self, known: &BTreeSet<TableName>) -> Result<()> {
        let Some(unknown) = self.reads.iter().find(|name| !known.contains(name)) else { return Ok(()) };
        let name = unknown.to_string();
        let names: Vec<String> = known.iter().map(ToString::to_string).collect();
        let hint = did_you_mean(&name, names.iter().map(String::as_str))
            .unwrap_or_else(|| "gatefold plan lists the tables that jobs make".to_owned());
        Err(Error::project(format!("the view {} reads '{name}', which no job makes", self.name))
            .with("file", self.file.display())
            .hint(hint))
    }

    /// Equal for equal texts; a published view carries it as a label.
    pub fn fingerprint(&self) -> String {
        digest([self.sql.as_str(), self.description.as_str()])
    }
}

fn in_order(mut waiting: BTreeMap<TableName, View>) -> Result<Vec<View>> {
    let mut ordered: Vec<View> = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.values().find(|view| view.reads.iter().all(|name| !waiting.contains_key(name)));
        let Some(ready) = ready.map(|view| view.name.clone()) else {
            let names: Vec<String> = waiting.keys().map(ToString::to_string).collect();
            return Err(Error::project(format!("views read each other in a circle: {}", names.join(", ")))
                .with("folder", FOLDER));
        };
        ordered.extend(waiting.remove(&ready));
    }
    Ok(ordered)
}

/// The relations that a query names with their dataset; a single word is one of its own `WITH` parts.
#[derive(Default)]
struct Reads(BTreeSet<TableName>);

impl Visitor for Reads {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.0.extend(table_name(relation));
        ControlFlow::Continue(())
    }
}

fn table_name(name: &ObjectName) -> Option<TableName> {
    let parts: Vec<&str> = name.0.iter().filter_map(|part| Some(part.as_ident()?.value.as_str())).collect();
    match parts.as_slice() {
        [dataset, table] => TableName::new(*dataset, *table).ok(),
        _ => None,
    }
}

/// The first paragraph of the comment at the head, without the words that say what it is of.
fn head(sql: &str) -> String {
    let comment = sql.lines().map_while(|line| line.strip_prefix("--")).map(str::trim);
    let paragraph: Vec<&str> = comment.take_while(|line| !line.is_empty()).collect();
    let text = paragraph.join(" ");
    match text.strip_prefix("View ").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CITY: &str = "-- View shop.city: one row a city.\n--\n-- Where do people live?\n\n\
                        CREATE OR REPLACE VIEW shop.city AS\nWITH recent AS (SELECT city FROM shop.people)\n\
                        SELECT city, COUNT(*) AS people FROM recent JOIN shop.place USING (city) GROUP BY city\n";

    fn tables(names: &[&str]) -> BTreeSet<TableName> {
        names.iter().map(|name| TableName::new("shop", *name).unwrap()).collect()
    }

    fn load(files: &[(&str, &str)]) -> Result<Vec<View>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(FOLDER).join(name), text).unwrap();
        }
        View::load(folder.path(), &tables(&["people", "place"]))
    }

    #[test]
    fn a_view_is_read_with_what_it_reads() {
        let views = load(&[("city.sql", CITY)]).unwrap();
        assert_eq!(views[0].name.to_string(), "shop.city");
        assert_eq!(views[0].description, "one row a city.");
        assert_eq!(views[0].reads, tables(&["people", "place"]));
    }

    #[test]
    fn a_view_on_a_view_comes_after_it() {
        let later = "CREATE OR REPLACE VIEW shop.a AS SELECT * FROM shop.city";
        let names: Vec<String> =
            load(&[("a.sql", later), ("city.sql", CITY)]).unwrap().iter().map(|view| view.name.to_string()).collect();
        assert_eq!(names, ["shop.city", "shop.a"]);
    }

    #[test]
    fn what_is_no_view_is_refused_with_its_file() {
        let circle = "CREATE OR REPLACE VIEW shop.a AS SELECT * FROM shop.a";
        for (text, expected) in [
            ("SELECT 1", "the file is not one view"),
            ("CREATE OR REPLACE VIEW shop.city AS SELECT FROM WHERE", "the view cannot be read"),
            ("CREATE VIEW shop.city AS SELECT 1 AS a", "CREATE OR REPLACE VIEW"),
            ("CREATE OR REPLACE VIEW city AS SELECT 1 AS a", "'city' is not dataset.name"),
            (&CITY.replace("shop.people", "shop.poeple"), "reads 'shop.poeple', which no job makes"),
            (circle, "in a circle: shop.a"),
        ] {
            let refusal = load(&[("city.sql", text)]).expect_err(text).to_string();
            assert!(refusal.contains(expected) && refusal.contains("sql/views"), "{refusal}");
        }
    }
}
