//! The columns of a project and what each takes from others, as a graph; and the part of it that somebody asks for.
//!
//! Tables are snapshots and the tables of jobs. A job that reads its own earlier day makes a circle, so every walk
//! remembers where it was.

use std::collections::{BTreeMap, BTreeSet};

use super::{ColumnId, How, JobLineage, columns_of};
use crate::contract::PiiClass;
use crate::job::{InputSource, Job};
use crate::names::JobName;
use crate::project::Project;

/// A column beside another, and how the value comes from one to the other.
pub type Neighbours = Vec<(ColumnId, How)>;

pub struct Graph<'a> {
    pub project: &'a Project,
    lineage: BTreeMap<JobName, JobLineage>,
    from: BTreeMap<ColumnId, Neighbours>,
    to: BTreeMap<ColumnId, Neighbours>,
}

/// How far to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// What a table takes directly.
    Near,
    /// Back to the snapshots.
    Upstream,
    /// On to all that depends on it.
    Downstream,
}

/// The part of the graph that was asked for.
pub struct View {
    pub reach: Reach,
    /// What was asked for: whole tables, or a column of each.
    pub tables_asked: Vec<InputSource>,
    pub columns_asked: Vec<ColumnId>,
    /// All that belongs to the answer: snapshots by name, then jobs in the order in which they run.
    pub tables: Vec<InputSource>,
    /// In the order of their tables. None in an answer about tables alone.
    pub columns: Vec<ColumnId>,
    reached: BTreeSet<ColumnId>,
}

impl<'a> Graph<'a> {
    pub fn new(project: &'a Project, lineage: BTreeMap<JobName, JobLineage>) -> Self {
        let mut graph = Graph { project, lineage, from: BTreeMap::new(), to: BTreeMap::new() };
        for (job, lineage) in &graph.lineage {
            for (column, flows) in &lineage.columns {
                let made = ColumnId { table: InputSource::Table(job.clone()), column: column.clone() };
                for (source, flow) in flows.iter() {
                    graph.to.entry(source.clone()).or_default().push((made.clone(), flow.how));
                    graph.from.entry(made.clone()).or_default().push((source.clone(), flow.how));
                }
            }
        }
        graph
    }

    /// What a column takes directly.
    pub fn from(&self, column: &ColumnId) -> &[(ColumnId, How)] {
        self.from.get(column).map_or(&[], Vec::as_slice)
    }

    /// The columns that take from it directly.
    pub fn to(&self, column: &ColumnId) -> &[(ColumnId, How)] {
        self.to.get(column).map_or(&[], Vec::as_slice)
    }

    pub fn job(&self, table: &InputSource) -> Option<&'a Job> {
        match table {
            InputSource::Snapshot(_) => None,
            InputSource::Table(name) => self.project.jobs.get(name),
        }
    }

    /// What a table's job reads, each once.
    pub fn reads(&self, table: &InputSource) -> BTreeSet<InputSource> {
        self.job(table).into_iter().flat_map(|job| &job.inputs).map(|input| input.source.clone()).collect()
    }

    pub fn read_by(&self, table: &InputSource) -> BTreeSet<InputSource> {
        let all = self.project.order.iter().map(|name| InputSource::Table(name.clone()));
        all.filter(|reader| self.reads(reader).contains(table)).collect()
    }

    /// The columns that decide only which rows the table has.
    pub fn filters(&self, table: &InputSource) -> impl Iterator<Item = &ColumnId> {
        let lineage = match table {
            InputSource::Snapshot(_) => None,
            InputSource::Table(name) => self.lineage.get(name),
        };
        lineage.into_iter().flat_map(|lineage| &lineage.filters)
    }

    pub fn class(&self, column: &ColumnId) -> PiiClass {
        super::class_of(self.project, column)
    }

    /// Why a column has a lower class than what it derives from, if the job says so.
    pub fn declassified(&self, column: &ColumnId) -> Option<&'a str> {
        let entries = self.job(&column.table).into_iter().flat_map(|job| &job.declassify);
        entries.filter(|entry| entry.column == column.column).map(|entry| entry.reason.as_str()).next()
    }

    /// Whole tables, without their columns.
    pub fn tables(&self, asked: Vec<InputSource>, reach: Reach) -> View {
        let reached = match reach {
            Reach::Near => asked.iter().flat_map(|table| self.reads(table)).chain(asked.iter().cloned()).collect(),
            Reach::Upstream => walk(&asked, |table| self.reads(table).into_iter().collect()),
            Reach::Downstream => walk(&asked, |table| self.read_by(table).into_iter().collect()),
        };
        View {
            reach,
            tables_asked: asked,
            columns_asked: Vec::new(),
            tables: self.in_order(&reached),
            columns: Vec::new(),
            reached: BTreeSet::new(),
        }
    }

    /// Columns of these tables; all of them, unless one is named.
    pub fn columns(&self, asked: Vec<InputSource>, column: Option<&str>, reach: Reach) -> View {
        let of_table = |table: &InputSource| {
            let columns = columns_of(self.project, table).into_iter();
            let wanted = columns.filter(|name| column.is_none_or(|wanted| wanted == name));
            wanted.map(|name| ColumnId { table: table.clone(), column: name }).collect::<Vec<_>>()
        };
        let columns_asked: Vec<ColumnId> = asked.iter().flat_map(of_table).collect();
        let names = |neighbours: &[(ColumnId, How)]| neighbours.iter().map(|(column, _)| column.clone()).collect();
        let reached: BTreeSet<ColumnId> = match reach {
            Reach::Near => {
                let sources = columns_asked.iter().flat_map(|column| self.from(column)).map(|(source, _)| source);
                sources.chain(&columns_asked).cloned().collect()
            }
            Reach::Upstream => walk(&columns_asked, |column| names(self.from(column))),
            Reach::Downstream => walk(&columns_asked, |column| names(self.to(column))),
        };
        let tables = self.in_order(&reached.iter().map(|column| &column.table).chain(&asked).cloned().collect());
        let columns = tables.iter().flat_map(|table| {
            let id = |column| ColumnId { table: table.clone(), column };
            columns_of(self.project, table).into_iter().map(id).filter(|id| reached.contains(id))
        });
        View { reach, columns: columns.collect(), tables_asked: asked, columns_asked, tables, reached }
    }

    fn in_order(&self, tables: &BTreeSet<InputSource>) -> Vec<InputSource> {
        let snapshots = self.project.snapshots.keys().map(|name| InputSource::Snapshot(name.clone()));
        let jobs = self.project.order.iter().map(|name| InputSource::Table(name.clone()));
        snapshots.chain(jobs).filter(|table| tables.contains(table)).collect()
    }
}

impl View {
    /// Whether a line from one column to another belongs to the answer.
    pub fn shows(&self, from: &ColumnId, to: &ColumnId) -> bool {
        let asked = self.reach != Reach::Near || self.columns_asked.contains(to);
        asked && self.reached.contains(from) && self.reached.contains(to)
    }
}

/// All that can be reached, with where the walk began.
fn walk<Node: Ord + Clone>(from: &[Node], next: impl Fn(&Node) -> Vec<Node>) -> BTreeSet<Node> {
    let mut reached: BTreeSet<Node> = from.iter().cloned().collect();
    let mut waiting = from.to_vec();
    while let Some(node) = waiting.pop() {
        waiting.extend(next(&node).into_iter().filter(|node| reached.insert(node.clone())));
    }
    reached
}
