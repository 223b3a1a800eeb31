//! Projects in folders of their own: what loads, and the exact words for what does not.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::contract::PiiClass;
use crate::job::{CheckKind, InputSource, Severity};

const CONFIG: &str = "[project]\nname = 'shop'\ndefault_env = 'local'\nrestricted_datasets = ['users_restricted']\n\
                      [env.local]\nlake = 'lake'\n";

const ACCOUNT: &str = "description = 'd'\nowner = 'o'\nformat = 'parquet'\nkey = ['account_id']\ncolumns = [\n  \
                       { name = 'account_id', type = 'STRING', required = true, pii = 'direct', description = 'd' },\n  \
                       { name = 'country', type = 'STRING', description = 'd' },\n]\n";

/// A job's file: every line that a test may want to break stands alone.
const USERS: &str = "\
description = 'One row per user and day.'
owner = 'o'
tags = ['users', 'daily']
sql = 'sql/users.sql'
inputs = ['account']

[table]
dataset = 'users'
mode = 'partition'
grain = ['day', 'user_pid']
partition = { column = 'day', by = 'day', expire_days = 400, require_filter = true }
cluster = ['tier', 'user_pid']
columns = [
  { name = 'day', type = 'DATE', required = true, description = 'd' },
  { name = 'user_pid', type = 'STRING', required = true, pii = 'pseudonymous', description = 'd' },
  { name = 'tier', type = 'STRING', description = 'd' },
  { name = 'rank', type = 'INT64', description = 'd', unit = 'steps' },
  { name = 'flags', type = 'ARRAY<STRING>', description = 'd' },
  { name = 'score', type = 'FLOAT64', description = 'd' },
]

[[check]]
kind = 'range'
column = 'rank'
min = 0
max = 9
severity = 'warn'

[promise]
ready_by = '06:00'
";

fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("gatefold.toml", CONFIG);
    write("jobs/snapshots/account.toml", ACCOUNT);
    write("sql/users.sql", "select 1");
    for (path, text) in files {
        write(path, text);
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Result<Project> {
    Project::load(project(files).path())
}

/// The refusal of the `users` job with one text replaced, without the part about its file that all share.
fn refusal(from: &str, to: &str) -> String {
    assert!(USERS.contains(from), "{from}");
    let text = USERS.replacen(from, to, 1);
    let error = load(&[("jobs/users.toml", &text)]).expect_err(to);
    assert_eq!(error.kind(), crate::error::ErrorKind::Project);
    error.to_string()
}

/// A job that reads `inputs`, TOML values.
fn reader(inputs: &str) -> String {
    USERS.replace("inputs = ['account']", &format!("inputs = [{inputs}]"))
}

#[test]
fn a_job_is_read_whole() {
    let project = load(&[("jobs/users.toml", USERS)]).unwrap();
    let job = &project.jobs[&JobName::new("users").unwrap()];
    assert_eq!(job.table.name.to_string(), "users.users");
    assert_eq!(job.table.columns[1].pii, PiiClass::Pseudonymous);
    assert_eq!(job.table.columns[3].unit.as_deref(), Some("steps"));
    assert_eq!(job.table.columns[3].at.to_string(), "jobs/users.toml:17:3");
    assert_eq!(job.table.partition.as_ref().unwrap().expire_days, Some(400));
    assert_eq!(job.inputs[0].source, InputSource::Snapshot(SnapshotName::new("account").unwrap()));
    assert_eq!(job.inputs[0].at.to_string(), "jobs/users.toml:5:11");
    assert_eq!((job.sql_file.as_path(), job.sql.as_str()), (Path::new("sql/users.sql"), "select 1"));
    assert_eq!(job.promise.as_ref().unwrap().ready_by, chrono::NaiveTime::from_hms_opt(6, 0, 0));
    let range = CheckKind::Range { column: "rank".into(), min: Some("0".into()), max: Some("9".into()) };
    assert_eq!((&job.checks[0].kind, job.checks[0].severity), (&range, Severity::Warn));
    assert_eq!(job.checks[0].at.to_string(), "jobs/users.toml:22:1");
}

#[test]
fn the_table_of_a_job_is_refused_at_its_place() {
    for (from, to, expected) in [
        ("owner = 'o'", "ownr = 'o'", "unknown key 'ownr'; file: jobs/users.toml:2:1; hint: did you mean 'owner'?"),
        (
            "mode = 'partition'",
            "mode = 'append'",
            "unknown value 'append'; file: jobs/users.toml:9:8; hint: known: partition, history, replace",
        ),
        (
            "'sql/users.sql'",
            "'sql/user.sql'",
            "'sql/user.sql' does not exist; file: jobs/users.toml:4:7; hint: the key 'sql' names the model",
        ),
        (
            "'sql/users.sql'",
            "'../users.sql'",
            "'../users.sql' is not a file of the project; file: jobs/users.toml:4:7; \
             hint: a path relative to the project: sql/name.sql",
        ),
        (
            "'INT64'",
            "'INT46'",
            "'INT46' is not a column type; file: jobs/users.toml:17:27; hint: did you mean 'INT64'?",
        ),
        (
            "unit = 'steps'",
            "unti = 'steps'",
            "unknown key 'unti'; file: jobs/users.toml:17:55; hint: did you mean 'unit'?",
        ),
        (
            "grain = ['day', 'user_pid']",
            "grain = ['day', 'user_id']",
            "there is no column 'user_id'; file: jobs/users.toml:10:17; hint: did you mean 'user_pid'?",
        ),
        (
            "grain = ['day', 'user_pid']",
            "grain = ['day', 'tier']",
            "'tier' identifies a row and is not required; file: jobs/users.toml:10:17; \
             hint: set required = true on the column 'tier'",
        ),
        (
            "grain = ['day', 'user_pid']",
            "grain = ['user_pid']",
            "the partition column 'day' is not in the grain; file: jobs/users.toml:11:24; \
             hint: a table is partitioned by a required DATE column of its grain",
        ),
        (
            "{ column = 'day',",
            "{ column = 'user_pid',",
            "the partition column 'user_pid' is STRING and not DATE; file: jobs/users.toml:11:24; \
             hint: a table is partitioned by a required DATE column of its grain",
        ),
        ("by = 'day'", "by = 'hour'", "unknown value 'hour'; file: jobs/users.toml:11:36; hint: known: day, month"),
        (
            "mode = 'partition'",
            "mode = 'replace'",
            "a table that is replaced as a whole has no partitions; file: jobs/users.toml:11:13; \
             hint: remove the key, or set mode = \"partition\"",
        ),
        (
            "cluster = ['tier', 'user_pid']",
            "cluster = ['tier', 'score']",
            "BigQuery does not cluster by 'score', which is FLOAT64; file: jobs/users.toml:12:20; \
             hint: cluster by STRING, INT64, BOOL, NUMERIC, DATE or TIMESTAMP columns",
        ),
        (
            "cluster = ['tier', 'user_pid']",
            "cluster = ['tier', 'user_pid', 'rank', 'day', 'flags']",
            "5 columns to cluster by; file: jobs/users.toml:12:47; hint: BigQuery takes 4",
        ),
        (
            "pii = 'pseudonymous'",
            "pii = 'direct'",
            "the column 'user_pid' is of class direct and the dataset 'users' is not restricted; \
             file: jobs/users.toml:15:3; hint: restricted datasets: known: users_restricted",
        ),
        (
            "'06:00'",
            "'6 am'",
            "'6 am' is not a time of day; file: jobs/users.toml:30:12; hint: write HH:MM in UTC: \"06:00\"",
        ),
        ("'daily'", "'users'", "'users' stands twice; file: jobs/users.toml:3:18; hint: remove or rename one of them"),
    ] {
        let refusal = refusal(from, to);
        assert!(refusal.starts_with(expected), "{to}\n{refusal}");
    }
}

#[test]
fn checks_are_refused_at_their_place() {
    const CHECK: &str = "kind = 'range'\ncolumn = 'rank'\nmin = 0\nmax = 9\n";
    for (to, expected) in [
        ("kind = 'rang'\n", "unknown value 'rang'; file: jobs/users.toml:23:8; hint: did you mean 'range'?"),
        ("column = 'rank'\n", "the key 'kind' is missing; file: jobs/users.toml:22:1; hint: say what is checked"),
        (
            "kind = 'not_null'\ncolumn = 'rnak'\n",
            "there is no column 'rnak'; file: jobs/users.toml:24:10; hint: did you mean 'rank'?",
        ),
        (
            "kind = 'null_rate'\ncolum = 'rank'\nmax = 0\n",
            "unknown key 'colum'; file: jobs/users.toml:24:1; hint: did you mean 'column'?",
        ),
        ("kind = 'null_rate'\ncolumn = 'rank'\n", "the key 'max' is missing; file: jobs/users.toml:22:1; hint: add it"),
        (
            "kind = 'null_rate'\ncolumn = 'rank'\nmax = 20\n",
            "max is 20; file: jobs/users.toml:25:7; hint: write a share: 0 to 1",
        ),
        (
            "kind = 'unique'\ncolumn = 'rank'\ncolumns = ['tier']\n",
            "both 'column' and 'columns' are there; file: jobs/users.toml:25:11; hint: keep one of them",
        ),
        ("kind = 'unique'\n", "the key 'column' is missing; file: jobs/users.toml:22:1; hint: add column or columns"),
        (
            "kind = 'unique'\ncolumns = ['rank', 'flags']\n",
            "the check cannot compare rows by 'flags', which is ARRAY<STRING>; file: jobs/users.toml:24:20",
        ),
        (
            "kind = 'accepted_values'\ncolumn = 'tier'\nvalues = ['free', 1]\n",
            "1 is no value of 'tier', which is STRING; file: jobs/users.toml:25:19; hint: write it as a text: \"free\"",
        ),
        (
            "kind = 'accepted_values'\ncolumn = 'flags'\nvalues = ['free']\n",
            "the check cannot list the values of 'flags', which is ARRAY<STRING>; file: jobs/users.toml:24:10",
        ),
        (
            "kind = 'range'\ncolumn = 'tier'\nmin = 'a'\n",
            "the check cannot order the values of 'tier', which is STRING; file: jobs/users.toml:24:10",
        ),
        (
            "kind = 'range'\ncolumn = 'day'\nmin = 'soon'\n",
            "\"soon\" is no value of 'day', which is DATE; file: jobs/users.toml:25:7; hint: write it as a date: \"2026-01-31\"",
        ),
        ("kind = 'range'\ncolumn = 'rank'\n", "a range without bounds; file: jobs/users.toml:22:1"),
        (
            "kind = 'range'\ncolumn = 'rank'\nmin = 10\nmax = 9\n",
            "no value lies from 10 to 9; file: jobs/users.toml:22:1; hint: swap the bounds",
        ),
        (
            "kind = 'matches'\ncolumn = 'tier'\npattern = '[a-z'\n",
            "'[a-z' is not a regular expression; file: jobs/users.toml:25:11",
        ),
        (
            "kind = 'row_count'\nmin = 5\nmax = 4\n",
            "no row count lies from 5 to 4; file: jobs/users.toml:25:7; hint: swap the bounds",
        ),
        ("kind = 'row_count_change'\nmax = -0.1\n", "max is -0.1; file: jobs/users.toml:24:7; hint: write 0 or more"),
        (
            "kind = 'freshness'\ncolumn = 'tier'\nmax_age_hours = 3\n",
            "the check cannot tell the age of 'tier', which is STRING; file: jobs/users.toml:24:10",
        ),
        (
            "kind = 'relationship'\ncolumn = 'tier'\nto = 'acount'\nto_column = 'country'\n",
            "'acount' is no input of the job and no other job; file: jobs/users.toml:25:6; hint: did you mean 'account'?",
        ),
        (
            "kind = 'relationship'\ncolumn = 'tier'\nto = 'account'\nto_column = 'contry'\n",
            "there is no column 'contry' in 'account'; file: jobs/users.toml:26:13; hint: did you mean 'country'?",
        ),
        (
            "kind = 'relationship'\ncolumn = 'tier'\nto = 'account'\nto_columns = ['country', 'account_id']\n",
            "1 columns here stand against 2 there; file: jobs/users.toml:25:6",
        ),
        ("kind = 'sql'\nname = 'n'\nsql = ' '\n", "the text is empty; file: jobs/users.toml:25:7; hint: write it out"),
    ] {
        let refusal = refusal(CHECK, to);
        assert!(refusal.starts_with(expected), "{to}\n{refusal}");
    }
    assert!(
        refusal("severity = 'warn'", "severity = 'stop'")
            .starts_with("unknown value 'stop'; file: jobs/users.toml:27:12; hint: known: block, warn")
    );
    assert!(
        refusal("severity = 'warn'", "severty = 'warn'").contains("unknown key 'severty'; file: jobs/users.toml:27:1")
    );
}

#[test]
fn inputs_are_refused_at_their_place() {
    let other = &reader("'account'");
    for (inputs, expected) in [
        (
            "'acount'",
            "there is no snapshot, step or job 'acount'; file: jobs/users.toml:5:11; hint: did you mean 'account'?",
        ),
        ("3", "integer 3 stands where a name or { table = \"name\", … } belongs; file: jobs/users.toml:5:11"),
        ("{ tabel = 'other' }", "unknown key 'tabel'; file: jobs/users.toml:5:13; hint: did you mean 'table'?"),
        (
            "{ table = 'otter' }",
            "there is no snapshot, step or job 'otter'; file: jobs/users.toml:5:21; hint: did you mean 'other'?",
        ),
        (
            "{ table = 'account', days_ago = 1 }",
            "the snapshot 'account' is read at the run's own date and must be there; file: jobs/users.toml:5:43",
        ),
        (
            "{ table = 'other', days_ago = -1 }",
            "integer -1 stands where a whole number from 0 to 4294967295 belongs; file: jobs/users.toml:5:41",
        ),
        ("'account', 'account'", "two inputs are called 'account'; file: jobs/users.toml:5:22"),
        ("'users'", "the job 'users' reads the partition that it makes; file: jobs/users.toml:5:11"),
        (
            "{ table = 'users', days_ago = 1 }",
            "the name 'users' is that of the table in the making; file: jobs/users.toml:5:11; \
             hint: give the input another: as = \"users_before\"",
        ),
    ] {
        let refusal =
            load(&[("jobs/users.toml", &reader(inputs)), ("jobs/other.toml", other)]).expect_err(inputs).to_string();
        assert!(refusal.starts_with(expected), "{inputs}\n{refusal}");
    }
}

#[test]
fn a_job_may_read_its_own_earlier_day() {
    let text = reader("'account', { table = 'users', days_ago = 1, as = 'users_before', optional = true }");
    let project = load(&[("jobs/users.toml", &text)]).unwrap();
    let input = &project.jobs[&JobName::new("users").unwrap()].inputs[1];
    assert_eq!((input.alias.as_str(), input.days_ago, input.optional), ("users_before", 1, true));
}

#[test]
fn a_circle_is_told_whole() {
    let error = load(&[
        ("jobs/a.toml", &reader("'account', 'c'")),
        ("jobs/b.toml", &reader("'a'")),
        ("jobs/c.toml", &reader("'b'")),
        ("jobs/d.toml", &reader("'a'")),
    ])
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "jobs read each other in a circle: a reads c reads b reads a; file: jobs/a.toml:5:22; \
         hint: remove one of the inputs, or read an earlier day with days_ago = 1"
    );
    let open = reader("{ table = 'c', days_ago = 1 }");
    load(&[("jobs/a.toml", &open), ("jobs/b.toml", &reader("'a'")), ("jobs/c.toml", &reader("'b'"))]).unwrap();
}

#[test]
fn a_name_is_a_job_or_a_snapshot() {
    let error = load(&[("jobs/account.toml", &reader(""))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "'account' is a job and a snapshot; file: jobs/account.toml:1:1; \
         snapshot: jobs/snapshots/account.toml; hint: rename one of the files"
    );
    let error = load(&[("jobs/User-Daily.toml", USERS)]).unwrap_err();
    assert!(error.to_string().starts_with("'User-Daily' is not a job name; file: jobs/User-Daily.toml"), "{error}");
}

/// a ◄ b ◄ d, a ◄ c, and e alone; d checks itself against e.
fn family() -> Project {
    let related = format!("{}[[check]]\nkind = 'relationship'\ncolumn = 'tier'\nto = 'e'\n", reader("'b'"));
    let tagged = reader("'a'").replace("'users', ", "'core', ");
    load(&[
        ("jobs/a.toml", &reader("'account'")),
        ("jobs/b.toml", &tagged),
        ("jobs/c.toml", &reader("'a'")),
        ("jobs/d.toml", &related),
        ("jobs/e.toml", &reader("'account'")),
    ])
    .unwrap()
}

#[test]
fn jobs_run_after_what_they_read_and_check_against() {
    let order: Vec<String> = family().order.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["a", "b", "c", "e", "d"]);
}

#[test]
fn selectors_select() {
    let project = family();
    for (selectors, expected) in [
        (vec![], "a b c e d"),
        (vec!["c"], "c"),
        (vec!["+d"], "a b e d"),
        (vec!["a+"], "a b c d"),
        (vec!["+b+"], "a b d"),
        (vec!["tag:core"], "b"),
        (vec!["tag:core+", "e"], "b e d"),
        (vec!["users.b+"], "b d"),
        (vec!["!tag:core"], "a c e d"),
        (vec!["a+", "!c", "!b+"], "a"),
    ] {
        let selectors: Vec<String> = selectors.into_iter().map(str::to_owned).collect();
        let names: Vec<String> = project.select(&selectors).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), expected, "{selectors:?}");
    }
    for (selector, expected) in [
        ("+f", "there is no job 'f'; hint: did you mean 'a'?"),
        ("users.f", "no job makes the table 'users.f'; hint: did you mean 'users.a'?"),
        ("!f", "there is no job 'f'"),
        ("usrs_daily", "there is no job 'usrs_daily'; hint: known: a, b, c, d, e"),
        ("tag:cor", "no job has the tag 'cor'; hint: did you mean 'core'?"),
        ("", "there is no job ''"),
        ("++", "there is no job ''"),
    ] {
        let refusal = project.select(&[selector.to_owned()]).expect_err(selector).to_string();
        assert!(refusal.starts_with(expected), "{selector}: {refusal}");
    }
    let none = project.select(&["a+".to_owned(), "!a+".to_owned()]).unwrap_err().to_string();
    assert!(none.starts_with("no job is left of those selected"), "{none}");
}

#[test]
fn a_project_needs_its_file_and_may_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Project::load(folder.path()).unwrap_err().message(), "there is no gatefold.toml");
    fs::write(folder.path().join("gatefold.toml"), CONFIG).unwrap();
    assert_eq!(Project::load(folder.path()).unwrap().order, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is cut out of a job's file or put into it: it loads, or the refusal names a line and a column of the file.
    #[test]
    fn a_damaged_file_is_refused_at_a_place(from in 0..USERS.len(), length in 0..40_usize, piece in "[\\[\\]{}='\",.0-9a-zé\n ]{0,6}") {
        let mut text = USERS.to_owned();
        text.replace_range(from..(from + length).min(USERS.len()), &piece);
        if let Err(error) = load(&[("jobs/users.toml", &text)]) {
            let place = error.context().iter().find(|(key, _)| *key == "file").map(|(_, place)| place.clone());
            let place = place.expect("a refusal names the file");
            let numbers: Vec<&str> = place.strip_prefix("jobs/users.toml:").expect("of the job").split(':').collect();
            prop_assert!(numbers.len() == 2 && numbers.iter().all(|n| n.parse::<usize>().is_ok_and(|n| n > 0)), "{}", place);
        }
    }
}

/// The files of this repository; its models are planned by the engine's tests.
#[test]
fn the_projects_own_files_load() {
    let project = Project::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let job = &project.jobs[&JobName::new("user_daily").unwrap()];
    let columns: Vec<String> = job
        .table
        .columns
        .iter()
        .map(|column| format!("{} {}{}", column.name, column.column_type, if column.required { "" } else { "?" }))
        .collect();
    assert_eq!(
        columns.join(", "),
        "snapshot_date DATE, user_pid STRING, country STRING, lifecycle_state STRING, age_band STRING, \
         signup_month DATE, email_verified BOOL, effective_product STRING, effective_plan STRING?, tier STRING, \
         tier_rank INT64, role STRING?, is_paid BOOL, is_trial BOOL, quality_flags ARRAY<STRING>"
    );
    for contract in project.snapshots.values() {
        assert_eq!(contract.bookkeeping, ["source_seq", "updated_at"], "{}", contract.name);
        assert_eq!(contract.latest_by.as_deref(), Some("source_seq"), "{}", contract.name);
        assert_eq!((contract.rejects.allowed(1_000), contract.rejects.allowed(20_000)), (100, 200));
    }
}
