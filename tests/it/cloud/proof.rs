//! The whole domain published, and what Google's own client finds there held against the job files and the lake.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use chrono::{TimeDelta, Utc};
use serde_json::Value;

use super::{Cloud, PYTHON_VARIABLE};
use crate::support::Sandbox;

/// As the environment `cloud` of this repository has it.
pub const PROJECT: &str = "gatefold-loopback";
const ACCOUNTS: &str = "300";

/// All jobs of two days in a warehouse of their own.
pub struct Published {
    pub cloud: Cloud,
    pub sandbox: Sandbox,
    pub first_day: String,
}

impl Published {
    /// Published once for all tests of this process, which only read.
    pub fn shared(test: &str) -> Option<&'static Published> {
        static SHARED: OnceLock<Option<Published>> = OnceLock::new();
        let published = SHARED.get_or_init(|| Some(Published::new(Cloud::alone(test, &[])?)));
        if published.is_none() {
            super::skipped::<()>(test);
        }
        published.as_ref()
    }

    /// The days end yesterday: the views look back a week from now, and a partition must not be older than it is kept.
    fn new(cloud: Cloud) -> Published {
        let sandbox = Sandbox::whole_in(&super::fresh_root()).with_own_settings();
        for (at, endpoint) in [("http://127.0.0.1:4443", &cloud.storage), ("http://127.0.0.1:9050", &cloud.bigquery)] {
            sandbox.edit("gatefold.toml", at, endpoint.as_str());
        }
        let day = |ago| (Utc::now().date_naive() - TimeDelta::days(ago)).to_string();
        let (first_day, last_day) = (day(2), day(1));
        let generate = ["generate", "--env", "cloud", "--accounts", ACCOUNTS, "--days", "2", "--until", &last_day];
        sandbox.gatefold(generate).exits(0);
        sandbox.gatefold(["run", "--env", "cloud", "--from", &first_day, "--to", &last_day]).exits(0);
        Published { cloud, sandbox, first_day }
    }
}

/// Runs a Python program of the tests; what it prints is one JSON value.
pub fn proved(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{told}\n{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

pub fn script(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(relative)
}

/// As Google's clients in Python want it, without a slash at the end.
pub fn endpoint(cloud: &Cloud) -> &str {
    cloud.bigquery.as_str().trim_end_matches('/')
}

fn prove(published: &Published) -> Value {
    let Published { cloud, sandbox, .. } = published;
    let python = std::env::var_os(PYTHON_VARIABLE).unwrap();
    let mut command = Command::new(python);
    command.arg(script("python/warehouse_proof.py")).arg(sandbox.root()).arg(sandbox.path("lake-cloud"));
    proved(command.args([PROJECT, endpoint(cloud)]))
}

#[test]
fn googles_client_finds_what_the_jobs_promise_and_the_lake_holds() {
    let test = "cloud::proof::googles_client_finds_what_the_jobs_promise_and_the_lake_holds";
    let Some(published) = Published::shared(test) else { return };
    let proof = prove(published);
    let counts = |what: &str| {
        let counts = proof[what].as_object().unwrap().iter();
        counts.map(|(name, rows)| (name.clone(), rows.as_u64().unwrap())).collect::<Vec<_>>()
    };
    let (tables, views) = (counts("tables"), counts("views"));
    assert_eq!((tables.len(), views.len()), (11, 5), "{proof}");
    for (name, rows) in tables.iter().chain(&views) {
        // A sample may be clean, and a price need not change within two days.
        let may_be_empty = ["ops.rejected_row", "value_proposition.price_changes"].contains(&name.as_str());
        assert!(may_be_empty || *rows > 0, "{name} is empty: {proof}");
    }
}
