//! The other engines: programs in Python, each of which does a job from the same files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Args;
use crate::common::Result;
use crate::common::child::{Measured, measure};
use crate::data::{DAY, Data};

/// How `timeout` ends when it had to end the peer.
const TIMED_OUT: &str = "exit status: 124";

/// What a peer tells of itself.
#[derive(Deserialize)]
struct Told {
    /// From the engine's being there to the last byte.
    seconds: f64,
}

/// Lets a peer do the job, and compares its rows with gatefold's. Returns also how long it took to start.
pub fn run(args: &Args, data: &Data, engine: &str) -> Result<(Measured, f64)> {
    let into = data.empty_result()?.join("rows");
    let threads = std::thread::available_parallelism()?.to_string();
    let limit = args.limit_seconds.to_string();
    let mut command = Command::new("timeout");
    command.arg(&limit).arg(&args.python).arg("-B").arg(script(&format!("{engine}_peer")));
    command.arg(data.job.name()).args(["--date", DAY, "--threads", &threads]);
    command.arg("--snapshots").arg(data.project.snapshots()).arg("--history").arg(data.history());
    command.arg("--into").arg(&into).args(["--memory-mib", &args.memory_mib.to_string()]);
    command.env("GATEFOLD_PSEUDONYM_KEY", "gatefold-test-key");
    let measured = measure(&mut command).map_err(|error| match error.to_string().as_str() {
        TIMED_OUT => format!("not done in {limit} s").into(),
        _ => error,
    })?;
    let told: Told = serde_json::from_str(measured.stdout.lines().last().unwrap_or_default())?;
    compare(args, data, &into)?;
    let start = measured.elapsed.as_secs_f64() - told.seconds;
    Ok((measured, start))
}

fn compare(args: &Args, data: &Data, found: &Path) -> Result<()> {
    let mut command = Command::new(&args.python);
    let same = measure(command.arg("-B").arg(script("compare")).arg(data.rows()).arg(found));
    same.map(|_| ()).map_err(|_| "made other rows than gatefold".into())
}

/// A script of this bench.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name).with_extension("py")
}

/// The version that `requirements.txt` pins, which the bench is run with.
pub fn version(package: &str) -> &'static str {
    let pins = include_str!("requirements.txt");
    pins.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix("==")).unwrap_or("")
}
