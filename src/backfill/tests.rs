//! Order and rows of invented ranges, and the classification of a lake that is empty.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::names::{JobName, Partition};
use crate::pipeline::{Node, Reason, Survey};
use crate::record::Failure;
use crate::storage::Storage;

const ITEM: &str = "description = 'd'\nowner = 'o'\nformat = 'parquet'\nkey = ['id']\n\
                    columns = [{ name = 'id', type = 'STRING', required = true, description = 'd' }]\n";

/// A job with these inputs, of a mode.
fn job(mode: &str, inputs: &str) -> String {
    let (grain, partition, columns) = match mode {
        "history" => (
            "['id', 'valid_from']",
            "partition = { column = 'valid_from', by = 'month' }\n",
            "{ name = 'valid_from', type = 'TIMESTAMP', required = true, description = 'd' },\n\
             { name = 'valid_to', type = 'TIMESTAMP', description = 'd' },\n\
             { name = 'is_current', type = 'BOOL', required = true, description = 'd' },\n",
        ),
        "partition" => (
            "['day', 'id']",
            "partition = { column = 'day', by = 'day' }\n",
            "{ name = 'day', type = 'DATE', required = true, description = 'd' },\n",
        ),
        _ => ("['id']", "", ""),
    };
    format!(
        "description = 'd'\nowner = 'o'\nsql = 'sql/any.sql'\ninputs = {inputs}\n[table]\ndataset = 's'\nmode = '{mode}'\n\
         grain = {grain}\n{partition}columns = [\n{columns}{{ name = 'id', type = 'STRING', required = true, description = 'd' }},\n]\n"
    )
}

/// Jobs by name, mode and inputs, over the snapshot `item`.
fn project(jobs: &[(&str, &str, &str)]) -> (TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("gatefold.toml", "[project]\nname = 'p'\ndefault_env = 'local'\n[env.local]\nlake = 'lake'\n");
    write("jobs/snapshots/item.toml", ITEM);
    write("sql/any.sql", "SELECT id FROM item");
    for (name, mode, inputs) in jobs {
        write(&format!("jobs/{name}.toml"), &job(mode, inputs));
    }
    let project = Project::load(folder.path()).unwrap();
    (folder, project)
}

fn day(day: u32) -> SnapshotDate {
    format!("2026-03-{day:02}").parse().unwrap()
}

fn name(name: &str) -> JobName {
    JobName::new(name).unwrap()
}

/// Every partition of these plans as never published, whole tables for the last day alone.
fn all_missing<'a>(plans: &[Plan<'a>]) -> Vec<Entry<'a>> {
    let last = plans.last().unwrap().date;
    let entries = plans.iter().flat_map(|plan| plan.jobs.iter().map(|planned| (plan.date, planned.clone())));
    let once = entries.filter(|(date, planned)| planned.partition != Partition::Whole || *date == last);
    let entry = |(date, planned)| Entry { planned, date, reason: Reason::NeverPublished, state: State::Missing };
    once.map(entry).collect()
}

/// `day: jobs` of each run.
fn told(order: &Order) -> Vec<String> {
    let jobs = |unit: &Unit| unit.jobs.iter().map(JobName::as_str).collect::<Vec<_>>().join(" ");
    order.units.iter().map(|unit| format!("{}: {}", &unit.date.to_string()[8..], jobs(unit))).collect()
}

/// Whoever takes the runs one after the other never waits for one that comes later.
fn comes_to_an_end(order: &Order, entries: &[Entry<'_>]) {
    let place = |node: &Node| {
        let entry = entries.iter().find(|entry| entry.node() == *node).unwrap();
        order.units.iter().position(|unit| unit.date == entry.date && unit.jobs.contains(&node.0)).unwrap()
    };
    for (node, needs) in &order.needs {
        assert!(needs.iter().all(|need| place(need) <= place(node)), "{node:?} waits for a later one of {needs:?}");
    }
}

#[test]
fn days_come_in_their_order_and_wait_for_what_they_read_of_earlier_ones() {
    let yesterday = "[{ table = 'base', days_ago = 1, as = 'before', optional = true }, 'item']";
    let (_folder, project) = project(&[
        ("base", "partition", "['item']"),
        ("change", "partition", yesterday),
        ("past", "history", "['base']"),
    ]);
    let plans = plans(&project, (day(1), day(3)), &[]).unwrap();
    let mut entries = all_missing(&plans);
    // The second day of the history is fresh: the third goes on from the first.
    entries.retain(|entry| entry.node() != (name("past"), Partition::Change(day(2))));
    let order = order(&project, &entries);
    assert_eq!(told(&order), ["01: base change past", "02: base change", "03: base change past"]);
    let needs = |job: &str, partition| order.needs[&(name(job), partition)].iter().cloned().collect::<Vec<_>>();
    assert_eq!(needs("change", Partition::Day(day(1))), []);
    assert_eq!(needs("change", Partition::Day(day(3))), [(name("base"), Partition::Day(day(2)))]);
    let past = [(name("base"), Partition::Day(day(3))), (name("past"), Partition::Change(day(1)))];
    assert_eq!(needs("past", Partition::Change(day(3))), past);
    comes_to_an_end(&order, &entries);
}

#[test]
fn a_whole_table_that_all_days_read_is_made_in_a_round_before_them() {
    let (_folder, project) = project(&[
        ("base", "partition", "['item']"),
        ("now", "replace", "['base']"),
        ("reader", "partition", "['now', 'item']"),
    ]);
    let plans = plans(&project, (day(1), day(2)), &[]).unwrap();
    let entries = all_missing(&plans);
    let order = order(&project, &entries);
    assert_eq!(told(&order), ["01: base", "02: base now reader", "01: reader"]);
    comes_to_an_end(&order, &entries);
}

#[test]
fn a_circle_through_a_whole_table_is_cut() {
    let (_folder, project) = project(&[
        ("day_before", "partition", "[{ table = 'reader', days_ago = 1, as = 'before', optional = true }, 'item']"),
        ("now", "replace", "['day_before']"),
        ("reader", "partition", "['now']"),
    ]);
    let plans = plans(&project, (day(1), day(3)), &[]).unwrap();
    let entries = all_missing(&plans);
    let order = order(&project, &entries);
    assert_eq!(told(&order), ["01: day_before reader", "02: day_before reader", "03: day_before now reader"]);
    comes_to_an_end(&order, &entries);
}

#[test]
fn days_that_stand_alike_are_one_row() {
    let (_folder, project) = project(&[("base", "partition", "['item']")]);
    let plans = plans(&project, (day(1), day(9)), &[]).unwrap();
    let mut entries = all_missing(&plans);
    let run = |random| crate::names::RunId::new(chrono::DateTime::UNIX_EPOCH, random);
    let changed = |random| Reason::Changed { published_by: run(random), what: vec!["item".into()] };
    for (place, random) in [(3, 1), (4, 2)] {
        (entries[place].reason, entries[place].state) = (changed(random), State::Stale);
    }
    let failure = Failure { run: run(3), exit_code: 12, message: "a check blocks: x\nmore".into() };
    entries[5].state = State::Failed(failure);
    let standing = crate::record::Standing { published_by: run(1), later: None };
    (entries[6].reason, entries[6].state) = (Reason::UpToDate(standing), State::Fresh);
    let rows = rows(&entries);
    let told: Vec<_> = rows.iter().map(|row| (row.state, row.from, row.to, row.days, row.why.as_str())).collect();
    let failed = format!("exit 12 in {}: a check blocks: x", run(3));
    let expected = [
        ("missing", day(1), day(3), 3, "the partition was never published"),
        ("stale", day(4), day(5), 2, "item changed"),
        ("failed", day(6), day(6), 1, failed.as_str()),
        ("missing", day(8), day(9), 2, "the partition was never published"),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn an_empty_lake_misses_what_its_inputs_are_there_for() {
    let (folder, project) = project(&[
        ("base", "partition", "['item']"),
        ("change", "partition", "[{ table = 'base', days_ago = 1, as = 'before' }]"),
        ("now", "replace", "['base']"),
        ("past", "history", "['item']"),
    ]);
    for number in [1, 2, 4] {
        let snapshot = folder.path().join(format!("lake/snapshots/item/snapshot_date={}", day(number)));
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(snapshot.join("part.parquet"), "nobody reads it").unwrap();
        fs::write(snapshot.join("_SUCCESS"), "").unwrap();
    }
    let open = |path: &Path| Storage::create_local(path).unwrap();
    let (lake, snapshots) = (open(&folder.path().join("lake")), open(&folder.path().join("lake/snapshots")));
    let plans = plans(&project, (day(1), day(5)), &[]).unwrap();
    let survey = Survey::new(&lake, &snapshots, None, None);
    let agenda = agenda(&plans, &survey, Wish::default()).await.unwrap();
    let of = |job: &str| -> Vec<String> {
        let entries = agenda.entries.iter().filter(|entry| entry.planned.job.name.as_str() == job);
        entries.map(|entry| format!("{} {}", &entry.date.to_string()[8..], entry.state.as_str())).collect()
    };
    assert_eq!(of("base"), ["01 missing", "02 missing", "03 waiting", "04 missing", "05 waiting"]);
    assert_eq!(of("change"), ["01 waiting", "02 missing", "03 missing", "04 waiting", "05 missing"]);
    // For the last day that it can be made for.
    assert_eq!(of("now"), ["04 missing"]);
    // A history waits for the third day: it could not be taken in after the fourth.
    assert_eq!(of("past"), ["01 missing", "02 missing", "03 waiting", "04 waiting", "05 waiting"]);
}
