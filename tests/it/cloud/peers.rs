//! What others make of the exports: dbt builds and tests on the published tables, and a linter of data contracts reads them.

use std::path::PathBuf;
use std::process::Command;

use super::proof::{PROJECT, Published, endpoint, proved, script};
use crate::support::Sandbox;

/// The interpreter that has the program; `None`, said by name, when there is none.
fn python(test: &str, variable: &str) -> Option<PathBuf> {
    let python = std::env::var_os(variable).map(PathBuf::from).filter(|python| python.is_file());
    if python.is_none() {
        eprintln!("{test} is skipped: {variable} names no interpreter; make test sets it up");
    }
    python
}

#[test]
fn dbt_builds_on_the_exported_sources() {
    let test = "cloud::peers::dbt_builds_on_the_exported_sources";
    let Some(python) = python(test, "GATEFOLD_PEERS_DBT_PYTHON") else { return };
    let Some(Published { cloud, sandbox, first_day }) = Published::shared(test) else { return };
    let sources = sandbox.path("sources.yml");
    sandbox.gatefold(["export", "dbt", "--env", "cloud", "--out", sources.to_str().unwrap()]).exits(0);
    let mut command = Command::new(python);
    command.arg(script("peers/run_dbt.py")).arg(&sources).arg(first_day);
    command.env("GATEFOLD_PEERS_PROJECT", PROJECT).env("GATEFOLD_PEERS_ENDPOINT", endpoint(cloud));
    let ended = proved(&mut command);
    let ended = |status: &str| ended[status].as_u64().unwrap_or_default();
    assert_eq!(ended("success"), 2, "the models");
    assert!(ended("pass") > 100, "the data tests: {}", ended("pass"));
}

#[test]
fn a_linter_of_data_contracts_finds_the_exported_ones_valid() {
    let test = "cloud::peers::a_linter_of_data_contracts_finds_the_exported_ones_valid";
    let Some(python) = python(test, "GATEFOLD_PEERS_CONTRACTS_PYTHON") else { return };
    let sandbox = Sandbox::whole().with_own_settings();
    let folder = sandbox.path("odcs");
    sandbox.gatefold(["export", "odcs", "--env", "cloud", "--out", folder.to_str().unwrap()]).exits(0);
    let valid = proved(Command::new(python).arg(script("peers/lint_contracts.py")).arg(&folder));
    assert_eq!(valid.as_array().map(Vec::len), Some(10), "{valid}");
}
