//! Comparisons of random rows, held against one in memory, under much and under little of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FsPath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray,
    StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;
use crate::check::WITHHELD;
use crate::engine::{DataFile, EngineOptions, Joins};
use crate::error::{Error, ErrorKind};
use crate::storage::Storage;

type RowKey = (i64, String);

/// All that can be compared; floats by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Values {
    text: Option<String>,
    real: Option<u64>,
    amount: Option<i128>,
    list: Option<Vec<Option<i64>>>,
    nested: Option<(Option<String>, Option<u64>)>,
}

/// Stands for a null in a key, and comes first as nulls do.
const NULL: &str = "";

type Table = Vec<(RowKey, Values)>;

const COLUMNS: [&str; 5] = ["text", "real", "amount", "list", "nested"];

impl Values {
    /// The values as one text a column, which are equal when the values are.
    fn told(&self) -> [String; 5] {
        [
            format!("{:?}", self.text),
            format!("{:?}", self.real),
            format!("{:?}", self.amount),
            format!("{:?}", self.list),
            format!("{:?}", self.nested),
        ]
    }
}

fn values() -> impl Strategy<Value = Values> {
    let text = || prop::option::of("[ab]{0,1}|a text of more than twelve [ab]");
    let real = || {
        let bits = [0.0, -0.0, 1.5, f64::NAN, -f64::NAN, f64::INFINITY].map(f64::to_bits);
        prop::option::of(prop::sample::select(bits.to_vec()))
    };
    let list = prop::option::of(prop::collection::vec(prop::option::of(0i64..2), 0..3));
    (text(), real(), prop::option::of(0i128..3), list, prop::option::of((text(), real())))
        .prop_map(|(text, real, amount, list, nested)| Values { text, real, amount, list, nested })
}

/// A row before and after.
type Sides = (Option<Values>, Option<Values>);

/// Both sides, in the order in which their rows are written.
fn tables() -> impl Strategy<Value = (Table, Table)> {
    let both = values().prop_map(|same| (Some(same.clone()), Some(same)));
    let change = (values(), values()).prop_map(|(old, new)| (Some(old), Some(new)));
    let alone =
        (values(), any::<bool>()).prop_map(|(row, old)| if old { (Some(row), None) } else { (None, Some(row)) });
    let rows = prop::collection::btree_map((-2i64..3, "[xy]{0,2}"), prop_oneof![both, change, alone], 0..40);
    rows.prop_flat_map(|rows| {
        let side = |pick: fn(&Sides) -> Option<Values>| -> Table {
            rows.iter().filter_map(|(key, row)| Some((key.clone(), pick(row)?))).collect()
        };
        let (from, to) = (side(|row| row.0.clone()), side(|row| row.1.clone()));
        (Just(from).prop_shuffle(), Just(to).prop_shuffle())
    })
}

fn batch(rows: &[(RowKey, Values)]) -> RecordBatch {
    fn reals(bits: impl Iterator<Item = Option<u64>>) -> ArrayRef {
        Arc::new(bits.map(|bits| bits.map(f64::from_bits)).collect::<Float64Array>())
    }
    let all = || rows.iter().map(|(_, values)| values);
    let mut lists = ListBuilder::new(Int64Builder::new());
    for values in all() {
        match &values.list {
            Some(items) => lists.append_value(items.iter().copied()),
            None => lists.append_null(),
        }
    }
    let fields = Fields::from(vec![Field::new("t", DataType::Utf8, true), Field::new("r", DataType::Float64, true)]);
    let part = || all().map(|values| values.nested.clone().unwrap_or((None, None)));
    let parts: Vec<ArrayRef> =
        vec![Arc::new(part().map(|part| part.0).collect::<StringArray>()), reals(part().map(|part| part.1))];
    let there = NullBuffer::from_iter(all().map(|values| values.nested.is_some()));
    let amounts = all().map(|values| values.amount).collect::<Decimal128Array>().with_precision_and_scale(38, 9);
    let columns: [(&str, ArrayRef); 7] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|(key, _)| key.0)))),
        (
            "part",
            Arc::new(rows.iter().map(|(key, _)| Some(&key.1).filter(|part| *part != NULL)).collect::<StringArray>()),
        ),
        ("text", Arc::new(all().map(|values| values.text.as_deref()).collect::<StringArray>())),
        ("real", reals(all().map(|values| values.real))),
        ("amount", Arc::new(amounts.unwrap())),
        ("list", Arc::new(lists.finish())),
        ("nested", Arc::new(StructArray::new(fields, parts, Some(there)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// The rows in files of at most `each`, and one at least.
async fn source(storage: &Storage, name: &str, rows: &Table, each: usize) -> Source {
    let mut files = Vec::new();
    let parts: Vec<&[_]> = if rows.is_empty() { vec![&[]] } else { rows.chunks(each).collect() };
    for (at, part) in parts.iter().enumerate() {
        let path = Path::from(format!("{name}-{at}.parquet"));
        let file = std::fs::File::create(storage.folder().unwrap().join(path.as_ref())).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch(&[]).schema(), None).unwrap();
        writer.write(&batch(part)).unwrap();
        writer.close().unwrap();
        files.push(DataFile { meta: storage.head(&path).await.unwrap(), rows: part.len() as u64, selection: None });
    }
    let (store, schema) = (storage.url().clone(), batch(&[]).schema());
    Source { name: name.to_owned(), store, files, schema, as_of: None, only: None, shared_rows: 0 }
}

/// What a comparison gave, and what was heard of its progress.
struct Compared {
    difference: Result<Difference>,
    /// The columns again, by merge joins.
    merged: Vec<ColumnDifference>,
    heard: u64,
}

fn named(names: &[&str], withheld: &str) -> Vec<Column> {
    names.iter().map(|name| Column { name: (*name).to_owned(), withheld: *name == withheld }).collect()
}

async fn compared(from: &Table, to: &Table, digest_bytes: u64, withheld: &str) -> Compared {
    let heard = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&heard);
    let progress: Progress = Arc::new(move |rows| _ = counter.fetch_add(rows, Ordering::Relaxed));
    let (difference, merged) = with_tables(from, to, digest_bytes, withheld, progress, async |comparison| {
        (compare(comparison).await, merged(comparison).await)
    })
    .await;
    Compared { difference, merged, heard: heard.load(Ordering::Relaxed) / 2 }
}

/// Does this with a comparison of the two tables.
async fn with_tables<T>(
    from: &Table,
    to: &Table,
    digest_bytes: u64,
    withheld: &str,
    progress: Progress,
    work: impl AsyncFnOnce(&Comparison<'_>) -> T,
) -> T {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open_local(folder.path()).unwrap();
    let spill = tempfile::tempdir().unwrap();
    let (from, to) = (source(&storage, "from", from, 7).await, source(&storage, "to", to, 11).await);
    let options =
        EngineOptions { memory_bytes: 64 << 20, threads: 2, spill_folder: spill.path().to_owned(), key: None };
    let engine = Engine::new(options).unwrap().that_holds_no_side();
    engine.register(&storage);
    let comparison = Comparison {
        engine: &engine,
        folder: spill.path(),
        from: &from,
        to: &to,
        key: &named(&["id", "part"], withheld),
        columns: &named(&COLUMNS, withheld),
        limits: Limits { keys: 3, values: 2 },
        digest_bytes,
        progress,
    };
    let done = work(&comparison).await;
    assert!(is_empty(spill.path()), "something is left of what was spilled");
    done
}

async fn merged(comparison: &Comparison<'_>) -> Vec<ColumnDifference> {
    let Found { marks, .. } = found(comparison, Way::Apart).await.unwrap().unwrap();
    match matching::count(&marks.to.changed) {
        0 => Vec::new(),
        _ => columns::tallied(comparison, &marks, Joins::Merge).await.unwrap().finish(),
    }
}

/// Folders of the engine's own go when it does.
fn is_empty(folder: &FsPath) -> bool {
    std::fs::read_dir(folder).unwrap().all(|entry| entry.unwrap().path().is_dir())
}

/// What maps find: counts of rows, of changed rows by column, and the first keys added, removed, and changed by column.
struct Expected {
    rows: Rows,
    counts: Vec<(String, u64)>,
    alone: [Vec<RowKey>; 2],
    in_columns: [Vec<RowKey>; 5],
}

fn expected(from: &Table, to: &Table) -> Expected {
    let [old, new] = [from, to].map(|table| table.iter().cloned().collect::<BTreeMap<RowKey, Values>>());
    let keys = |of: &BTreeMap<RowKey, Values>| of.keys().cloned().collect::<BTreeSet<RowKey>>();
    let added: Vec<RowKey> = keys(&new).difference(&keys(&old)).cloned().collect();
    let removed: Vec<RowKey> = keys(&old).difference(&keys(&new)).cloned().collect();
    let both: Vec<RowKey> = keys(&old).intersection(&keys(&new)).cloned().collect();
    let changed: Vec<&RowKey> = both.iter().filter(|key| old[*key] != new[*key]).collect();
    let in_column = |at: usize| -> Vec<RowKey> {
        changed.iter().filter(|key| old[**key].told()[at] != new[**key].told()[at]).map(|key| (*key).clone()).collect()
    };
    let in_columns = [0, 1, 2, 3, 4].map(in_column);
    let counts = COLUMNS.iter().zip(&in_columns).map(|(name, keys)| ((*name).to_owned(), keys.len() as u64)).collect();
    let rows = Rows {
        from: old.len() as u64,
        to: new.len() as u64,
        added: added.len() as u64,
        removed: removed.len() as u64,
        changed: changed.len() as u64,
        unchanged: (both.len() - changed.len()) as u64,
    };
    let first = |keys: Vec<RowKey>, limit| keys.into_iter().take(limit).collect();
    let in_columns = in_columns.map(|keys| first(keys, 2));
    Expected { rows, counts, alone: [first(added, 3), first(removed, 3)], in_columns }
}

fn row_key(key: &Key) -> RowKey {
    let text = |at: usize| key.0[at].1.clone().unwrap_or_else(|| NULL.to_owned());
    assert_eq!([&key.0[0].0, &key.0[1].0], ["id", "part"]);
    (text(0).parse().unwrap(), text(1))
}

fn holds(from: &Table, to: &Table, digest_bytes: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let compared = runtime.block_on(compared(from, to, digest_bytes, ""));
    let difference = compared.difference.unwrap();
    let Expected { rows, counts, alone: [added, removed], in_columns } = expected(from, to);
    assert_eq!(difference.rows, rows);
    let told: Vec<(String, u64)> =
        difference.columns.iter().map(|column| (column.name.clone(), column.changed)).collect();
    assert_eq!(told, counts);
    assert_eq!(difference.added.iter().map(row_key).collect::<Vec<_>>(), added);
    assert_eq!(difference.removed.iter().map(row_key).collect::<Vec<_>>(), removed);
    for (column, expected) in difference.columns.iter().zip(in_columns) {
        assert_eq!(column.examples.iter().map(|example| row_key(&example.key)).collect::<Vec<_>>(), expected);
    }
    if rows.changed > 0 {
        assert_eq!(compared.merged, difference.columns);
    }
    assert_eq!(compared.heard, rows.from + rows.to);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_comparison_is_that_of_maps((from, to) in tables()) {
        holds(&from, &to, 1 << 20);
    }

    #[test]
    fn what_does_not_fit_into_memory_is_compared_alike((from, to) in tables()) {
        holds(&from, &to, 1);
    }
}

/// Rows of few keys, some of which come again.
fn damaged_table() -> impl Strategy<Value = Table> {
    let key = (0i64..12, "[xy]");
    let texts = prop::collection::vec((key, "[ab]"), 0..12);
    texts.prop_map(|rows| rows.into_iter().map(|((id, part), text)| ((id, part), row(0, &text).1)).collect())
}

fn has_repeated(table: &Table) -> bool {
    table.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len() < table.len()
}

/// What both sides came to when they were read in step.
async fn found_in_step(from: &Table, to: &Table, digest_bytes: u64) -> Option<Found> {
    let found = async |comparison: &Comparison<'_>| found(comparison, Way::InStep).await.unwrap();
    with_tables(from, to, digest_bytes, "", Arc::new(|_| ()), found).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn in_step_a_key_that_comes_twice_is_noticed_wherever_it_comes(
        from in damaged_table(), to in damaged_table(), again in any::<bool>(), little in any::<bool>()
    ) {
        let to = if again { from.clone() } else { to };
        let noticed = at_once(found_in_step(&from, &to, if little { 1 } else { 1 << 20 })).is_none();
        assert_eq!(noticed, has_repeated(&from) || has_repeated(&to));
    }
}

#[test]
fn rows_of_a_similar_order_need_no_second_reading() {
    let from: Table = (0..60).filter(|id| id % 17 != 3).map(|id| row(id, "a")).collect();
    let to = (0..60).filter(|id| id % 19 != 4).map(|id| row(id, if id % 5 == 0 { "b" } else { "a" })).collect();
    let found = at_once(found_in_step(&from, &to, 1 << 20)).unwrap();
    let read_again = [&found.marks.from.changed, &found.marks.to.changed].map(|sets| matching::count(sets));
    assert_eq!((read_again, found.marks.unchanged), ([0, 0], 0), "all that could meet has met in step");
    let parked = found.parked.map(|parked| parked.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>() as u64);
    assert!(parked[0] >= matching::count(&found.marks.from.alone));
    assert!(parked[1] >= matching::count(&found.marks.to.alone));
    assert_eq!(found.tally.rows(), expected(&from, &to).rows.changed);
}

fn row(id: i64, text: &str) -> (RowKey, Values) {
    let values = Values { text: Some(text.to_owned()), real: None, amount: None, list: None, nested: None };
    ((id, "x".to_owned()), values)
}

fn at_once<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn a_key_that_comes_twice_is_told_and_not_counted() {
    let damaged: Table = vec![row(1, "a"), row(2, "a"), row(2, "a"), row(3, "b"), row(3, "c")];
    let others = [(&damaged, vec![row(1, "a")], "from"), (&vec![row(2, "a")], damaged.clone(), "to")];
    // Where both sides are damaged alike, all rows meet in step.
    for (from, to, side) in others.into_iter().chain([(&damaged, damaged.clone(), "from")]) {
        let error: Error = at_once(compared(from, &to, 1 << 20, "")).difference.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InputBroken);
        assert_eq!(error.message(), format!("4 rows of {side} share their key with others"));
        assert_eq!(error.context(), [("keys", "id=2, part=x; id=3, part=x".to_owned())]);
    }
}

#[test]
fn what_names_a_person_is_withheld_in_keys_and_in_values() {
    let (from, to) = (vec![row(1, "secret")], vec![row(1, "changed"), row(2, "a")]);
    let values = at_once(compared(&from, &to, 1 << 20, "text")).difference.unwrap();
    let example = &values.columns[0].examples[0];
    assert_eq!([&example.before, &example.after], [&Some(WITHHELD.to_owned()); 2]);
    assert_eq!(example.key.to_string(), "id=1, part=x");
    let keys = at_once(compared(&from, &to, 1 << 20, "id")).difference.unwrap();
    assert_eq!(keys.added[0].to_string(), format!("id={WITHHELD}, part=x"));
    assert_eq!(keys.columns[0].examples[0].key.to_string(), format!("id={WITHHELD}, part=x"));
    assert_eq!(keys.columns[0].examples[0].before.as_deref(), Some("secret"));
}

/// The ids of the rows that differ, on each side.
async fn differing_ids(comparison: &Comparison<'_>, sides: [&Table; 2], each: [usize; 2]) -> [Vec<i64>; 2] {
    let Differing { from, to, .. } = differing(comparison).await.unwrap();
    let ids = |(sets, (rows, each)): (Vec<RowSet>, (&Table, usize))| {
        let place = |at: usize| (at / each, (at % each) as u64);
        let is_in = |at: &usize| sets[place(*at).0].contains(place(*at).1);
        (0..rows.len()).filter(is_in).map(|at| rows[at].0.0).collect()
    };
    let mut sides = [from, to].into_iter().zip(sides.into_iter().zip(each)).map(ids);
    [sides.next().unwrap(), sides.next().unwrap()]
}

#[test]
fn rows_that_differ_are_told_by_their_places_and_no_key_that_comes_twice_gets_lost() {
    let from = vec![row(1, "a"), row(2, "b"), row(3, "c"), row(3, "c"), row(4, "d"), row(5, "e")];
    let to = vec![row(1, "a"), row(2, "x"), row(3, "c"), row(4, "d"), row(4, "d"), row(6, "f")];
    let found = at_once(with_tables(&from, &to, 1 << 20, "", Arc::new(|_| ()), async |comparison| {
        differing_ids(comparison, [&from, &to], [7, 11]).await
    }));
    assert_eq!(found, [vec![2, 3, 3, 4, 5], vec![2, 3, 4, 4, 6]]);
}

#[test]
fn rows_that_do_not_count_meet_nothing() {
    let (from, to) = (vec![row(1, "a"), row(2, "b")], vec![row(1, "a"), row(1, "z"), row(2, "b"), row(3, "c")]);
    let found = at_once(with_tables(&from, &to, 1 << 20, "", Arc::new(|_| ()), async |comparison| {
        let mut counts = RowSet::all(4);
        for row in [1, 3] {
            let mut one = RowSet::none(4);
            one.insert(row);
            counts = counts.without(&one);
        }
        let counted = Source { only: Some(Arc::new(vec![counts])), ..comparison.to.clone() };
        let comparison = Comparison {
            engine: comparison.engine,
            folder: comparison.folder,
            from: comparison.from,
            to: &counted,
            key: comparison.key,
            columns: comparison.columns,
            limits: comparison.limits,
            digest_bytes: comparison.digest_bytes,
            progress: Arc::clone(&comparison.progress),
        };
        differing_ids(&comparison, [&from, &to], [7, 11]).await
    }));
    assert_eq!(found, [const { Vec::<i64>::new() }; 2]);
}

#[test]
fn rows_of_shared_files_are_counted_as_unchanged() {
    let rows = at_once(async {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open_local(folder.path()).unwrap();
        let mut from = source(&storage, "from", &vec![row(1, "a")], 1).await;
        let mut to = source(&storage, "to", &vec![row(1, "a"), row(2, "b")], 9).await;
        (from.shared_rows, to.shared_rows) = (5, 5);
        let options =
            EngineOptions { memory_bytes: 64 << 20, threads: 1, spill_folder: folder.path().to_owned(), key: None };
        let engine = Engine::new(options).unwrap();
        engine.register(&storage);
        let comparison = Comparison {
            engine: &engine,
            folder: folder.path(),
            from: &from,
            to: &to,
            key: &named(&["id", "part"], ""),
            columns: &named(&COLUMNS, ""),
            limits: Limits { keys: 0, values: 0 },
            digest_bytes: 1 << 20,
            progress: Arc::new(|_| ()),
        };
        compare(&comparison).await.unwrap().rows
    });
    assert_eq!(rows, Rows { from: 6, to: 7, added: 1, removed: 0, changed: 0, unchanged: 6 });
    assert!(rows.differ());
}
