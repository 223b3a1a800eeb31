//! Lineage in Graphviz's language: a record a table with a port a column, a line a column that is taken from another.
//!
//! A line is dashed where the value is derived, and red columns are direct.

use std::fmt::Write;

use super::super::graph::{Graph, View};
use super::super::{ColumnId, How, table_name};
use super::full_name;
use crate::contract::PiiClass;
use crate::job::InputSource;

pub fn dot(graph: &Graph<'_>, view: &View) -> String {
    let mut text =
        String::from("digraph lineage {\n  rankdir=LR;\n  node [shape=plain, fontname=\"Helvetica\", fontsize=10];\n");
    for table in &view.tables {
        text += &node(graph, view, table);
    }
    let lines = if view.columns.is_empty() { table_lines(graph, view) } else { column_lines(graph, view) };
    text + &lines + "}\n"
}

fn node(graph: &Graph<'_>, view: &View, table: &InputSource) -> String {
    let title = if graph.job(table).is_some() { "#d7e8d4" } else { "#dde3ee" };
    let mut rows = format!(r#"<tr><td bgcolor="{title}"><b>{}</b></td></tr>"#, escaped(&full_name(graph, table)));
    for column in view.columns.iter().filter(|column| column.table == *table) {
        let name = escaped(&column.column);
        let shown = match graph.class(column) {
            PiiClass::Direct => format!(r##"<font color="#b00020">{name}</font>"##),
            _ => name.clone(),
        };
        let _ = write!(rows, r#"<tr><td port="{name}" align="left">{shown}</td></tr>"#);
    }
    let label = format!(r#"<table border="0" cellborder="1" cellspacing="0" cellpadding="4">{rows}</table>"#);
    format!("  {} [label=<{label}>];\n", quoted(table_name(table)))
}

fn column_lines(graph: &Graph<'_>, view: &View) -> String {
    let port = |column: &ColumnId| format!("{}:{}", quoted(table_name(&column.table)), quoted(&column.column));
    let mut text = String::new();
    for to in &view.columns {
        for (from, how) in graph.from(to).iter().filter(|(from, _)| view.shows(from, to)) {
            let style = match how {
                How::Copied => "solid",
                How::Derived => "dashed",
            };
            let _ = writeln!(text, "  {}:e -> {}:w [style={style}];", port(from), port(to));
        }
    }
    text
}

fn table_lines(graph: &Graph<'_>, view: &View) -> String {
    let mut text = String::new();
    for table in &view.tables {
        for read in graph.reads(table).iter().filter(|read| view.tables.contains(read)) {
            let _ = writeln!(text, "  {} -> {};", quoted(table_name(read)), quoted(table_name(table)));
        }
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// For labels, which are read like HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_quotes() {
        assert_eq!(quoted(r#"a"b\"#), r#""a\"b\\""#);
        assert_eq!(escaped(r#"<a & "b">"#), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
