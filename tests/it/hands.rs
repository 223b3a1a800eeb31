//! How the program feels in the hand: what a terminal shows, what TAB completes, what Ctrl-C leaves, what a new project is.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::people::{ada_and_bob, batch, project, published};
use crate::support::{DAY, Ran, Sandbox};

const PROGRAM: &str = env!("CARGO_BIN_EXE_gatefold");

/// Whether a program of the system is there; says by name what is skipped without it.
fn there(program: &str, test: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        eprintln!("hands::{test} is skipped: there is no {program} on this machine");
    }
    found
}

/// What a terminal shows of a command line while this is typed; `None` where there is no `script` to make a terminal.
fn terminal(test: &str, line: &str, variables: &[(&str, &str)], typed: &str) -> Option<String> {
    if !there("script", test) {
        return None;
    }
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c", line, "/dev/null"])
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("TERM", "xterm").env("SHELL", "/bin/sh").envs(variables.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It stays open until the end: a terminal whose other side is gone hangs up.
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn line(sandbox: &Sandbox, arguments: &str) -> String {
    format!("'{PROGRAM}' --project '{}' {arguments}", sandbox.root().display())
}

#[test]
fn colour_is_for_terminals_whose_owner_wants_it() {
    let sandbox = project();
    for arguments in ["run nobody", "run --nonsense", "test nobody"] {
        let shown = |variables: &[(&str, &str)]| {
            terminal("colour_is_for_terminals_whose_owner_wants_it", &line(&sandbox, arguments), variables, "")
        };
        let Some(plain) = shown(&[]) else { return };
        assert!(plain.contains("\u{1b}["), "{arguments}: {plain:?}");
        assert!(shown(&[("NO_COLOR", "")]).unwrap().contains("\u{1b}["), "{arguments}: NO_COLOR without a value");
        for variable in [("NO_COLOR", "1"), ("NO_COLOR", "0"), ("TERM", "dumb")] {
            let told = shown(&[variable]).unwrap();
            assert!(told.contains("error:") && !told.contains('\u{1b}'), "{arguments}, {variable:?}: {told:?}");
        }
    }
    let help = terminal("", &line(&sandbox, "run --help"), &[("NO_COLOR", "1")], "").unwrap();
    assert!(help.contains("Examples:") && !help.contains('\u{1b}'), "{help:?}");
}

#[test]
fn a_dumb_terminal_gets_no_bars() {
    let sandbox = project();
    sandbox.put_rows("person", DAY, &batch(&ada_and_bob()));
    let key = ("GATEFOLD_PSEUDONYM_KEY", "gatefold-test-key");
    for arguments in ["generate --accounts 2000 --days 1", "run --force", "query 'SELECT 1'"] {
        let shown = |variables: &[(&str, &str)]| {
            terminal("a_dumb_terminal_gets_no_bars", &line(&sandbox, arguments), variables, "")
        };
        let Some(bars) = shown(&[key]) else { return };
        assert!(bars.contains("\u{1b}["), "{arguments} shows no progress on a terminal: {bars:?}");
        let plain = shown(&[key, ("TERM", "dumb")]).unwrap();
        assert!(!plain.contains('\u{1b}'), "{arguments}: {plain:?}");
    }
}

/// What bash makes of a line and a TAB, as the words that the program is called with.
fn completed(sandbox: &Sandbox, test: &str, typed: &str) -> Option<String> {
    if !there("bash", test) {
        return None;
    }
    // The program's place in the line is taken by a function that shows its words.
    let script = format!(
        "PS1='$ '; bind 'set enable-bracketed-paste off'; cd '{}'\n\
         source <('{PROGRAM}' completions bash)\n\
         gatefold() {{ printf '[%s]' \"$@\"; echo; }}\n",
        sandbox.root().display()
    );
    sandbox.write("completed.bash", script);
    let line = format!("bash --noprofile --rcfile '{}' -i", sandbox.path("completed.bash").display());
    let shown = terminal(test, &line, &[], &format!("{typed}\nexit\n"))?;
    let words = shown.lines().rev().find(|line| line.starts_with('[') && !line.contains("?2004"));
    Some(words.unwrap_or_else(|| panic!("{typed:?}: {shown}")).trim_end().to_owned())
}

#[test]
fn bash_completes_commands_flags_values_and_the_names_of_the_project() {
    let test = "bash_completes_commands_flags_values_and_the_names_of_the_project";
    let sandbox = Sandbox::whole();
    sandbox.write("other/gatefold.toml", "");
    sandbox.write("other/jobs/elsewhere.toml", "");
    for (typed, expected) in [
        ("gatefold lin\t", "[lineage]"),
        ("gatefold run tier\t", "[run][tier_metrics_daily]"),
        ("gatefold run +tier\t", "[run][+tier_metrics_daily]"),
        ("gatefold run tag:met\t", "[run][tag:metrics]"),
        ("gatefold run 'tag:met\t", "[run][tag:metrics]"),
        ("gatefold plan tag:users tag:cata\t", "[plan][tag:users][tag:catalog]"),
        ("gatefold check users.user_d\t", "[check][users.user_daily]"),
        ("gatefold check --excl\ttier\t", "[check][--exclude][tier_metrics_daily]"),
        ("gatefold lineage erasu\t", "[lineage][erasure_request]"),
        ("gatefold query --format c\t", "[query][--format][csv]"),
        ("gatefold query --format=c\t", "[query][--format=csv]"),
        ("gatefold run --env lo\t", "[run][--env][local]"),
        ("gatefold schema sn\t", "[schema][snapshot]"),
        ("gatefold --project other run else\t", "[--project][other][run][elsewhere]"),
        ("gatefold --project=other run else\t", "[--project=other][run][elsewhere]"),
    ] {
        let Some(words) = completed(&sandbox, test, typed) else { return };
        assert_eq!(words, expected, "{typed:?}");
    }
}

#[test]
fn bash_completes_runs_of_the_lake() {
    let sandbox = published();
    let run = sandbox.gatefold(["runs", "--format", "json"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    let Some(words) = completed(&sandbox, "bash_completes_runs_of_the_lake", "gatefold show 20\t") else { return };
    assert_eq!(words, format!("[show][{run}]"));
}

#[test]
fn other_shells_read_their_scripts() {
    let sandbox = Sandbox::new();
    for (shell, program) in
        [("zsh", "zsh"), ("fish", "fish"), ("bash", "bash"), ("elvish", "elvish"), ("powershell", "pwsh")]
    {
        let script = sandbox.gatefold(["completions", shell]).exits(0).stdout.clone();
        assert!(script.contains("GATEFOLD_COMPLETE"), "{script}");
        if matches!(shell, "elvish" | "powershell") || !there(program, "other_shells_read_their_scripts") {
            continue;
        }
        sandbox.write("script", script);
        let read = Command::new(program).arg("-n").arg(sandbox.path("script")).output().unwrap();
        assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
    }
}

#[test]
fn manual_pages_are_sound() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("man");
    sandbox.gatefold(["man", "--out", folder.to_str().unwrap()]).exits(0).says(["written", "pages to"]);
    let mut pages: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|page| page.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 15, "{pages:?}");
    assert_eq!(sandbox.gatefold(["man", "run"]).exits(0).stdout, sandbox.read("man/gatefold-run.1"));
    sandbox.gatefold(["man", "ruin"]).exits(2).says(["'gatefold' has no command 'ruin'", "did you mean 'run'?"]);
    for (program, arguments) in [("groff", &["-man", "-ww", "-z", "-Tutf8"][..]), ("mandoc", &["-Tlint", "-Wwarning"])]
    {
        if !there(program, "manual_pages_are_sound") {
            continue;
        }
        for page in &pages {
            let read = Command::new(program).args(arguments).arg(page).output().unwrap();
            let said = String::from_utf8_lossy(&[read.stdout, read.stderr].concat()).into_owned();
            assert_eq!(said, "", "{}", page.display());
        }
    }
}

#[test]
fn a_new_project_publishes_where_its_owner_says() {
    let sandbox = Sandbox::new();
    let init =
        |name: &str, more: &[&str]| sandbox.gatefold(["init", sandbox.path(name).to_str().unwrap()].iter().chain(more));
    init("plain", &[]).exits(0).prints(["gatefold generate", "gatefold run"]);
    assert!(!sandbox.read("plain/gatefold.toml").contains("bigquery"), "nobody is asked behind a pipe");

    let cloud = ["--bigquery-project", "acme-data", "--location", "EU", "--bucket", "gs://acme-lake/shop"];
    let ran = init("shop", &cloud);
    ran.exits(0).prints(["generate", "--env local", "gcloud auth", "acme-data", "gs://acme-lake/shop/snapshots"]);
    let in_shop = |arguments: &[&str]| {
        let output =
            Command::new(PROGRAM).current_dir(sandbox.path("shop")).args(arguments).env_clear().output().unwrap();
        Ran::new(&output, sandbox.root()).exits(0);
    };
    in_shop(&["check"]);
    let schedule = sandbox.read("shop/schedules/daily.toml");
    assert!(schedule.contains("gatefold@acme-data.iam") && !schedule.contains("your-project"), "{schedule}");
    assert!(!sandbox.read("plain/schedules/daily.toml").contains("\n[kubernetes]"), "pods, with a lake in a folder");
    in_shop(&["export", "odcs", "--out", "odcs"]);
    let contract = sandbox.read("shop/odcs/users.user_daily.odcs.yaml");
    assert!(contract.contains("project: acme-data") && contract.contains("dataProduct: shop"), "{contract}");

    init("half", &cloud[..4]).exits(2).says(["--bucket is missing"]);
    init("both", &["--warehouse", "embedded", "--location", "EU"]).exits(2).says(["an embedded warehouse has no"]);
    init("bad", &["--bucket", "acme"]).exits(2).says(["'acme' is not in a bucket"]);
    assert!(!sandbox.path("half").exists() && !sandbox.path("both").exists(), "a refused init has left files");
}

#[test]
fn a_terminal_is_asked_where_a_new_project_publishes() {
    let test = "a_terminal_is_asked_where_a_new_project_publishes";
    let sandbox = Sandbox::new();
    let new = |name: &str| format!("'{PROGRAM}' init '{}'", sandbox.path(name).display());
    let Some(shown) = terminal(test, &new("plain"), &[], "\n") else { return };
    assert!(shown.contains("warehouse, embedded or bigquery [embedded]:") && shown.contains("next:"), "{shown}");
    assert!(!sandbox.read("plain/gatefold.toml").contains("bigquery"));
    terminal(test, &new("shop"), &[], "bigquery\nacme-data\nEU\ngs://acme-lake/shop\n").unwrap();
    assert!(sandbox.read("shop/gatefold.toml").contains("lake               = \"gs://acme-lake/shop\""));
}

#[test]
fn every_command_takes_the_same_selectors() {
    let sandbox = Sandbox::whole().with_own_settings();
    sandbox.gatefold(["check", "tag:users"]).exits(0).prints(["5 jobs and"]);
    sandbox.gatefold(["check", "users.user_daily"]).exits(0).prints(["1 job and 5 snapshots are sound"]);
    sandbox.gatefold(["check", "--exclude", "tag:daily", "--exclude", "tag:history"]).exits(2).says(["no job is left"]);
    let exported = |arguments: &[&str]| {
        sandbox.gatefold(["export", "dbt", "--env", "cloud"].iter().chain(arguments)).exits(0).stdout.clone()
    };
    let some = exported(&["tag:users", "--exclude", "user_pii"]);
    assert!(
        some.contains("- name: user_daily") && !some.contains("user_pii") && !some.contains("feature_cap"),
        "{some}"
    );
    sandbox.gatefold(["test", "+user_daily", "--filter", "grace"]).exits(0).prints(["passed"]);
    sandbox.gatefold(["lineage", "users.user_daily", "--tables"]).exits(0).prints(["user_daily"]);
    for command in ["check", "plan", "run", "test", "runs", "lineage"] {
        sandbox
            .gatefold([command, "users.user_dail"])
            .exits(2)
            .says(["no job makes the table 'users.user_dail'", "did you mean 'users.user_daily'?"]);
    }
}

/// Until the process catches a signal: one that comes before ends it as it ends any other.
fn until_it_catches(child: &Child, signal: i32) {
    let started = Instant::now();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let caught = |text: &str| {
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim);
        mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    };
    while !fs::read_to_string(&status).is_ok_and(|text| caught(&text)) {
        assert!(started.elapsed() < Duration::from_secs(60), "the signal is not caught");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stopped(sandbox: &Sandbox, child: Child, signal: i32) -> Ran {
    // SAFETY: a signal to a child that was not waited for, so its id is its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    Ran::new(&child.wait_with_output().unwrap(), sandbox.root())
}

#[test]
fn a_generate_that_is_stopped_leaves_no_half_day_and_is_made_whole_by_the_next() {
    let sandbox = Sandbox::new();
    let arguments = ["generate", "--days", "2", "--until", DAY, "--accounts"];
    let mut command = sandbox.command(arguments.iter().chain(&["2000000"]));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_it_catches(&child, libc::SIGINT);
    let started = Instant::now();
    let half = sandbox.path(sandbox.day("account", "2026-11-19"));
    while fs::read_dir(&half).map_or(0, Iterator::count) == 0 && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let ran = stopped(&sandbox, child, libc::SIGINT);
    ran.exits(13).says(["stopped by SIGINT", "whole days: 0 of 2", "the same command makes all of them"]);
    assert!(fs::read_dir(&half).unwrap().count() > 0, "nothing was half made");
    assert!(!half.join("_SUCCESS").exists());
    sandbox.gatefold(["run", "--date", DAY]).exits(10);

    sandbox.gatefold(arguments.iter().chain(&["300"])).exits(0);
    let mut names: Vec<String> =
        fs::read_dir(&half).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["_SUCCESS", "part-00000.parquet"]);
    sandbox.gatefold(["run", "--date", DAY]).exits(0);
}

#[test]
fn a_query_that_is_stopped_says_so() {
    let sandbox = published();
    let endless = "SELECT count(*) FROM generate_series(1, 10000000) AS a CROSS JOIN generate_series(1, 10000000) AS b";
    // The other one is held by a reader that does not read.
    let held =
        "SELECT a.value, b.value FROM generate_series(1, 100000) AS a CROSS JOIN generate_series(1, 100000) AS b";
    for (sql, signal, name) in [(endless, libc::SIGINT, "SIGINT"), (held, libc::SIGTERM, "SIGTERM")] {
        let mut command = sandbox.command(["query", "--format", "csv", sql]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until_it_catches(&child, signal);
        std::thread::sleep(Duration::from_millis(500));
        let _reader = child.stdout.take();
        stopped(&sandbox, child, signal).exits(13).says([&*format!("stopped by {name}")]);
    }
}

#[test]
fn a_table_shows_decimals_short_and_the_other_formats_as_they_are() {
    let sandbox = published();
    let sql = "SELECT CAST(71.79 AS DECIMAL(38, 9)) AS price, CAST(NULL AS DECIMAL(38, 9)) AS none";
    sandbox.gatefold(["query", sql]).exits(0).prints(["| 71.79 |"]);
    assert_eq!(sandbox.rows(sql), ["71.790000000,"]);
    let json: Value = sandbox.gatefold(["query", "--format", "json", sql]).json();
    assert_eq!(json[0]["price"].as_f64(), Some(71.79), "{json}");
}

/// Who reads may stop; a server that closes a connection may not end a run, so this is not left to the signal.
#[test]
fn a_reader_that_stops_ends_the_program_in_silence() {
    let sandbox = project();
    let query = ["query", "SELECT 1", "--format"];
    for arguments in [vec!["schema", "job"], [&query[..], &["json"]].concat(), [&query[..], &["csv"]].concat()] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = sandbox.command(&arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(141), ""), "{arguments:?}");
    }
}
