//! The lake and the sample as other programs read them: delta-rs from Python, DuckDB, Polars and Arrow C++.
//!
//! `make test` installs them (`tests/requirements.txt`) and names the interpreter in `GATEFOLD_TEST_PYTHON`; without it
//! these tests say that they are skipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatefold::publish::Slice;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::reader::{Reader, user_daily};
use crate::support::{DAY, DAY_BEFORE, Sandbox};

/// What a reader found in a table.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Found {
    rows: usize,
    rows_of_day: usize,
    first_day: String,
    last_day: String,
    columns: BTreeMap<String, String>,
}

impl Found {
    /// From rows as JSON texts, as the library's reader gives them. A null is a key that is not there.
    pub fn of(rows: &[String], columns: &[&str], date_column: &str, day: &str) -> Self {
        let rows: Vec<Map<String, Value>> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        let day_of = |row: &Map<String, Value>| row[date_column].as_str().unwrap().to_owned();
        let digest = |column: &&str| {
            let mut values: Vec<String> =
                rows.iter().map(|row| row.get(*column).unwrap_or(&Value::Null).to_string()).collect();
            values.sort();
            let digest = Sha256::digest(values.join("\n"));
            (column.to_string(), digest.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        Found {
            rows: rows.len(),
            rows_of_day: rows.iter().filter(|row| day_of(row) == day).count(),
            first_day: rows.iter().map(day_of).min().unwrap(),
            last_day: rows.iter().map(day_of).max().unwrap(),
            columns: columns.iter().map(digest).collect(),
        }
    }
}

/// The interpreter that has the other readers; `None`, and a word of it, when there is none.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("GATEFOLD_TEST_PYTHON").map(PathBuf::from).filter(|python| python.is_file());
    if python.is_none() {
        eprintln!("skipped: {test}: GATEFOLD_TEST_PYTHON names no interpreter; make test sets it up");
    }
    python
}

fn script(python: &Path, name: &str, arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name);
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What each of the other readers finds in a table's folder.
pub fn read_by_others(python: &Path, folder: &Path, date_column: &str, day: &str) -> BTreeMap<String, Found> {
    let arguments = [folder.as_os_str(), date_column.as_ref(), day.as_ref()];
    serde_json::from_str(&script(python, "read_lake.py", arguments)).unwrap()
}

fn types_of(python: &Path, file: &Path) -> BTreeMap<String, String> {
    serde_json::from_str(&script(python, "parquet_types.py", [file])).unwrap()
}

#[test]
fn other_readers_find_what_gatefold_finds() {
    let Some(python) = python("other_readers_find_what_gatefold_finds") else { return };
    let sandbox = Sandbox::with_sample();
    for arguments in
        [vec!["run", "--date", DAY_BEFORE], vec!["run", "--date", DAY], vec!["run", "--date", DAY, "--force"]]
    {
        sandbox.gatefold(arguments).exits(0);
    }
    let rows: Vec<String> = sandbox.query("SELECT * FROM users.user_daily").iter().map(ToString::to_string).collect();
    let reader = Reader::of(&sandbox);
    let table = reader.open(&user_daily()).unwrap();
    let columns: Vec<&str> = table.schema().fields().iter().map(|field| field.name().as_str()).collect();
    let ours = Found::of(&rows, &columns, "snapshot_date", DAY);
    assert!(ours.rows_of_day > 600 && ours.rows > ours.rows_of_day && ours.first_day == DAY_BEFORE, "{ours:?}");

    let folder = sandbox.path("lake/tables/users/user_daily");
    let theirs = read_by_others(&python, &folder, "snapshot_date", DAY);
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ["deltalake", "duckdb", "polars"]);
    for (reader, found) in theirs {
        assert_eq!(found, ours, "{reader}");
    }

    for file in table.files_of(&Slice(Vec::new())) {
        let types = types_of(&python, &folder.join(&file.path));
        assert_eq!(types["snapshot_date"], "date32[day]", "a warehouse wants the partition column inside the file");
        assert_eq!(types["quality_flags"], "list<string>");
        assert_eq!(types.len(), columns.len());
    }
}

/// Of the input snapshots that are generated: the columns and types that their sources and consumers have agreed on.
const AGREED: [(&str, &str); 10] = [
    (
        "account",
        "account_id STRING, status STRING, status_changed_at TIMESTAMP, created_at TIMESTAMP, country STRING, \
         birth_date DATE, email STRING, email_verified BOOL, locale STRING, marketing_opt_in BOOL",
    ),
    (
        "subscription",
        "subscription_id STRING, account_id STRING, plan_id STRING, plan_version INT64, category STRING, \
         base_subscription_id STRING, quantity INT64, state STRING, started_at TIMESTAMP, paid_through_at TIMESTAMP, \
         grace_until TIMESTAMP, trial_end_at TIMESTAMP, ends_at TIMESTAMP, anchor_day INT64, price_cohort STRING, \
         locked_price NUMERIC, currency STRING, store STRING, is_sandbox BOOL",
    ),
    ("plan_member", "subscription_id STRING, account_id STRING, role STRING, joined_at TIMESTAMP, left_at TIMESTAMP"),
    (
        "plan_phase",
        "plan_id STRING, plan_version INT64, phase_seq INT64, product_id STRING, tier STRING, tier_rank INT64, \
         status STRING, phase_type STRING, length INT64, length_unit STRING, billing_period STRING, max_members INT64, \
         included_addons ARRAY<STRING>, effective_from TIMESTAMP, effective_to TIMESTAMP",
    ),
    (
        "product_feature",
        "product_id STRING, feature_id STRING, market STRING, role STRING, value_type STRING, v_bool BOOL, v_int INT64, \
         v_enum STRING, unlimited BOOL, unit STRING, reset STRING, merge STRING, effective_from TIMESTAMP, \
         effective_to TIMESTAMP, existing_from TIMESTAMP",
    ),
    (
        "price",
        "plan_id STRING, plan_version INT64, phase_seq INT64, market STRING, cohort STRING, currency STRING, \
         amount NUMERIC, tax_inclusive BOOL, effective_from TIMESTAMP, effective_to TIMESTAMP, existing_from TIMESTAMP",
    ),
    (
        "offer",
        "offer_id STRING, kind STRING, discount_type STRING, value NUMERIC, currency STRING, frequency STRING, \
         cycles INT64, plan_ids ARRAY<STRING>, markets ARRAY<STRING>, starts_at TIMESTAMP, redeem_by TIMESTAMP, \
         max_redemptions INT64, stackable BOOL, priority INT64",
    ),
    (
        "account_grant",
        "grant_id STRING, account_id STRING, kind STRING, feature_id STRING, offer_id STRING, subscription_id STRING, \
         v_bool BOOL, v_int INT64, v_enum STRING, unlimited BOOL, priority INT64, effective_from TIMESTAMP, \
         expires_at TIMESTAMP, voided_at TIMESTAMP",
    ),
    ("feature_usage", "account_id STRING, feature_id STRING, usage_date DATE, consumed INT64"),
    ("erasure_request", "request_id STRING, account_id STRING, requested_at TIMESTAMP, deadline DATE"),
];

const BOOKKEEPING: &str = ", source_seq INT64, updated_at TIMESTAMP";

fn in_parquet(agreed: &str) -> &'static str {
    match agreed {
        "STRING" => "string",
        "INT64" => "int64",
        "BOOL" => "bool",
        "DATE" => "date32[day]",
        "TIMESTAMP" => "timestamp[us, tz=UTC]",
        "NUMERIC" => "decimal128(38, 9)",
        "ARRAY<STRING>" => "list<string>",
        other => panic!("{other} is no type of a snapshot"),
    }
}

#[test]
fn generated_snapshots_have_the_agreed_columns_and_types() {
    let Some(python) = python("generated_snapshots_have_the_agreed_columns_and_types") else { return };
    let sandbox = Sandbox::with_sample();
    for (snapshot, columns) in AGREED {
        let columns = format!("{columns}{BOOKKEEPING}");
        let agreed: BTreeMap<String, String> = columns
            .split(", ")
            .map(|column| column.split_once(' ').unwrap())
            .map(|(name, kind)| (name.to_owned(), in_parquet(kind).to_owned()))
            .collect();
        let files = fs::read_dir(sandbox.path(sandbox.day(snapshot, DAY))).unwrap().map(|file| file.unwrap().path());
        let files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "parquet")).collect();
        assert!(!files.is_empty(), "{snapshot} has no files");
        for file in files {
            assert_eq!(types_of(&python, &file), agreed, "{snapshot}");
        }
    }
}
