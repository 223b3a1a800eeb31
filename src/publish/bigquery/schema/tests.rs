//! Contracts in folders of their own, and the tables that BigQuery is asked for.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::config::Verify;
use crate::contract::PiiClass;
use crate::names::JobName;

const CONFIG: &str = "[project]\nname = 'shop'\ndefault_env = 'local'\n[env.local]\nlake = 'lake'\n";
const ACCOUNT: &str = "description = 'd'\nowner = 'o'\nformat = 'parquet'\nkey = ['id']\ncolumns = [\n\
                       { name = 'id', type = 'STRING', required = true, description = 'd' },\n]\n";

/// Every job has its day and a key, and says what else.
fn job(dataset: &str, partition: &str, grain: &str, columns: &str, rest: &str) -> String {
    format!(
        "description = 'One row per day.'\nowner = 'User-Platform@Example.com'\ntags = ['daily', 'Größe-XL']\n\
         sql = 'sql/m.sql'\ninputs = ['account']\n[table]\ndataset = '{dataset}'\nmode = 'partition'\n\
         grain = [{grain}]\npartition = {{ column = 'day', by = 'day'{partition} }}\ncolumns = [\n\
         {{ name = 'day', type = 'DATE', required = true, description = 'Day.' }},\n\
         {{ name = 'pid', type = 'STRING', required = true, pii = 'pseudonymous', description = 'Person.' }},\n\
         {columns}]\n{rest}"
    )
}

fn project(jobs: &[(&str, String)]) -> Project {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        fs::write(folder.path().join(path), text).unwrap();
    };
    write("gatefold.toml", CONFIG);
    write("jobs/snapshots/account.toml", ACCOUNT);
    write("sql/m.sql", "select 1");
    jobs.iter().for_each(|(name, text)| write(&format!("jobs/{name}.toml"), text));
    Project::load(folder.path()).unwrap()
}

fn bigquery() -> BigQuery {
    BigQuery {
        project: "acme-1".to_owned(),
        location: "EU".to_owned(),
        staging: None,
        verify: Verify::Checksum,
        max_load: None,
        max_scan: None,
        price_per_tib: 6.25,
        labels: [("team".to_owned(), "users".to_owned()), ("owner".to_owned(), "ignored".to_owned())].into(),
        policy_tags: [(PiiClass::Quasi, "tags/quasi".to_owned())].into(),
        kms_key: Some("projects/k".to_owned()),
    }
}

fn table(project: &Project, name: &str) -> Value {
    let job = &project.jobs[&JobName::new(name).unwrap()];
    serde_json::to_value(table_of(project, job, &bigquery())).unwrap()
}

#[test]
fn a_contract_becomes_a_table() {
    let columns = "{ name = 'n', type = 'INT64', unit = 'hours', description = 'Time.' },\n\
                   { name = 'price', type = 'NUMERIC(10, 2)', unit = 'currency', description = 'Price.' },\n\
                   { name = 'big', type = 'BIGNUMERIC', description = 'Big.' },\n\
                   { name = 'currency', type = 'STRING', description = 'Currency.' },\n\
                   { name = 'tags', type = 'ARRAY<STRING>', required = true, pii = 'quasi', description = 'Tags.' },\n\
                   { name = 'r', type = 'ARRAY<STRUCT<a FLOAT64, b STRUCT<c BOOL>>>', pii = 'quasi', description = 'R.' },\n";
    let text = job("users", ", expire_days = 400, require_filter = true", "'day', 'pid'", columns, "")
        .replace("columns = [", "cluster = ['currency', 'pid']\ncolumns = [");
    let quasi = json!({"names": ["tags/quasi"]});
    assert_eq!(
        table(&project(&[("user", text)]), "user"),
        json!({
            "tableReference": {"projectId": "acme-1", "datasetId": "users", "tableId": "user"},
            "description": "One row per day.",
            "labels": {
                "gatefold_job": "user", "owner": "user-platform_example_com", "team": "users",
                "tag_daily": "", "tag_gr__e-xl": "",
            },
            "timePartitioning": {"type": "DAY", "field": "day", "expirationMs": "34560000000"},
            "requirePartitionFilter": true,
            "clustering": {"fields": ["currency", "pid"]},
            "encryptionConfiguration": {"kmsKeyName": "projects/k"},
            "schema": {"fields": [
                {"name": "day", "type": "DATE", "mode": "REQUIRED", "description": "Day."},
                {"name": "pid", "type": "STRING", "mode": "REQUIRED", "description": "Person."},
                {"name": "n", "type": "INTEGER", "description": "Time. Unit: hours."},
                {"name": "price", "type": "NUMERIC", "precision": "10", "scale": "2",
                 "description": "Price. Unit: see column currency."},
                {"name": "big", "type": "BIGNUMERIC", "description": "Big."},
                {"name": "currency", "type": "STRING", "description": "Currency."},
                {"name": "tags", "type": "STRING", "mode": "REPEATED", "description": "Tags.", "policyTags": quasi},
                {"name": "r", "type": "RECORD", "mode": "REPEATED", "description": "R.", "fields": [
                    {"name": "a", "type": "FLOAT", "policyTags": quasi},
                    {"name": "b", "type": "RECORD", "fields": [{"name": "c", "type": "BOOLEAN", "policyTags": quasi}]},
                ]},
            ]},
            "tableConstraints": {"primaryKey": {"columns": ["day", "pid"]}},
        })
    );
}

#[test]
fn long_labels_stay_apart_and_long_descriptions_say_that_they_are_cut() {
    let (one, other) = (label(&"a".repeat(64)), label(&"a".repeat(65)));
    assert_eq!((one.len(), other.len()), (63, 63));
    assert_ne!(one, other);
    assert_eq!(label(&"a".repeat(63)), "a".repeat(63));
    assert_eq!(shortened(&"é".repeat(4), 4), "éééé");
    assert_eq!(shortened(&"é".repeat(5), 4), "ééé…");
}

/// The foreign keys of a job `a` whose blocking check points at `b`.
fn foreign_keys(a: &str, b: &str, dataset: &str, check: &str) -> Value {
    let check = format!("[[check]]\nkind = 'relationship'\nto = 'b'\n{check}");
    let b = job(dataset, b, "'day', 'pid'", "", "");
    let project = project(&[("a", job("users", a, "'day', 'pid'", "", &check)), ("b", b)]);
    table(&project, "a")["tableConstraints"]["foreignKeys"].take()
}

#[test]
fn a_relationship_of_the_same_day_is_a_key_with_the_day() {
    let key = json!([{
        "name": "gatefold_1",
        "referencedTable": {"projectId": "acme-1", "datasetId": "users", "tableId": "b"},
        "columnReferences": [
            {"referencingColumn": "pid", "referencedColumn": "pid"},
            {"referencingColumn": "day", "referencedColumn": "day"},
        ],
    }]);
    assert_eq!(foreign_keys("", "", "users", "column = 'pid'"), key);
    assert_eq!(foreign_keys(", expire_days = 3", ", expire_days = 3", "users", "column = 'pid'"), key);
    assert_ne!(foreign_keys("", "", "users", "columns = ['day', 'pid']"), Value::Null);
}

#[test]
fn what_is_not_proved_for_all_rows_is_no_key() {
    // Days that are gone there and not here.
    assert_eq!(foreign_keys(", expire_days = 4", ", expire_days = 3", "users", "column = 'pid'"), Value::Null);
    assert_eq!(foreign_keys("", ", expire_days = 3", "users", "column = 'pid'"), Value::Null);
    // BigQuery knows keys within a dataset.
    assert_eq!(foreign_keys("", "", "other", "column = 'pid'"), Value::Null);
    assert_eq!(foreign_keys("", "", "users", "column = 'pid'\nseverity = 'warn'"), Value::Null);
    // A part of the other's key.
    assert_eq!(foreign_keys("", "", "users", "column = 'day'"), Value::Null);
}

#[test]
fn a_grain_that_bigquery_cannot_hold_as_key_is_none() {
    let columns = "{ name = 'f', type = 'FLOAT64', required = true, description = 'F.' },\n";
    let project = project(&[("a", job("users", "", "'day', 'f'", columns, ""))]);
    assert_eq!(table(&project, "a")["tableConstraints"], Value::Null);
}
