//! Lineage for people: a list of what each column takes, or trees where it is followed further.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use super::super::graph::{Graph, Reach, View};
use super::super::{ColumnId, table_name};
use super::full_name;
use crate::contract::PiiClass;
use crate::job::InputSource;

pub fn text(graph: &Graph<'_>, view: &View) -> String {
    let trees = view.reach != Reach::Near;
    if view.columns.is_empty() {
        let describe = |table: &InputSource, ()| told_table(graph, table);
        let next = |table: &InputSource| {
            let next = if view.reach == Reach::Downstream { graph.read_by(table) } else { graph.reads(table) };
            next.into_iter().map(|table| (table, ())).collect()
        };
        let tree = Tree { describe: &describe, next: &next, one_step: !trees };
        return view.tables_asked.iter().map(|table| tree.draw(table, ())).collect();
    }
    if !trees {
        let tables = view.tables_asked.iter().map(|table| table_text(graph, view, table));
        return tables.collect::<Vec<_>>().join("\n");
    }
    let describe = |column: &ColumnId, how: String| format!("{column}{how}{}", class_text(graph, column));
    let next = |column: &ColumnId| {
        let next = if view.reach == Reach::Downstream { graph.to(column) } else { graph.from(column) };
        next.iter().map(|(column, how)| (column.clone(), format!("  {how}"))).collect()
    };
    let tree = Tree { describe: &describe, next: &next, one_step: false };
    view.columns_asked.iter().map(|column| tree.draw(column, String::new())).collect()
}

fn told_table(graph: &Graph<'_>, table: &InputSource) -> String {
    match graph.job(table) {
        Some(_) => full_name(graph, table),
        None => format!("{}  snapshot", table_name(table)),
    }
}

fn class_text(graph: &Graph<'_>, column: &ColumnId) -> String {
    match (graph.class(column), graph.declassified(column)) {
        (PiiClass::None, None) => String::new(),
        (class, None) => format!("  {class}"),
        (class, Some(reason)) => format!("  {class}, declassified: {reason}"),
    }
}

/// How wide a list of names may get, its title and indent with it.
const LINE_WIDTH: usize = 100;

/// One table: what it reads, what decides its rows, and what each column takes directly.
fn table_text(graph: &Graph<'_>, view: &View, table: &InputSource) -> String {
    let mut text = format!("{}\n", told_table(graph, table));
    let mut list = |title: &str, names: Vec<String>| {
        if !names.is_empty() {
            text += &listed(&format!("  {title:<9}"), &names);
        }
    };
    let names = |tables: BTreeSet<InputSource>| tables.iter().map(|table| table_name(table).to_owned()).collect();
    list("reads", names(graph.reads(table)));
    list("read by", names(graph.read_by(table)));
    list("rows by", graph.filters(table).map(ToString::to_string).collect());
    let mut rows = Vec::new();
    for column in view.columns_asked.iter().filter(|column| column.table == *table) {
        let class = match (graph.class(column), graph.declassified(column)) {
            (class, Some(_)) => format!("{class} (declassified)"),
            (class, None) => class.to_string(),
        };
        let mut lead = [format!("  {}", column.column), class];
        for (from, how) in graph.from(column) {
            let [name, class] = std::mem::take(&mut lead);
            rows.push([name, class, from.to_string(), how.to_string()]);
        }
        let [name, class] = lead;
        if !name.is_empty() {
            rows.push([name, class, String::new(), String::new()]);
        }
    }
    text + &aligned(&rows)
}

/// A title and names after it, over as many lines as they need.
fn listed(title: &str, names: &[String]) -> String {
    let mut text = String::new();
    let mut line = title.to_owned();
    for (at, name) in names.iter().enumerate() {
        let word = if at + 1 < names.len() { format!("{name}, ") } else { name.clone() };
        if line.len() > title.len() && line.len() + word.trim_end().len() > LINE_WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = " ".repeat(title.len());
        }
        line += &word;
    }
    let _ = writeln!(text, "{line}");
    text
}

/// Lines whose cells stand below each other. Names are plain letters, each as wide as the next.
fn aligned<const CELLS: usize>(rows: &[[String; CELLS]]) -> String {
    let width = |cell: usize| rows.iter().map(|row| row[cell].len()).max().unwrap_or_default();
    let widths: [usize; CELLS] = std::array::from_fn(width);
    let line = |row: &[String; CELLS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Draws what hangs on a node. Each node is opened once, where it is met first.
struct Tree<'a, Node, Note> {
    describe: &'a dyn Fn(&Node, Note) -> String,
    next: &'a dyn Fn(&Node) -> Vec<(Node, Note)>,
    one_step: bool,
}

impl<Node: Ord + Clone, Note> Tree<'_, Node, Note> {
    fn draw(&self, root: &Node, note: Note) -> String {
        let mut text = format!("{}\n", (self.describe)(root, note));
        self.branches(root, "", &mut BTreeSet::new(), &mut text);
        text
    }

    fn branches(&self, node: &Node, indent: &str, opened: &mut BTreeSet<Node>, text: &mut String) {
        opened.insert(node.clone());
        let next = (self.next)(node);
        let last = next.len().saturating_sub(1);
        for (at, (branch, note)) in next.into_iter().enumerate() {
            let (corner, bar) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let again = opened.contains(&branch) && !(self.next)(&branch).is_empty();
            let line: &dyn Display = &(self.describe)(&branch, note);
            let _ = writeln!(text, "{indent}{corner}{line}{}", if again { "  (see above)" } else { "" });
            if !again && !self.one_step {
                self.branches(&branch, &format!("{indent}{bar}"), opened, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_goes_on_below_its_first_name() {
        let names: Vec<String> = (0..9).map(|n| format!("subscription.column_{n}")).collect();
        insta::assert_snapshot!(listed("  rows by  ", &names), @r"
          rows by  subscription.column_0, subscription.column_1, subscription.column_2,
                   subscription.column_3, subscription.column_4, subscription.column_5,
                   subscription.column_6, subscription.column_7, subscription.column_8
        ");
        assert_eq!(listed("  rows by  ", &["x".repeat(200)]), format!("  rows by  {}\n", "x".repeat(200)));
    }
}
