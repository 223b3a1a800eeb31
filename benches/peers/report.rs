//! The measurements as Markdown, and as figures for the plot.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::Args;
use crate::common::{Result, machine};
use crate::data::{Data, Sizes};
use crate::job::Job;
use crate::way::{Way, WayName};

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->\n";
const MIB: f64 = (1 << 20) as f64;

pub struct Report {
    conditions: String,
    tables: Vec<Table>,
}

/// One job at one size.
struct Table {
    job: Job,
    accounts: u64,
    buckets: u32,
    sizes: Sizes,
    ways: Vec<Way>,
}

impl Report {
    pub fn new(args: &Args) -> Self {
        let rounds = args.rounds;
        Report { conditions: format!("On {}. Page cache warm; rounds: {rounds}, medians.", machine()), tables: vec![] }
    }

    pub fn add(&mut self, data: &Data, sizes: Sizes, ways: Vec<Way>) {
        let Data { job, accounts, buckets, .. } = *data;
        self.tables.push(Table { job, accounts, buckets, sizes, ways });
    }

    pub fn markdown(&self) -> String {
        let tables: String = self.tables.iter().map(Table::markdown).collect();
        format!("{}\n{tables}", self.conditions)
    }

    /// A record a way that came to its end.
    pub fn json(&self) -> Result<String> {
        let records: Vec<_> = self.tables.iter().flat_map(Table::records).collect();
        Ok(serde_json::to_string_pretty(&records)? + "\n")
    }
}

impl Table {
    fn markdown(&self) -> String {
        let Sizes { input_rows, output_rows } = self.sizes;
        let layout = match self.buckets {
            0 => String::new(),
            buckets => format!(" in {buckets} sorted buckets"),
        };
        let mut text = format!(
            "\n`{}`, {} accounts{layout}: {input_rows} rows of snapshots in, {output_rows} rows out.\n\n",
            self.job, self.accounts
        );
        text += "| | time | of it start | CPU time | peak memory | read | written | to the floor | to DuckDB |\n";
        text += "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        for way in &self.ways {
            let _ = match &way.failure {
                Some(reason) => writeln!(text, "| {} | {reason} | | | | | | | |", way.name),
                None => writeln!(text, "{}", self.row(way)),
            };
        }
        text
    }

    fn row(&self, way: &Way) -> String {
        let seconds = way.seconds();
        let start = way.start_seconds().map_or(String::new(), |start| format!("{start:.1} s"));
        let cpu = way.median(|measured| measured.cpu.as_secs_f64());
        let mib = |bytes: f64| format!("{:.0} MiB", bytes / MIB);
        let peak = mib(way.median(|measured| measured.peak_bytes as f64));
        let read = mib(way.median(|measured| measured.read_bytes as f64));
        let written = mib(way.median(|measured| measured.written_bytes as f64));
        let (floor, duckdb) = (self.ratio(seconds, WayName::Floor), self.ratio(seconds, WayName::DuckDb));
        let name = way.name;
        format!("| {name} | {seconds:.2} s | {start} | {cpu:.2} s | {peak} | {read} | {written} | {floor} | {duckdb} |")
    }

    fn ratio(&self, seconds: f64, to: WayName) -> String {
        let to = self.ways.iter().find(|way| way.name == to && way.failure.is_none());
        to.map_or(String::new(), |way| format!("{:.2} ×", seconds / way.seconds()))
    }

    fn records(&self) -> impl Iterator<Item = serde_json::Value> {
        self.ways.iter().filter(|way| way.failure.is_none()).map(|way| {
            json!({
                "job": self.job.name(),
                "accounts": self.accounts,
                "buckets": self.buckets,
                "way": way.name.to_string(),
                "seconds": way.seconds(),
                "peak_mib": way.median(|measured| measured.peak_bytes as f64) / MIB,
            })
        })
    }
}

/// Puts the text into the page in place of what was between its marks.
pub fn put_between_marks(page: &Path, text: &str) -> Result<()> {
    let found = fs::read_to_string(page)?;
    let parts = found.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else { return Err(format!("{} has not both marks", page.display()).into()) };
    Ok(fs::write(page, format!("{before}{BEGIN}{text}{END}{after}"))?)
}
