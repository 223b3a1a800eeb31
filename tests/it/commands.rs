//! What each command prints and where: a new project runs at once, JSON is one value, pipes get no decoration.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::people::{JOB, SQL, ada_and_bob, batch, project, published};
use crate::support::{DAY, DAY_BEFORE, Ran, Sandbox};

fn program(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
    let output = command.current_dir(folder).args(arguments).env_clear().output().unwrap();
    Ran::new(&output, folder)
}

/// The way of the first five minutes: an empty folder, no variable set, no flag given.
#[test]
fn a_new_project_runs_at_once() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), &["init"]).exits(0).prints(["gatefold generate", "gatefold run", "gatefold query"]);
    program(folder.path(), &["check"]).exits(0).prints(["are sound"]);
    program(folder.path(), &["generate", "--accounts", "300"]).exits(0).prints(["account", "written to"]);
    let tables = ["users.user_daily", "users.user_entitlement_history", "value_proposition.plan_price_history"];
    program(folder.path(), &["run"]).exits(0).prints(tables).prints(["2026-11-20", "published"]);
    let query = "SELECT count(*) > 200 AS many FROM users.user_daily";
    program(folder.path(), &["query", query]).exits(0).prints(["| true |"]);
    program(folder.path(), &["test"]).exits(0);
    program(folder.path(), &["runs"]).exits(0).prints(["succeeded"]);
}

/// All that a job, a model or a test of this repository is, a new project has too.
#[test]
fn a_new_project_is_whole() {
    let sandbox = Sandbox::whole();
    let mut folders: Vec<PathBuf> = ["jobs", "sql", "tests/models"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)).unwrap().map(Result::unwrap) {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                assert_eq!(sandbox.read(path.to_str().unwrap()), fs::read_to_string(entry.path()).unwrap(), "{path:?}");
            }
        }
    }
}

#[test]
fn every_new_project_has_a_key_of_its_own_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let (one, other) = (Sandbox::new(), Sandbox::new());
    assert_ne!(one.read("keys/pseudonym.key"), other.read("keys/pseudonym.key"));
    let mode = fs::metadata(one.path("keys/pseudonym.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(one.read(".gitignore").contains("/keys/"));
}

#[test]
fn init_refuses_a_folder_with_files_of_a_project() {
    let sandbox = Sandbox::new();
    sandbox.write("gatefold.toml", "mine");
    sandbox.gatefold(["init"]).exits(2).says(["there is a file in the way", "gatefold.toml", "empty folder"]);
    assert_eq!(sandbox.read("gatefold.toml"), "mine");

    sandbox.remove("gatefold.toml");
    sandbox.write("sql/user_daily.sql", "mine");
    sandbox.gatefold(["init"]).exits(2).says(["there is a file in the way"]);
    assert!(!sandbox.path("gatefold.toml").exists(), "init began to write before it knew that it could end");
}

#[test]
fn json_is_one_value_on_stdout() {
    let sandbox = project();
    sandbox.put_rows("person", DAY, &batch(&ada_and_bob()));
    let json = |arguments: &[&str]| -> Value {
        let ran = sandbox.gatefold(arguments.iter().copied().chain(["--format", "json"]));
        ran.exits(0);
        assert_eq!(ran.stderr, "", "{arguments:?}");
        ran.json()
    };
    assert_eq!(json(&["check"])["ok"], true);
    assert_eq!(json(&["plan"])["steps"][0]["runs"], true);
    let run = json(&["run"]);
    assert_eq!(
        (&run["exit_code"], &run["jobs"][0]["outcome"], &run["jobs"][0]["rows"]),
        (&0.into(), &"published".into(), &2.into())
    );
    assert_eq!(json(&["runs"])[0]["outcome"], "succeeded");
    assert_eq!(json(&["show", run["run_id"].as_str().unwrap()])["summary"]["rows"], 2);
    assert_eq!(json(&["query", "SELECT person_id FROM shop.people ORDER BY 1"])[1]["person_id"], "bob");
    assert_eq!(json(&["query", "SELECT person_id FROM shop.people WHERE FALSE"]), Value::Array(Vec::new()));
    assert!(json(&["generate", "--accounts", "20", "--days", "1"])["snapshots"].is_array());
    assert!(json(&["schema", "snapshot"])["properties"].is_object());
    let new = sandbox.path("new");
    assert_eq!(json(&["init", new.to_str().unwrap()])["folder"], new.to_str().unwrap());
}

/// A run that fails says the reason in its JSON.
#[test]
fn json_of_a_failed_run_tells_the_failure() {
    let sandbox = published();
    let ran = sandbox.gatefold(["run", "--date", "2026-11-21", "--format", "json"]);
    ran.exits(10);
    let job = &ran.json()["jobs"][0];
    assert_eq!(job["outcome"], "failed");
    assert!(job["error"].as_str().unwrap().contains("no data for 2026-11-21"), "{job}");
}

#[test]
fn csv_is_for_query() {
    let sandbox = published();
    for command in [&["runs"][..], &["run"], &["check"], &["plan"], &["show", "x"]] {
        let ran = sandbox.gatefold(command.iter().copied().chain(["--format", "csv"]));
        ran.exits(2).says(["--format csv is for query", "table or json"]);
        assert_eq!(ran.stdout, "");
    }
    let csv = sandbox.gatefold(["query", "--format", "csv", "SELECT person_id, city FROM shop.people ORDER BY 1"]);
    assert_eq!(csv.exits(0).stdout, "person_id,city\nada,Oslo\nbob,\n");
}

/// A list has no place in CSV but as text.
#[test]
fn csv_writes_lists_as_json_and_a_header_without_rows() {
    let sandbox = Sandbox::with_sample();
    sandbox.run(DAY).exits(0);
    let lists = sandbox.rows("SELECT DISTINCT quality_flags FROM users.user_daily ORDER BY 1");
    assert_eq!(lists, ["[]", "\"[\"\"implausible_birth_date\"\"]\"", "\"[\"\"unknown_country\"\"]\""]);
    let none = sandbox.gatefold(["query", "--format", "csv", "SELECT tier, role FROM users.user_daily WHERE FALSE"]);
    assert_eq!(none.exits(0).stdout, "tier,role\n");
}

#[test]
fn a_pipe_gets_no_escape_codes() {
    let sandbox = project();
    sandbox.put_rows("person", DAY, &batch(&ada_and_bob()));
    let calls: [&[&str]; 8] = [
        &["generate", "--accounts", "50"],
        &["plan"],
        &["run"],
        &["run", "--force", "-v"],
        &["run", "nobody"],
        &["runs"],
        &["query", "SELECT * FROM shop.people"],
        &["--help"],
    ];
    for arguments in calls {
        let ran = sandbox.gatefold(arguments);
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{arguments:?}: {text:?}");
        }
    }
}

/// `gatefold query … | head` ends without a word when head has seen enough.
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let sandbox = published();
    let sql = "SELECT a.value, b.value FROM generate_series(1, 3000) AS a CROSS JOIN generate_series(1, 1000) AS b";
    for arguments in [&["query", "--format", "csv", sql][..], &["query", "--format", "json", sql]] {
        let mut command = sandbox.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn the_printed_schema_is_the_committed_one() {
    let sandbox = Sandbox::new();
    for name in ["job", "snapshot"] {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.schema.json"));
        let committed = fs::read_to_string(committed).unwrap();
        assert_eq!(sandbox.gatefold(["schema", name]).exits(0).stdout, committed);
    }
}

/// Well under a second; the bound is for a debug build on a machine that is busy with other tests.
#[test]
fn fifty_jobs_are_checked_in_a_moment() {
    let sandbox = project();
    for n in 1..50 {
        sandbox.write(&format!("jobs/copy_{n}.toml"), JOB.replace("people.sql", &format!("copy_{n}.sql")));
        sandbox.write(&format!("sql/copy_{n}.sql"), SQL);
    }
    let started = Instant::now();
    sandbox.gatefold(["check"]).exits(0).prints(["50 jobs and 1 snapshot are sound"]);
    let elapsed = started.elapsed();
    eprintln!("50 jobs were checked in {elapsed:?}");
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
}

fn three_runs() -> (Sandbox, Vec<String>) {
    let sandbox = published();
    sandbox.put_rows("person", DAY_BEFORE, &batch(&ada_and_bob()));
    sandbox.write("jobs/more.toml", JOB.replace("people.sql", "more.sql"));
    sandbox.write("sql/more.sql", SQL);
    sandbox.gatefold(["run", "more", "--date", DAY]).exits(0);
    sandbox.gatefold(["run", "people", "--date", DAY_BEFORE]).exits(0);
    let runs = sandbox.gatefold(["runs", "--format", "json"]).json();
    let ids = runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned());
    let ids = ids.collect();
    (sandbox, ids)
}

#[test]
fn runs_are_listed_by_date_by_job_and_up_to_a_limit() {
    let (sandbox, ids) = three_runs();
    assert_eq!(ids.len(), 3);
    let listed = |arguments: &[&str]| {
        let ran = sandbox.gatefold(["runs", "--format", "json"].iter().chain(arguments));
        let runs = ran.exits(0).json();
        let place = |run: &Value| ids.iter().position(|id| run["run_id"] == **id).unwrap();
        runs.as_array().unwrap().iter().map(place).collect::<Vec<_>>()
    };
    // The newest comes first; runs of the same second are in no order.
    let sorted = |mut places: Vec<usize>| {
        places.sort_unstable();
        places
    };
    assert_eq!(listed(&[]), [0, 1, 2]);
    assert_eq!(listed(&["--limit", "1"]), [0]);
    assert_eq!(listed(&["--limit", "0"]), Vec::<usize>::new());
    let before = listed(&["--date", DAY_BEFORE]);
    let (people, more) = (listed(&["--job", "people"]), listed(&["--job", "more"]));
    assert_eq!((before.len(), people.len(), more.len()), (1, 2, 1));
    assert!(people.contains(&before[0]));
    assert_eq!((listed(&["people"]), listed(&["shop.more"])), (people.clone(), more.clone()));
    assert_eq!(listed(&["--exclude", "people"]), more);
    sandbox.gatefold(["runs", "people", "--job", "people"]).exits(2).says(["cannot be used with"]);
    assert_eq!(sorted([people, more].concat()), [0, 1, 2]);
    sandbox.gatefold(["runs", "--job", "nobody"]).exits(0).prints(["no run"]);
    sandbox.gatefold(["runs", "--job", "No Body"]).exits(2).says(["'No Body' is not a job name"]);
    sandbox.gatefold(["runs", "--date", "2020-01-01"]).exits(0).prints(["no run"]);
}

#[test]
fn a_run_is_shown_by_the_beginning_of_its_id() {
    let (sandbox, ids) = three_runs();
    let id = &ids[0];
    let beginning = (1..=id.len())
        .map(|length| &id[..length])
        .find(|start| ids.iter().filter(|id| id.starts_with(start)).count() == 1);
    let shown = sandbox.gatefold(["show", beginning.unwrap(), "--events"]);
    shown.exits(0).prints([
        id.as_str(),
        "succeeded",
        "verified person",
        "audited, passed",
        "passed range(visits)",
        "finished with exit 0",
    ]);
    assert_eq!(shown.stdout, sandbox.gatefold(["show", id, "--events"]).stdout);

    sandbox.gatefold(["show", "2"]).exits(2).says(["'2' is the beginning of 3 run ids", id]);
    sandbox.gatefold(["show", "nope"]).exits(2).says(["no run has the id 'nope'", "gatefold runs", id]);
}
