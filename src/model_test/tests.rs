//! Whole tests, from their text to their outcome, in a project of two small jobs.

mod refusals;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::error::Result;
use crate::project::Project;
use crate::toml_file::TomlFile;

const CONFIG: &str = "[project]\nname = 'shop'\ndefault_env = 'local'\n\n[env.local]\nlake = 'lake'\n";

/// One column of every kind, required and not.
const SALE: &str = r#"
description = "A sale."
owner = "a@example.com"
format = "parquet"
key = ["sale_id"]
columns = [
  { name = "sale_id", type = "STRING", required = true, description = "Sale." },
  { name = "status", type = "STRING", required = true, values = ["open", "paid"], description = "Status." },
  { name = "buyer", type = "STRING", description = "Buyer." },
  { name = "amount", type = "NUMERIC", required = true, description = "Amount." },
  { name = "pieces", type = "INT64", required = true, description = "Pieces." },
  { name = "weight", type = "FLOAT64", description = "Weight." },
  { name = "gift", type = "BOOL", required = true, description = "Gift." },
  { name = "sold_on", type = "DATE", required = true, description = "Day." },
  { name = "sold_at", type = "TIMESTAMP", required = true, description = "Instant." },
  { name = "local_time", type = "DATETIME", description = "Time." },
  { name = "labels", type = "ARRAY<STRING>", required = true, description = "Labels." },
  { name = "place", type = "STRUCT<street STRING, number INT64>", description = "Place." },
]
"#;

/// A job that hands every column on.
const SALE_DAILY: &str = r#"
description = "Sales."
owner = "a@example.com"
sql = "sql/sale_daily.sql"
inputs = ["sale"]

[table]
dataset = "sales"
mode = "partition"
grain = ["snapshot_date", "sale_id"]
partition = { column = "snapshot_date", by = "day" }
columns = [
  { name = "snapshot_date", type = "DATE", required = true, description = "Day." },
  { name = "sale_id", type = "STRING", required = true, description = "Sale." },
  { name = "status", type = "STRING", required = true, description = "Status." },
  { name = "buyer_pid", type = "STRING", description = "Buyer." },
  { name = "amount", type = "NUMERIC", required = true, description = "Amount." },
  { name = "pieces", type = "INT64", required = true, description = "Pieces." },
  { name = "weight", type = "FLOAT64", description = "Weight." },
  { name = "gift", type = "BOOL", required = true, description = "Gift." },
  { name = "sold_on", type = "DATE", required = true, description = "Day." },
  { name = "sold_at", type = "TIMESTAMP", required = true, description = "Instant." },
  { name = "local_time", type = "DATETIME", description = "Time." },
  { name = "labels", type = "ARRAY<STRING>", required = true, description = "Labels." },
  { name = "place", type = "STRUCT<street STRING, number INT64>", description = "Place." },
]
"#;

const SALE_DAILY_SQL: &str = "SELECT snapshot_date, sale_id, status, user_pid(buyer) AS buyer_pid, amount, 100 / pieces AS pieces, \
                              weight, gift, sold_on, sold_at, local_time, labels, place FROM sale";

/// A job that reads a table of the day before.
const GROWTH: &str = r#"
description = "Growth."
owner = "a@example.com"
sql = "sql/growth.sql"
inputs = [{ table = "sale_daily", days_ago = 1, as = "before", optional = true }]

[table]
dataset = "sales"
mode = "replace"
grain = ["day"]
columns = [
  { name = "day", type = "DATE", required = true, description = "Day." },
  { name = "sales", type = "INT64", required = true, description = "Sales." },
]
"#;

const GROWTH_SQL: &str = "SELECT snapshot_date AS day, count(*) AS sales FROM before GROUP BY snapshot_date";

fn project() -> (tempfile::TempDir, Arc<Project>) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("gatefold.toml", CONFIG),
        ("jobs/snapshots/sale.toml", SALE),
        ("jobs/sale_daily.toml", SALE_DAILY),
        ("sql/sale_daily.sql", SALE_DAILY_SQL),
        ("jobs/growth.toml", GROWTH),
        ("sql/growth.sql", GROWTH_SQL),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = Arc::new(Project::load(folder.path()).unwrap());
    (folder, project)
}

fn read(project: &Project, text: &str) -> Result<Vec<ModelTest>> {
    read::read_file(project, &TomlFile { path: format!("{FOLDER}/x.toml").into(), text: text.to_owned() })
}

async fn run_text(text: &str) -> Vec<Outcome> {
    let (_folder, project) = project();
    let tests = read(&project, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    run_all(project, tests).await.unwrap()
}

/// Runs one test of `sale_daily`; `None` when it passes.
async fn failure(body: &str) -> Option<Failure> {
    let text = format!("model = 'sale_daily'\n[[test]]\nname = 'x'\ndate = '2026-11-20'\n{body}");
    run_text(&text).await.pop().unwrap().failure
}

async fn shown(body: &str) -> String {
    match failure(body).await {
        Some(Failure::Rows(diff)) => text_of(&diff, false),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_mentioned_has_a_neutral_value() {
    let expected = r#"
        given.sale = [{ pieces = 1 }]
        expect = [{
          snapshot_date = "2026-11-20", sale_id = "", status = "open", buyer_pid = { null = true }, amount = 0, pieces = 100,
          weight = { null = true }, gift = false, sold_on = "1970-01-01", sold_at = "1970-01-01T00:00:00Z",
          local_time = { null = true }, labels = [], place = { null = true },
        }]"#;
    assert!(failure(expected).await.is_none(), "{}", shown(expected).await);
}

#[tokio::test]
async fn values_of_every_type_are_given_and_expected() {
    let given = r#"given.sale = [{
        sale_id = "s", status = "paid", buyer = "acct-000001", amount = "12.500000001", pieces = 20, weight = 0.5, gift = true,
        sold_on = 2026-02-28, sold_at = "2026-03-01T01:00:00.000001+01:00", local_time = "2026-03-01T00:00:00",
        labels = ["a", "b"], place = { street = "Main" },
    }]"#;
    let expected = r#"expect = [{
        sale_id = "s", status = "paid", amount = "12.500000001", pieces = 5, weight = 0.5, gift = true,
        sold_on = "2026-02-28", sold_at = "2026-03-01T00:00:00.000001Z", local_time = "2026-03-01T00:00:00",
        labels = ["a", "b"], place = { street = "Main", number = { null = true } },
    }]"#;
    let body = format!("{given}\n{expected}");
    assert!(failure(&body).await.is_none(), "{}", shown(&body).await);
    for (from, to) in [
        ("12.500000001", "12.500000002"),
        ("pieces = 5", "pieces = 6"),
        ("weight = 0.5", "weight = 0.25"),
        ("gift = true", "gift = false"),
        ("02-28", "02-27"),
        ("00.000001Z", "00.000002Z"),
        ("\"2026-03-01T00:00:00\"", "\"2026-03-01T00:00:01\""),
        ("[\"a\", \"b\"]", "[\"b\", \"a\"]"),
        ("number = { null = true }", "number = 0"),
    ] {
        assert!(expected.contains(from), "{from}");
        let body = format!("{given}\n{}", expected.replace(from, to));
        assert!(failure(&body).await.is_some(), "{to}");
    }
}

#[tokio::test]
async fn a_pseudonym_is_that_of_the_test_key() {
    let given = "given.sale = [{ pieces = 1, buyer = 'acct-000001' }]\n";
    for expected in ["{ user_pid_of = 'acct-000001' }", "'9fc803773667e69d554afa96635885fd'"] {
        assert!(failure(&format!("{given}expect = [{{ buyer_pid = {expected} }}]")).await.is_none());
    }
    assert!(failure(&format!("{given}expect = [{{ buyer_pid = {{ user_pid_of = 'acct-000002' }} }}]")).await.is_some());
}

#[tokio::test]
async fn null_and_a_text_are_two_things() {
    let given = "given.sale = [{ pieces = 1, weight = 1.5 }]\n";
    assert!(failure(&format!("{given}expect = [{{ weight = {{ null = true }} }}]")).await.is_some());
    assert!(failure(&format!("{given}expect = [{{ buyer_pid = 'null' }}]")).await.is_some());
}

#[tokio::test]
async fn defaults_stand_below_what_a_test_gives_and_shared_rows_give_way_to_its_own() {
    let outcomes = run_text(
        r#"
        model = "sale_daily"
        [defaults]
        sale = { pieces = 10, buyer = "b", status = "paid" }
        [given]
        sale = [{ sale_id = "shared" }]
        [[test]]
        name = "shared"
        date = "2026-11-20"
        expect = [{ sale_id = "shared", status = "paid", pieces = 10 }]
        [[test]]
        name = "own"
        date = 2026-11-21
        given.sale = [{ sale_id = "own", buyer = { null = true }, pieces = 50 }]
        expect = [{ snapshot_date = "2026-11-21", sale_id = "own", status = "paid", buyer_pid = { null = true }, pieces = 2 }]
        [[test]]
        name = "none"
        date = "2026-11-20"
        given.sale = []
        expect = []
        "#,
    )
    .await;
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(
        outcomes.iter().map(|outcome| outcome.test.name.as_str()).collect::<Vec<_>>(),
        ["shared", "own", "none"]
    );
}

#[tokio::test]
async fn a_table_of_the_day_before_has_that_day() {
    let outcomes = run_text(
        "model = 'growth'\n[[test]]\nname = 'x'\ndate = '2026-03-01'\n\
         given.before = [{ sale_id = 'a' }, { sale_id = 'b' }]\nexpect = [{ day = '2026-02-28', sales = 2 }]",
    )
    .await;
    assert!(outcomes[0].failure.is_none(), "{:?}", outcomes[0].failure);
}

/// Each test has the count of its own rows, however many run at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scalar_subquery_sees_the_rows_of_its_own_test() {
    let (folder, _) = project();
    let sql = SALE_DAILY_SQL.replace("100 / pieces", "(SELECT count(*) FROM sale WHERE gift)");
    std::fs::write(folder.path().join("sql/sale_daily.sql"), sql).unwrap();
    let project = Arc::new(Project::load(folder.path()).unwrap());
    let test = |number: usize| {
        let gifts = number % 4;
        let row = |sale: usize| format!("{{ sale_id = '{sale}', gift = {} }}", sale < gifts);
        let rows = (0..4).map(row).collect::<Vec<_>>().join(", ");
        let expect = (0..4).map(|sale| format!("{{ sale_id = '{sale}', pieces = {gifts} }}"));
        let expect = expect.collect::<Vec<_>>().join(", ");
        format!("[[test]]\nname = '{number}'\ndate = '2026-11-20'\ngiven.sale = [{rows}]\nexpect = [{expect}]\n")
    };
    let text = format!("model = 'sale_daily'\n{}", (0..60).map(test).collect::<String>());
    for outcome in run_all(Arc::clone(&project), read(&project, &text).unwrap()).await.unwrap() {
        assert!(outcome.failure.is_none(), "{}: {:?}", outcome.test.name, outcome.failure);
    }
}

#[tokio::test]
async fn a_diff_shows_what_is_different_missing_and_too_much() {
    let body = r#"
        given.sale = [
          { sale_id = "a", pieces = 10, buyer = "ann" }, { sale_id = "b", pieces = 20 }, { sale_id = "", pieces = 25 },
        ]
        expect = [
          { sale_id = "a", pieces = 10, buyer_pid = { user_pid_of = "ann" } },
          { sale_id = "b", pieces = 6, sold_at = "1970-01-01T00:00:00Z", labels = ["x"] },
          { sale_id = "c", pieces = 1 },
        ]"#;
    insta::assert_snapshot!(shown(body).await, @r#"
                sale_id  buyer_pid          pieces  sold_at               labels
    same        a        user_pid_of "ann"  10
    expected    b                           6       1970-01-01T00:00:00Z  [x]
    actual      b        null               ≠ 5     1970-01-01T00:00:00Z  ≠ []
    missing     c                           1
    unexpected  ""       null               4       1970-01-01T00:00:00Z  []
    "#);
}

#[tokio::test]
async fn a_row_too_much_where_none_is_expected_shows_all_its_columns() {
    let text = shown("given.sale = [{ sale_id = \"two\\nlines\", pieces = 1 }]\nexpect = []").await;
    for part in ["unexpected", "sale_id", "\"two\\nlines\"", "amount", "0.000000000", "place"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("snapshot_date"), "{text}");
}

#[tokio::test]
async fn colour_is_there_when_it_is_asked_for() {
    let Some(Failure::Rows(diff)) = failure("given.sale = [{ pieces = 1 }]\nexpect = [{ pieces = 1 }]").await else {
        panic!("the test passes");
    };
    assert!(text_of(&diff, true).contains("\u{1b}[38;5;9m≠ 100"), "{:?}", text_of(&diff, true));
    assert!(!text_of(&diff, false).contains('\u{1b}'));
}

#[tokio::test]
async fn a_value_that_the_model_cannot_take_fails_the_test_alone() {
    let Some(Failure::Error(error)) = failure("given.sale = [{ pieces = 0 }]\nexpect = []").await else {
        panic!("nothing was divided by zero");
    };
    assert!(error.to_string().to_lowercase().contains("divide by zero"), "{error}");
}

#[tokio::test]
async fn a_model_that_does_not_plan_is_an_error_of_the_project() {
    let (folder, _) = project();
    std::fs::write(folder.path().join("sql/growth.sql"), "SELECT dya, 1 AS sales FROM before").unwrap();
    let project = Arc::new(Project::load(folder.path()).unwrap());
    let tests = read(&project, "model = 'growth'\n[[test]]\nname = 'x'\ndate = '2026-11-20'\nexpect = []").unwrap();
    let error = run_all(project, tests).await.unwrap_err();
    assert_eq!(error.kind().exit_code(), 2);
    assert!(error.to_string().contains("sql/growth.sql:1:8"), "{error}");
}

/// The tests that a new project begins with speak of its model as it is.
#[tokio::test]
async fn the_project_s_own_tests_pass() {
    let project = Arc::new(Project::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());
    let tests = load(&project).unwrap();
    assert!(!tests.is_empty());
    for outcome in run_all(project, tests).await.unwrap() {
        assert!(outcome.failure.is_none(), "{}: {:?}", outcome.test.name, outcome.failure);
    }
}
