//! One way to a job's rows, and all its measurements.

use std::fmt;
use std::process::Command;

use clap::ValueEnum;

use crate::Args;
use crate::common::Result;
use crate::common::child::{Measured, measure};
use crate::common::floor::Clocks;
use crate::data::Data;
use crate::peer;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum WayName {
    Floor,
    Gatefold,
    DuckDb,
    Polars,
    PySpark,
}

impl WayName {
    pub const ALL: [WayName; 5] =
        [WayName::Floor, WayName::Gatefold, WayName::DuckDb, WayName::Polars, WayName::PySpark];

    /// The name of its script and its package.
    fn package(self) -> Option<&'static str> {
        match self {
            WayName::Floor | WayName::Gatefold => None,
            WayName::DuckDb => Some("duckdb"),
            WayName::Polars => Some("polars"),
            WayName::PySpark => Some("pyspark"),
        }
    }
}

impl fmt::Display for WayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WayName::Floor => f.write_str("floor"),
            WayName::Gatefold => f.write_str("gatefold"),
            WayName::DuckDb => write!(f, "DuckDB {}", peer::version("duckdb")),
            WayName::Polars => write!(f, "Polars {}", peer::version("polars")),
            WayName::PySpark => write!(f, "PySpark {}", peer::version("pyspark")),
        }
    }
}

pub struct Way {
    pub name: WayName,
    /// Why it did not come to its end, which is a result too.
    pub failure: Option<String>,
    measured: Vec<Measured>,
    /// Seconds until a peer's engine was there.
    starts: Vec<f64>,
}

impl Way {
    pub fn new(name: WayName) -> Self {
        Way { name, failure: None, measured: Vec::new(), starts: Vec::new() }
    }

    /// Does the job once more. Returns the seconds that it took.
    pub fn measure(&mut self, args: &Args, data: &Data) -> Result<f64> {
        let measured = match self.name.package() {
            Some(package) => {
                let (measured, start) = peer::run(args, data, package)?;
                self.starts.push(start);
                measured
            }
            None if self.name == WayName::Floor => measure_floor(data)?,
            None => {
                data.restore()?;
                measure(&mut data.run_command(data.job))?
            }
        };
        let seconds = measured.elapsed.as_secs_f64();
        self.measured.push(measured);
        Ok(seconds)
    }

    /// The median of something of all measurements.
    pub fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.measured.iter().map(of).collect())
    }

    pub fn seconds(&self) -> f64 {
        self.median(|measured| measured.elapsed.as_secs_f64())
    }

    pub fn start_seconds(&self) -> Option<f64> {
        (!self.starts.is_empty()).then(|| median(self.starts.clone()))
    }
}

/// The child's peak memory is taken from outside; its times from its own clocks, which stand still while it only
/// fetches the rows that it is to encode.
fn measure_floor(data: &Data) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    let (accounts, buckets) = (data.accounts.to_string(), data.buckets.to_string());
    command.args(["--floor", "--job", data.job.name(), "--accounts", &accounts, "--buckets", &buckets]);
    let child = measure(&mut command)?;
    let clocks: Clocks = serde_json::from_str(&child.stdout)?;
    Ok(Measured { elapsed: clocks.elapsed(), cpu: clocks.cpu(), ..child })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
