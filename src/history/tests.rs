//! A sweep: whatever sequence of days, complete or not, taken in once or again, a history is the one that a few lines of
//! plain code make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::audit::audit;
use crate::check::{Guarded, Subject};
use crate::engine::EngineOptions;
use crate::names::Partition;
use crate::project::Project;
use crate::publish::{Slice, publish_history};
use crate::record;

const CONFIG: &str = "[project]\nname = 'shop'\ndefault_env = 'local'\n[env.local]\nlake = 'lake'\n";

fn contract(columns: &str) -> String {
    format!("description = 'd'\nowner = 'o'\nformat = 'parquet'\nkey = []\ncolumns = [{columns}]\n")
}

const JOB: &str = "\
description = 'What plans cost.'
owner = 'o'
sql = 'sql/prices.sql'
inputs = ['price', 'gone']

[table]
dataset = 'shop'
mode = 'history'
grain = ['plan', 'seq', 'valid_from']
partition = { column = 'valid_from', by = 'month' }
cluster = ['seq']
columns = [
  { name = 'plan', type = 'STRING', required = true, description = 'd' },
  { name = 'seq', type = 'INT64', required = true, description = 'd' },
  { name = 'amount', type = 'NUMERIC', description = 'd' },
  { name = 'score', type = 'FLOAT64', description = 'd' },
  { name = 'tags', type = 'ARRAY<STRING>', description = 'd' },
  { name = 'who', type = 'STRING', description = 'd' },
  { name = 'valid_from', type = 'TIMESTAMP', required = true, description = 'd' },
  { name = 'valid_to', type = 'TIMESTAMP', description = 'd' },
  { name = 'is_current', type = 'BOOL', required = true, description = 'd' },
]
forget = { column = 'who', sql = 'sql/gone.sql' }
keep_open = { column = 'who', sql = 'sql/in_doubt.sql' }
";

const SQL: &str = "SELECT plan, seq, CAST(amount AS DECIMAL(38, 9)) AS amount, score, tags, who FROM price";

type Key = (&'static str, i64);

/// The values of a row; which of a few, so that a change of one column alone is likely.
#[derive(Debug, Clone, PartialEq)]
struct Values {
    amount: Option<i64>,
    score: Option<f64>,
    tags: Option<Vec<&'static str>>,
    who: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Step {
    /// 0 takes the latest day in again, a negative number rebuilds from an earlier one.
    forward: i64,
    state: BTreeMap<Key, Values>,
    complete: bool,
    gone: BTreeSet<&'static str>,
    /// Whose rows were set aside; null is nobody's.
    rejected: Vec<Option<&'static str>>,
}

/// What plain code makes of the days: the rows, with the days from which and until which they hold.
#[derive(Debug, Default)]
struct Naive(Vec<(Key, Values, i64, Option<i64>)>);

impl Naive {
    fn apply(&mut self, day: i64, step: &Step) {
        self.0.retain(|(_, _, from, _)| *from < day);
        for (_, _, _, to) in &mut self.0 {
            *to = to.filter(|to| *to < day);
        }
        let forgotten = |values: &Values| values.who.is_some_and(|who| step.gone.contains(who));
        self.0.retain(|(_, values, ..)| !forgotten(values));
        let in_doubt = |values: &Values| values.who.is_some() && step.rejected.contains(&values.who);
        let mut state: BTreeMap<&Key, &Values> = step.state.iter().filter(|(_, values)| !forgotten(values)).collect();
        for (key, values, _, to) in self.0.iter_mut().filter(|row| row.3.is_none()) {
            match state.get(key) {
                Some(now) if *now == values => drop(state.remove(key)),
                Some(_) => *to = Some(day),
                None if step.complete && !in_doubt(values) => *to = Some(day),
                None => {}
            }
        }
        self.0.extend(state.into_iter().map(|(key, values)| (*key, values.clone(), day, None)));
    }

    fn rows(&self) -> Vec<String> {
        let text = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
        let mut rows: Vec<String> = self
            .0
            .iter()
            .map(|((plan, seq), values, from, to)| {
                let cells = [
                    (*plan).to_owned(),
                    seq.to_string(),
                    text(values.amount.map(|amount| amount.to_string())),
                    text(values.score.map(|score| score.to_string())),
                    text(values.tags.as_ref().map(|tags| format!("[{}]", tags.join("")))),
                    text(values.who.map(str::to_owned)),
                    from.to_string(),
                    text(to.map(|to| to.to_string())),
                    to.is_none().to_string(),
                ];
                cells.join("|")
            })
            .collect();
        rows.sort();
        rows
    }
}

/// A project with one history, and its lake.
struct Fixture {
    folder: TempDir,
    project: Project,
    engine: Engine,
    lake: Storage,
    work: Storage,
    runs: u32,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let column = |name: &str, kind: &str| format!("{{ name = '{name}', type = '{kind}', description = 'd' }}, ");
        let price: String = [("plan", "STRING"), ("seq", "INT64"), ("amount", "INT64"), ("score", "FLOAT64")]
            .iter()
            .chain(&[("tags", "ARRAY<STRING>"), ("who", "STRING")])
            .map(|(name, kind)| column(name, kind))
            .collect();
        for (path, text) in [
            ("gatefold.toml", CONFIG.to_owned()),
            ("jobs/prices.toml", JOB.to_owned()),
            ("jobs/snapshots/price.toml", contract(&price)),
            ("jobs/snapshots/gone.toml", contract(&column("who", "STRING"))),
            ("sql/prices.sql", SQL.to_owned()),
            ("sql/gone.sql", "SELECT who FROM gone".to_owned()),
            ("sql/in_doubt.sql", "SELECT who FROM rejected_price".to_owned()),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let project = Project::load(folder.path()).unwrap();
        let open = |name: &str| Storage::create_local(&folder.path().join(name)).unwrap();
        let (lake, work) = (open("lake"), open("work"));
        let options = EngineOptions {
            memory_bytes: 256 << 20,
            threads: 2,
            spill_folder: work.folder().unwrap().to_owned(),
            key: None,
        };
        let engine = Engine::new(options).unwrap().that_holds_no_side();
        engine.register(&lake);
        engine.register(&work);
        Fixture { folder, project, engine, lake, work, runs: 0 }
    }

    fn job(&self) -> &Job {
        self.project.jobs.values().next().unwrap()
    }

    /// One run of a day, as the pipeline does it. The findings that block, when some do.
    async fn apply(&mut self, day: i64, step: &Step, joins: Joins) -> Result<Counts, Vec<String>> {
        self.runs += 1;
        let run = RunId::new(chrono::DateTime::UNIX_EPOCH, self.runs);
        let session = self.session(step, joins);
        let fingerprint = format!("{:032x}", self.runs);
        let day = self.day(day, step, &run, &fingerprint);
        let staged = stage(&day, &session, joins).await.unwrap();
        let change = staged.change.as_ref().unwrap();
        let counts = change.counts;
        session.register_table("__staged", Arc::new(change.current_rows(&self.lake, &day.job.table))).unwrap();
        let subject = Subject {
            ctx: &session,
            guarded: Guarded::Table(day.job),
            key: None,
            date: day.date,
            staged: "\"__staged\"",
            previous: None,
            target: &|_| None,
        };
        let (report, audited) = audit(staged, &subject).await.unwrap();
        let Some(audited) = audited else {
            return Err(report.blocking().map(|finding| finding.name.clone()).collect());
        };
        let lease = record::acquire(&self.lake, &day.job.table.name, &Partition::Whole, &run).await.unwrap();
        publish_history(&self.lake, &day.job.table, "", audited, &lease).await.unwrap();
        lease.release().await.unwrap();
        Ok(counts)
    }

    fn day<'a>(&'a self, day: i64, step: &Step, run: &'a RunId, fingerprint: &'a str) -> Day<'a> {
        Day {
            job: self.job(),
            date: date(day),
            run,
            engine: &self.engine,
            lake: &self.lake,
            work: &self.work,
            complete: step.complete,
            doubtful: Vec::new(),
            rejected: self.rejected(step),
            fingerprint,
        }
    }

    fn session(&self, step: &Step, joins: Joins) -> SessionContext {
        let session = self.engine.session(joins);
        session.register_batch("price", prices(step.state.iter())).unwrap();
        let gone: ArrayRef = Arc::new(StringArray::from_iter_values(&step.gone));
        session.register_batch("gone", RecordBatch::try_from_iter([("who", gone)]).unwrap()).unwrap();
        session
    }

    fn rejected(&self, step: &Step) -> BTreeMap<String, Arc<dyn TableProvider>> {
        let who: ArrayRef = Arc::new(step.rejected.iter().copied().collect::<StringArray>());
        let rows = RecordBatch::try_from_iter_with_nullable([("who", who, true)]).unwrap();
        let rows = self.engine.session(Joins::Hash).read_batch(rows).unwrap().into_view();
        BTreeMap::from([("rejected_price".to_owned(), rows)])
    }

    async fn table(&self) -> LakeTable {
        LakeTable::open(&self.lake, &self.job().table.name).await.unwrap().unwrap()
    }

    async fn rows(&self) -> Vec<String> {
        let table = self.table().await;
        self.rows_of(Arc::new(table.rows_of(&Slice(Vec::new())))).await
    }

    async fn rows_of(&self, table: Arc<dyn datafusion::catalog::TableProvider>) -> Vec<String> {
        let session = self.engine.session(Joins::Hash);
        session.register_table("t", table).unwrap();
        let days = |column: &str| format!("date_part('epoch', {column}) / 86400 - {FIRST_DAY}");
        let sql = format!(
            "SELECT plan, seq, CAST(amount AS BIGINT), score, '[' || array_to_string(tags, '') || ']', who, \
             CAST({} AS BIGINT), CAST({} AS BIGINT), is_current FROM t",
            days("valid_from"),
            days("valid_to"),
        );
        let mut rows = Vec::new();
        for batch in session.sql(&sql).await.unwrap().collect().await.unwrap() {
            let options = FormatOptions::new().with_null("null");
            let columns: Vec<_> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
                rows.push(cells.join("|").replace(".0|", "|"));
            }
        }
        rows.sort();
        rows
    }

    /// Each file holds one month, and open and closed rows never share one.
    async fn shelves_are_in_order(&self) {
        let table = self.table().await;
        for file in &table.files {
            let known = HistoryFile::read(file).unwrap();
            let shown = self.rows_of(Arc::new(table.rows_in([file]))).await;
            assert_eq!(shown.len() as u64, file.rows);
            for row in shown {
                let cells: Vec<&str> = row.split('|').collect();
                assert_eq!(cells[8] == "true", known.shelf.kind == Kind::Open, "{row} in {}", known.shelf);
                let month = files::Month::of(date(cells[6].parse().unwrap()).begin());
                assert_eq!(month, known.shelf.month, "{row}");
            }
        }
        let on_disk = walk(&self.folder.path().join("lake/tables/shop/prices"));
        assert!(table.files.iter().all(|file| on_disk.contains(&file.path)));
    }
}

fn walk(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for run in std::fs::read_dir(folder).unwrap().map(|run| run.unwrap().path()) {
        for file in std::fs::read_dir(&run).unwrap().map(|file| file.unwrap().path()) {
            found.insert(file.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// 2026-01-25, so that a few days later another month begins.
const FIRST_DAY: i64 = 20_478;

fn date(day: i64) -> SnapshotDate {
    let first: SnapshotDate = "2026-01-25".parse().unwrap();
    assert_eq!(i64::from(first.days_since_epoch()), FIRST_DAY);
    SnapshotDate::new(first.date() + chrono::TimeDelta::days(day))
}

fn prices<'a>(rows: impl Iterator<Item = (&'a Key, &'a Values)>) -> RecordBatch {
    let rows: Vec<_> = rows.collect();
    let mut tags = ListBuilder::new(StringBuilder::new());
    for (_, values) in &rows {
        if let Some(texts) = &values.tags {
            texts.iter().for_each(|text| tags.values().append_value(text));
        }
        tags.append(values.tags.is_some());
    }
    let columns: [(&str, ArrayRef); 6] = [
        ("plan", Arc::new(StringArray::from_iter_values(rows.iter().map(|((plan, _), _)| plan)))),
        ("seq", Arc::new(Int64Array::from_iter_values(rows.iter().map(|((_, seq), _)| *seq)))),
        ("amount", Arc::new(rows.iter().map(|(_, values)| values.amount).collect::<Int64Array>())),
        ("score", Arc::new(rows.iter().map(|(_, values)| values.score).collect::<Float64Array>())),
        ("tags", Arc::new(tags.finish())),
        ("who", Arc::new(rows.iter().map(|(_, values)| values.who).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn values() -> impl Strategy<Value = Values> {
    let tags = prop_oneof![Just(None), Just(Some(vec![])), Just(Some(vec!["a"])), Just(Some(vec!["b", "a"]))];
    let who = prop_oneof![Just(None), Just(Some("ann")), Just(Some("bo"))];
    let score = prop_oneof![3 => Just(Some(1.5)), 1 => Just(None)];
    let amount = prop_oneof![Just(None), Just(Some(1)), Just(Some(2))];
    (amount, score, tags, who).prop_map(|(amount, score, tags, who)| Values { amount, score, tags, who })
}

fn step() -> impl Strategy<Value = Step> {
    let key = (prop_oneof![Just("gold"), Just("free")], 1..4_i64);
    let state = proptest::collection::btree_map(key, values(), 0..6);
    let forward = prop_oneof![6 => Just(1_i64), 1 => Just(3_i64), 2 => Just(0_i64), 1 => -4..0_i64];
    let gone = prop_oneof![5 => Just(BTreeSet::new()), 1 => Just(BTreeSet::from(["ann"])), 1 => Just(BTreeSet::from(["ann", "bo"]))];
    let rejected = prop_oneof![
        2 => Just(Vec::new()),
        1 => proptest::collection::vec(prop_oneof![Just(None), Just(Some("ann")), Just(Some("bo"))], 1..4),
    ];
    (forward, state, prop::bool::weighted(0.7), gone, rejected)
        .prop_map(|(forward, state, complete, gone, rejected)| Step { forward, state, complete, gone, rejected })
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// What every history promises, whatever the days were.
fn is_sound(naive: &Naive) {
    let mut by_key: BTreeMap<Key, Vec<(i64, Option<i64>)>> = BTreeMap::new();
    for (key, _, from, to) in &naive.0 {
        by_key.entry(*key).or_default().push((*from, *to));
    }
    for (key, mut held) in by_key {
        held.sort();
        assert!(held.windows(2).all(|pair| pair[0].1.is_some_and(|to| to <= pair[1].0)), "{key:?}: {held:?}");
        assert!(held.iter().all(|(from, to)| to.is_none_or(|to| to > *from)), "{key:?}: {held:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn a_history_is_what_plain_code_makes_of_its_days(steps in proptest::collection::vec(step(), 1..9), merge: bool) {
        let joins = if merge { Joins::Merge } else { Joins::Hash };
        wait(async {
            let (mut fixture, mut naive, mut day) = (Fixture::new(), Naive::default(), 0);
            for step in &steps {
                day = (day + step.forward).max(0);
                let before = naive.0.iter().filter(|row| row.3.is_none()).count();
                naive.apply(day, step);
                let counts = fixture.apply(day, step, joins).await.unwrap();
                assert_eq!(fixture.rows().await, naive.rows(), "day {day} of {steps:#?}");
                is_sound(&naive);
                let opened = naive.0.iter().filter(|row| row.2 == day).count() as u64;
                let open = naive.0.iter().filter(|row| row.3.is_none()).count() as u64;
                assert_eq!((counts.opened, counts.opened + counts.unchanged), (opened, open), "{before} before");
            }
            fixture.shelves_are_in_order().await;
        });
    }
}

fn steady(amounts: &[(Key, i64)]) -> Step {
    let values = |amount| Values { amount: Some(amount), score: None, tags: None, who: None };
    let state = amounts.iter().map(|(key, amount)| (*key, values(*amount))).collect();
    Step { forward: 1, state, complete: true, gone: BTreeSet::new(), rejected: Vec::new() }
}

#[test]
fn a_day_without_changes_writes_no_file_and_is_known() {
    wait(async {
        let mut fixture = Fixture::new();
        let step = steady(&[(("gold", 1), 5), (("free", 1), 0)]);
        fixture.apply(0, &step, Joins::Hash).await.unwrap();
        let before = fixture.table().await;
        let counts = fixture.apply(1, &step, Joins::Hash).await.unwrap();
        assert_eq!(counts, Counts { opened: 0, closed: 0, unchanged: 2, forgotten: 0 });
        let after = fixture.table().await;
        let paths = |table: &LakeTable| table.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&after), paths(&before));
        assert_eq!(after.version(), before.version() + 1);
        assert_eq!(after.applied().latest(), Some(date(1)));

        fixture.apply(2, &steady(&[]), Joins::Hash).await.unwrap();
        fixture.apply(3, &steady(&[]), Joins::Hash).await.unwrap();
        assert_eq!(fixture.table().await.applied().latest(), Some(date(3)));
        assert!(fixture.rows().await.iter().all(|row| row.ends_with("|0|2|false")));
    });
}

/// What `keep_open` reads is for it alone: no check of the same day sees the rows that were set aside.
#[test]
fn rejected_rows_are_seen_by_keep_open_alone() {
    wait(async {
        let fixture = Fixture::new();
        let run = RunId::new(chrono::DateTime::UNIX_EPOCH, 1);
        let step = Step { rejected: vec![Some("ann")], ..steady(&[(("gold", 1), 5)]) };
        let session = fixture.session(&step, Joins::Hash);
        stage(&fixture.day(0, &step, &run, "f"), &session, Joins::Hash).await.unwrap();
        assert!(session.table_exist("price").unwrap());
        assert!(!session.table_exist("rejected_price").unwrap());
    });
}

#[test]
fn the_first_day_of_an_empty_state_is_known_too() {
    wait(async {
        let mut fixture = Fixture::new();
        fixture.apply(0, &steady(&[]), Joins::Hash).await.unwrap();
        let table = fixture.table().await;
        assert_eq!((table.files.len(), table.applied().latest()), (0, Some(date(0))));
    });
}

#[test]
fn a_key_that_stands_twice_blocks_however_alike_its_rows_are() {
    wait(async {
        let mut fixture = Fixture::new();
        let sound = steady(&[(("gold", 1), 5), (("free", 1), 0)]);
        let twice = "SELECT plan, seq, CAST(amount AS DECIMAL(38, 9)) AS amount, score, tags, who FROM price \
                     UNION ALL SELECT plan, seq, CAST(amount + more AS DECIMAL(38, 9)), score, tags, who \
                     FROM price CROSS JOIN (VALUES (0)) AS t (more) WHERE plan = 'gold'";
        for sql in [twice.to_owned(), twice.replace("(0)", "(1)"), twice.replace("(0)", "(0), (0)")] {
            job_sql(&mut fixture, SQL);
            fixture.apply(0, &sound, Joins::Hash).await.unwrap();
            job_sql(&mut fixture, &sql);
            for day in [0, 1] {
                let blocked = fixture.apply(day, &sound, Joins::Hash).await;
                assert_eq!(blocked, Err(vec!["unique(plan, seq)".to_owned()]), "{day}: {sql}");
            }
        }
    });
}

fn job_sql(fixture: &mut Fixture, sql: &str) {
    let job = fixture.project.jobs.values_mut().next().unwrap();
    job.sql = sql.to_owned();
}

#[test]
fn as_of_a_day_the_later_ones_do_not_show() {
    wait(async {
        let mut fixture = Fixture::new();
        let days = [
            steady(&[(("gold", 1), 5)]),
            steady(&[(("gold", 1), 6), (("free", 1), 0)]),
            steady(&[(("free", 1), 0)]),
            steady(&[(("gold", 1), 6)]),
        ];
        let mut seen = Vec::new();
        for (day, step) in (0..).zip(&days) {
            fixture.apply(day, step, Joins::Hash).await.unwrap();
            seen.push(current(&fixture, day).await);
        }
        for (day, seen) in (0..).zip(seen) {
            assert_eq!(current(&fixture, day).await, seen, "{day}");
        }
        assert_eq!(current(&fixture, 2).await, ["free|1|0|null|null|null|1|null|true"]);
    });
}

async fn current(fixture: &Fixture, day: i64) -> Vec<String> {
    let table = fixture.table().await;
    let session = fixture.engine.session(Joins::Hash);
    let rows = rows_as_of(&session, table.rows_in(files_as_of(&table, date(day))), date(day)).unwrap();
    fixture.rows_of(rows).await
}
