//! Every state that a table can be in, from facts made by hand.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveTime, Utc};

use super::*;
use crate::job::{Mode, Severity as CheckSeverity};
use crate::names::{JobName, RunId, SnapshotDate, TableName};
use crate::promise::Promise;
use crate::record::CheckRecord;

pub(crate) fn day(text: &str) -> SnapshotDate {
    format!("2026-11-{text}").parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-{text}:00Z").parse().unwrap()
}

pub(crate) fn job(name: &str) -> JobName {
    JobName::new(name).unwrap()
}

pub(crate) fn run(number: u32) -> RunId {
    RunId::new(at("21T03:30"), number)
}

fn ready_by_six() -> Option<Promise> {
    Some(Promise { ready_by: NaiveTime::from_hms_opt(6, 0, 0), max_age_hours: None })
}

pub(crate) fn latest(date: &str) -> Option<Latest> {
    Some(Latest { date: Some(day(date)), rows: 1_000, run_id: Some(run(1)) })
}

pub(crate) fn last_run(date: &str, outcome: JobOutcome) -> Option<LastRun> {
    Some(LastRun { run_id: run(2), date: day(date), started_at: at("21T03:30"), outcome })
}

pub(crate) fn failed(error: &str, exit_code: u8) -> JobOutcome {
    JobOutcome::Failed { error: error.into(), exit_code, why: "it went wrong".into() }
}

/// A table of days that is promised for six and has the day of the 20th.
pub(crate) fn well(name: &str) -> TableFacts {
    TableFacts {
        job: job(name),
        table: TableName::new("shop", name).unwrap(),
        mode: Mode::Partition,
        promise: ready_by_six(),
        latest: latest("20"),
        trend: vec![],
        gaps: vec![],
        last_run: last_run("20", JobOutcome::Published),
        failing_checks: vec![],
        audited_by: Some(run(1)),
        in_bigquery: None,
        unreadable: None,
    }
}

/// At noon of the 21st, with no job reading another's table.
fn report(tables: Vec<TableFacts>) -> Report {
    reading(tables, &[])
}

pub(crate) fn reading(tables: Vec<TableFacts>, edges: &[(&str, &str)]) -> Report {
    let mut reads: BTreeMap<JobName, BTreeSet<JobName>> =
        tables.iter().map(|table| (table.job.clone(), BTreeSet::new())).collect();
    for (reader, read) in edges {
        reads.entry(job(reader)).or_default().insert(job(read));
    }
    Report::of(
        Facts { now: at("21T12:00"), environment: "prod".into(), tables, reads, warnings: vec![] },
        " --env prod",
    )
}

/// The one thing that is wrong with one table, as (kind, severity, text, next).
#[track_caller]
fn only(table: TableFacts) -> (ReasonKind, Severity, String, String) {
    let report = report(vec![table]);
    let [problem] = report.problems.as_slice() else { panic!("{:#?}", report.problems) };
    let [reason] = problem.reasons.as_slice() else { panic!("{:#?}", problem.reasons) };
    assert_eq!((problem.severity, &problem.next), (reason.severity, &reason.next));
    assert_eq!(report.exit_code, reason.severity.exit_code());
    let Reason { kind, severity, text, next } = reason.clone();
    (kind, severity, text, next)
}

#[test]
fn a_table_that_is_there_in_time_is_well() {
    let report = report(vec![well("people")]);
    assert_eq!((report.exit_code, report.problems.len()), (0, 0));
    assert_eq!((report.tables[0].severity, &report.tables[0].promise), (None, &PromiseState::OnTime));
}

#[test]
fn a_table_without_a_promise_is_never_late() {
    let report = report(vec![TableFacts { promise: None, latest: latest("01"), ..well("people") }]);
    assert_eq!((report.exit_code, &report.tables[0].promise), (0, &PromiseState::NoPromise));
}

#[test]
fn a_day_that_no_run_has_tried_is_late() {
    let one = TableFacts { latest: latest("19"), last_run: last_run("19", JobOutcome::Published), ..well("people") };
    let (kind, severity, text, next) = only(one);
    assert_eq!((kind, severity), (ReasonKind::Late, Severity::Missing));
    assert_eq!(text, "late since 2026-11-21 06:00 UTC, 6 h: 2026-11-20 is not there; the last run was for 2026-11-19");
    assert_eq!(next, "gatefold run people --date 2026-11-20 --env prod");
}

#[test]
fn several_late_days_are_one_backfill_since_the_first() {
    let table = TableFacts { latest: latest("17"), last_run: last_run("20", JobOutcome::Published), ..well("people") };
    let (_, _, text, next) = only(table);
    assert_eq!(text, "late since 2026-11-19 06:00 UTC, 2 days: 2026-11-18 to 2026-11-20 are not there");
    assert_eq!(next, "gatefold backfill people --from 2026-11-18 --to 2026-11-20 --env prod");
}

#[test]
fn a_whole_table_lacks_only_the_last_day() {
    let table = TableFacts { mode: Mode::Replace, latest: latest("17"), last_run: None, ..well("people") };
    let (_, _, text, next) = only(table);
    assert_eq!(text, "late since 2026-11-19 06:00 UTC, 2 days: 2026-11-20 is not there; no run has tried");
    assert_eq!(next, "gatefold run people --date 2026-11-20 --env prod");
}

#[test]
fn a_late_day_at_work_is_watched_and_not_run_twice() {
    let table = TableFacts { latest: latest("19"), last_run: last_run("20", JobOutcome::Running), ..well("people") };
    let (_, _, text, next) = only(table);
    assert!(text.ends_with("a run for 2026-11-20 is at work"), "{text}");
    assert_eq!(next, format!("gatefold show {} --env prod", run(2)));
}

#[test]
fn a_table_older_than_it_may_be_is_stale() {
    let promise = Some(Promise { ready_by: None, max_age_hours: Some(30.0) });
    let stale = TableFacts { promise: promise.clone(), latest: latest("18"), ..well("people") };
    let (kind, severity, text, _) = only(stale);
    assert_eq!((kind, severity), (ReasonKind::Stale, Severity::Missing));
    assert_eq!(text, "stale: 2026-11-18 ended 60 h ago, and at most 30 h are promised");
    assert_eq!(report(vec![TableFacts { promise, ..well("people") }]).exit_code, 0);
}

#[test]
fn a_run_that_no_other_run_mends_needs_a_person() {
    for (error, code) in [("project", 2), ("input_broken", 11), ("check_blocked", 12), ("internal", 70)] {
        let (kind, severity, text, next) =
            only(TableFacts { last_run: last_run("20", failed(error, code)), ..well("people") });
        assert_eq!((kind, severity, severity.exit_code()), (ReasonKind::Failed, Severity::Broken, 12));
        assert_eq!(text, format!("the run for 2026-11-20 failed ({code}): it went wrong"));
        assert_eq!(next, format!("gatefold show {} --env prod", run(2)));
    }
}

#[test]
fn a_passing_trouble_is_one_to_try_again() {
    let (kind, severity, _, next) =
        only(TableFacts { last_run: last_run("20", failed("publish", 13)), ..well("people") });
    assert_eq!((kind, severity, severity.exit_code()), (ReasonKind::Failed, Severity::Missing, 10));
    assert_eq!(next, "gatefold run people --date 2026-11-20 --env prod");
}

#[test]
fn who_waits_within_the_promise_is_well_and_without_one_is_not() {
    for code in [10, 14] {
        let waits = TableFacts { last_run: last_run("21", failed("input_missing", code)), ..well("people") };
        let (kind, severity, _, _) = only(waits.clone());
        assert_eq!((kind, severity, severity.exit_code()), (ReasonKind::Waits, Severity::Note, 0));
        let (kind, severity, _, _) = only(TableFacts { promise: None, ..waits });
        assert_eq!((kind, severity), (ReasonKind::Failed, Severity::Missing));
    }
}

#[test]
fn a_run_that_died_is_told_and_one_at_work_is_not() {
    let (kind, severity, text, next) =
        only(TableFacts { last_run: last_run("20", JobOutcome::Interrupted), ..well("people") });
    assert_eq!((kind, severity), (ReasonKind::Interrupted, Severity::Missing));
    assert_eq!(text, "the run for 2026-11-20 that began 8 h ago died");
    assert_eq!(next, "gatefold run people --date 2026-11-20 --env prod");
    assert_eq!(
        report(vec![TableFacts { last_run: last_run("20", JobOutcome::Running), ..well("people") }]).exit_code,
        0
    );
}

#[test]
fn a_record_that_does_not_say_how_a_job_ended_is_no_good_news() {
    let (kind, severity, _, next) = only(TableFacts { last_run: last_run("20", JobOutcome::Untold), ..well("people") });
    assert_eq!((kind, severity), (ReasonKind::Untold, Severity::Missing));
    assert!(next.starts_with("gatefold show"), "{next}");
}

#[test]
fn a_table_that_never_was_is_missing_once() {
    let never = TableFacts { latest: None, last_run: None, audited_by: None, ..well("people") };
    let (kind, _, text, next) = only(TableFacts { promise: None, ..never.clone() });
    assert_eq!(
        (kind, text.as_str(), next.as_str()),
        (ReasonKind::NeverPublished, "never published", "gatefold run people --env prod")
    );
    let (kind, _, text, _) = only(never.clone());
    assert_eq!(kind, ReasonKind::Late, "{text}");
    assert!(report(vec![never]).is_untouched());
    assert!(!report(vec![well("people")]).is_untouched());
}

#[test]
fn a_log_that_cannot_be_read_is_judged_no_further() {
    let broken = TableFacts { latest: None, unreadable: Some("half a commit".into()), ..well("people") };
    let (kind, severity, text, _) = only(broken.clone());
    assert_eq!((kind, severity), (ReasonKind::Unreadable, Severity::Broken));
    assert_eq!(text, "its log cannot be read: half a commit");
    assert_eq!(report(vec![broken]).tables[0].promise, PromiseState::Unknown);
}

#[test]
fn a_whole_table_whose_day_is_not_known_is_not_called_late() {
    let latest = Some(Latest { date: None, rows: 5, run_id: None });
    let report = report(vec![TableFacts { mode: Mode::Replace, latest, ..well("people") }]);
    assert_eq!((report.exit_code, &report.tables[0].promise), (0, &PromiseState::Unknown));
}

#[test]
fn days_that_are_missing_in_between_are_named() {
    let (kind, severity, text, next) = only(TableFacts { gaps: vec![day("11"), day("13")], ..well("people") });
    assert_eq!((kind, severity), (ReasonKind::Gaps, Severity::Missing));
    assert_eq!(text, "days are missing before the latest: 2026-11-11, 2026-11-13");
    assert_eq!(next, "gatefold backfill people --from 2026-11-11 --to 2026-11-13 --env prod");
}

#[test]
fn what_bigquery_does_not_show_is_missing_unless_a_run_is_at_it() {
    let table = TableFacts { in_bigquery: Some(false), ..well("people") };
    let (kind, severity, _, next) = only(table.clone());
    assert_eq!((kind, severity), (ReasonKind::NotInBigquery, Severity::Missing));
    assert_eq!(next, "gatefold run people --date 2026-11-20 --env prod");
    let running = TableFacts { last_run: last_run("20", JobOutcome::Running), ..table.clone() };
    assert_eq!(report(vec![running]).exit_code, 0);
    assert_eq!(report(vec![TableFacts { in_bigquery: Some(true), ..table }]).exit_code, 0);
}

pub(crate) fn check(severity: CheckSeverity) -> CheckRecord {
    CheckRecord {
        name: "null_rate(city)".into(),
        kind: "null_rate".into(),
        severity,
        passed: false,
        failing_rows: Some(3),
        detail: "too many".into(),
        examples: vec![],
    }
}

#[test]
fn checks_that_warn_are_told_and_nothing_is_wrong() {
    let (kind, severity, text, next) =
        only(TableFacts { failing_checks: vec![check(CheckSeverity::Warn)], ..well("people") });
    assert_eq!((kind, severity, severity.exit_code()), (ReasonKind::Warns, Severity::Note, 0));
    assert_eq!((text, next), ("checks warn: null_rate(city)".into(), format!("gatefold show {} --env prod", run(1))));
}

#[test]
fn the_worst_comes_first_among_tables_and_within_one() {
    let late = TableFacts { latest: latest("19"), ..well("a_late") };
    let blocked =
        TableFacts { last_run: last_run("20", failed("check_blocked", 12)), latest: latest("19"), ..well("blocked") };
    let warns = TableFacts { failing_checks: vec![check(CheckSeverity::Warn)], ..well("a_warns") };
    let report = report(vec![well("a_well"), warns, late, blocked]);
    let names: Vec<&str> = report.problems.iter().map(|problem| problem.job.as_str()).collect();
    assert_eq!(names, ["blocked", "a_late", "a_warns"]);
    let kinds: Vec<ReasonKind> = report.problems[0].reasons.iter().map(|reason| reason.kind).collect();
    assert_eq!(kinds, [ReasonKind::Failed, ReasonKind::Late]);
    let tables: Vec<&str> = report.tables.iter().map(|table| table.facts.job.as_str()).collect();
    assert_eq!(tables, ["blocked", "a_late", "a_warns", "a_well"]);
    assert_eq!(report.exit_code, 12);
}

#[test]
fn trouble_is_told_where_it_began() {
    let blocked =
        TableFacts { last_run: last_run("20", failed("check_blocked", 12)), latest: latest("19"), ..well("raw") };
    let skipped = |name| TableFacts {
        last_run: last_run("20", JobOutcome::Skipped { because: job("raw") }),
        latest: latest("19"),
        ..well(name)
    };
    // Its own failure is not explained by what it reads.
    let own = TableFacts { last_run: last_run("20", failed("publish", 13)), ..well("own") };
    let tables = vec![skipped("daily"), skipped("report"), own, blocked, well("other")];
    let report = reading(tables, &[("daily", "raw"), ("report", "daily"), ("own", "raw")]);
    let told: Vec<(&str, Option<&str>)> = report
        .problems
        .iter()
        .map(|problem| (problem.job.as_str(), problem.because.as_ref().map(JobName::as_str)))
        .collect();
    assert_eq!(told, [("raw", None), ("own", None), ("daily", Some("raw")), ("report", Some("raw"))]);
    assert_eq!(report.problems[0].waiting, [job("daily"), job("own"), job("report")]);
}

#[test]
fn the_json_has_machine_names_and_instants() {
    let late =
        TableFacts { latest: latest("19"), last_run: last_run("20", failed("check_blocked", 12)), ..well("people") };
    let json = serde_json::to_value(report(vec![late])).unwrap();
    let table = &json["tables"][0];
    assert_eq!(json["now"], "2026-11-21T12:00:00Z");
    assert_eq!((&table["mode"], &table["severity"]), (&"partition".into(), &"broken".into()));
    assert_eq!(
        (&table["promise"]["state"], &table["promise"]["since"]),
        (&"late".into(), &"2026-11-21T06:00:00Z".into())
    );
    assert_eq!(table["last_run"]["outcome"], "failed");
    assert_eq!(table["last_run"]["error"], "check_blocked");
    assert_eq!(table["last_run"]["started_at"], "2026-11-21T03:30:00Z");
    assert_eq!(json["problems"][0]["reasons"][1]["kind"], "late");
}
