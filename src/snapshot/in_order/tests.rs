//! Buckets as they should be pass, and every single thing that is not as it should be is found, at its row.

use std::collections::BTreeMap;

use arrow::array::{DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::{Field, Int32Type};
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;
use crate::contract::Format;
use crate::snapshot::drift::tests::contract;
use crate::snapshot::read_footer;

type Row = (Option<String>, i64);

const COUNT: u32 = 3;
const PLENTY: Limits = Limits { threads: 2, repeated: 1_000 };

fn contract_of(key: &[&str]) -> SnapshotContract {
    let mut contract = contract(Format::Parquet, &[("id", ColumnType::String), ("n", ColumnType::Int64)]);
    contract.columns[0].source = "ID".to_owned();
    contract.key = key.iter().map(|name| (*name).to_owned()).collect();
    contract.layout = Some(Layout { by: "id".into(), count: COUNT, sorted: vec!["id".into(), "n".into()] });
    contract
}

fn layout() -> Layout {
    contract_of(&[]).layout.unwrap()
}

/// The rows as a source should write them.
fn buckets(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut buckets = vec![Vec::new(); COUNT as usize];
    for row in rows {
        let bucket = row.0.as_deref().map_or(Layout::BUCKET_OF_NULL, |id| layout().bucket_of(id));
        buckets[bucket as usize].push(row);
    }
    buckets.iter_mut().for_each(|rows| rows.sort());
    buckets
}

/// How a file encodes its columns.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    Dictionary,
}

fn batch(rows: &[Row], encoding: Encoding) -> RecordBatch {
    let ids: StringArray = rows.iter().map(|(id, _)| id.as_deref()).collect();
    let numbers = rows.iter().map(|(_, n)| *n);
    let (ids, numbers): (ArrayRef, ArrayRef) = match encoding {
        Encoding::Plain => (Arc::new(ids), Arc::new(Int64Array::from_iter_values(numbers))),
        Encoding::Dictionary => {
            let ids: DictionaryArray<Int32Type> = ids.iter().collect();
            (Arc::new(ids), Arc::new(Int32Array::from_iter_values(numbers.map(|n| n as i32))))
        }
    };
    // In another order than the contract's, with a column that it does not know.
    let fields = vec![
        Field::new("n", numbers.data_type().clone(), false),
        Field::new("other", numbers.data_type().clone(), false),
        Field::new("ID", ids.data_type().clone(), true),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::clone(&numbers), numbers, ids]).unwrap()
}

async fn judged_as(
    key: &[&str],
    buckets: &[Vec<Row>],
    encoding: Encoding,
    limits: Limits,
) -> Result<Option<Vec<Place>>> {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::create_local(folder.path()).unwrap();
    let mut opened = Vec::new();
    for (bucket, rows) in buckets.iter().enumerate() {
        let path = Path::from(layout().file_name(bucket as u32));
        let batch = batch(rows, encoding);
        // Row groups of a few rows, so that neighbours stand in different ones.
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(3)).build();
        let file = std::fs::File::create(folder.path().join(path.as_ref())).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let meta = storage.head(&path).await.unwrap();
        let footer = Arc::clone(read_footer(&storage, &meta).await.unwrap().metadata());
        opened.push(OpenedFile { meta, footer, name: path.to_string(), bad: Vec::new(), ignored: Vec::new() });
    }
    let mut places = prove(&contract_of(key), &layout(), &opened, &storage, limits).await?;
    places.iter_mut().for_each(|places| places.sort_unstable());
    Ok(places)
}

fn judged(key: &[&str], buckets: &[Vec<Row>]) -> Result<Option<Vec<Place>>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(judged_as(key, buckets, Encoding::Plain, PLENTY))
}

fn row(id: &str, n: i64) -> Row {
    (Some(id.to_owned()), n)
}

/// The places of the rows whose first columns another row of the bucket has too.
fn repeated<K: Ord>(buckets: &[Vec<Row>], key: impl Fn(&Row) -> K) -> Vec<Place> {
    let mut places: BTreeMap<K, Vec<Place>> = BTreeMap::new();
    for (bucket, rows) in buckets.iter().enumerate() {
        rows.iter().enumerate().for_each(|(place, row)| {
            places.entry(key(row)).or_default().push((bucket as u32, place as u64));
        });
    }
    let mut places: Vec<Place> = places.into_values().filter(|places| places.len() > 1).flatten().collect();
    places.sort_unstable();
    places
}

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((prop::option::weighted(0.9, "[ab\u{e9}\u{10348}]{0,3}|.{0,40}"), -2..3_i64), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn buckets_in_order_pass_and_repeated_keys_are_found(rows in any_rows()) {
        let buckets = buckets(rows);
        prop_assert_eq!(judged(&["id"], &buckets).unwrap(), Some(repeated(&buckets, |row| row.0.clone())));
        prop_assert_eq!(judged(&["n", "id"], &buckets).unwrap(), Some(repeated(&buckets, Clone::clone)));
        prop_assert_eq!(judged(&["n"], &buckets).unwrap(), None);
        prop_assert_eq!(judged(&[], &buckets).unwrap(), None);
    }

    #[test]
    fn two_rows_that_are_swapped_are_found(rows in any_rows(), pick in any::<prop::sample::Index>()) {
        let mut buckets = buckets(rows);
        let differing: Vec<(usize, usize)> = buckets.iter().enumerate()
            .flat_map(|(bucket, rows)| (1..rows.len()).map(move |row| (bucket, row)))
            .filter(|(bucket, row)| buckets[*bucket][row - 1] != buckets[*bucket][*row])
            .collect();
        prop_assume!(!differing.is_empty());
        let (bucket, row) = differing[pick.index(differing.len())];
        buckets[bucket].swap(row - 1, row);
        let error = judged(&["id"], &buckets).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::InputBroken);
        prop_assert!(error.to_string().contains("are not sorted by id, n"), "{error}");
    }

    #[test]
    fn a_row_in_another_file_is_found(rows in any_rows(), pick in any::<prop::sample::Index>(), step in 1..COUNT) {
        let mut buckets = buckets(rows);
        let full: Vec<usize> = (0..buckets.len()).filter(|bucket| !buckets[*bucket].is_empty()).collect();
        let from = full[pick.index(full.len())];
        let moved = buckets[from].remove(0);
        let to = (from + step as usize) % buckets.len();
        buckets[to].push(moved);
        buckets[to].sort();
        let error = judged(&["id"], &buckets).unwrap_err();
        let expected = format!("it belongs into {}", layout().file_name(from as u32));
        prop_assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[tokio::test]
async fn the_file_and_the_row_are_named_and_the_value_is_not() {
    let id = |bucket: u32| (0..).map(|n| format!("secret-{n}")).find(|id| layout().bucket_of(id) == bucket).unwrap();
    let (first, second) = (id(1), id(2));
    let misplaced = [vec![], vec![row(&first, 1), row(&second, 1)], vec![]];
    let error = judged_as(&[], &misplaced, Encoding::Plain, PLENTY).await.unwrap_err().to_string();
    assert!(error.contains("lies in the wrong bucket: it belongs into bucket-00002-of-00003.parquet"), "{error}");
    assert!(error.contains("file: bucket-00001-of-00003.parquet; row: 2;"), "{error}");
    let unsorted = [vec![], vec![row(&first, 1), row(&first, 2), row(&first, 4), row(&first, 3)], vec![]];
    let told = judged_as(&[], &unsorted, Encoding::Plain, PLENTY).await.unwrap_err().to_string();
    assert!(told.contains("row: 4;"), "{told}");
    assert!(!error.contains("secret") && !told.contains("secret"), "{error}\n{told}");
}

#[tokio::test]
async fn a_dictionary_of_small_numbers_is_read_as_well() {
    let mut buckets = buckets((0..50).map(|n| row(&format!("a{}", n % 20), n)).collect());
    let places = judged_as(&["id"], &buckets, Encoding::Dictionary, PLENTY).await.unwrap().unwrap();
    assert_eq!(places, repeated(&buckets, |row| row.0.clone()));
    buckets.iter_mut().for_each(|rows| rows.reverse());
    judged_as(&["id"], &buckets, Encoding::Dictionary, PLENTY).await.unwrap_err();
}

#[tokio::test]
async fn more_repeated_keys_than_memory_has_room_for_are_refused() {
    let same = buckets((0..50).map(|_| row("a", 1)).collect());
    let few = Limits { repeated: 10, ..PLENTY };
    let error = judged_as(&["id"], &same, Encoding::Plain, few).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    judged_as(&["n"], &same, Encoding::Plain, few).await.unwrap();
}
