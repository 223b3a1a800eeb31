//! The bucketed layout on the whole way: delivered by the source, or made of plain files; proved, kept, reused and removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::people::{Person, batch, person, project};
use crate::support::{DAY, DAY_BEFORE, Sandbox, parquet};

const CONTRACT: &str = "jobs/snapshots/person.toml";
const PROMISE: &str = "bucket = { by = \"person_id\", count = 4 }\n";

const IDS: [&str; 12] = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "jan", "kim", "åse"];

/// Twelve people, one of them three times, and one row without a person.
fn crowd() -> Vec<Person> {
    let mut people: Vec<Person> = IDS.into_iter().map(person).collect();
    people.extend([2, 3].map(|seq| Person { seq, visits: Some(seq), ..person("eve") }));
    people.push(Person { id: None, ..person("nobody") });
    people
}

/// A project whose contract promises four buckets.
fn promising() -> Sandbox {
    let sandbox = project();
    let contract = sandbox.read(CONTRACT);
    sandbox.write(CONTRACT, format!("{PROMISE}{contract}"));
    sandbox
}

fn published(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT * FROM shop.people ORDER BY person_id")
}

/// What the day gives where nothing is promised.
fn expected() -> Vec<String> {
    let sandbox = project();
    sandbox.put_rows("person", DAY, &batch(&crowd()));
    sandbox.run(DAY).exits(0);
    published(&sandbox)
}

/// Every file that is kept of laid out days.
fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![sandbox.path("lake/layouts")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found.sort();
    found
}

fn kept_buckets(sandbox: &Sandbox) -> Vec<PathBuf> {
    kept(sandbox).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).collect()
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// A day whose source delivers buckets: those that the program itself makes of plain files.
fn delivered() -> (Sandbox, Vec<(String, RecordBatch)>) {
    let sandbox = promising();
    sandbox.put_rows("person", DAY, &batch(&IDS.map(person)));
    sandbox.gatefold(["bucket", "--date", DAY]).exits(0);
    let buckets: Vec<(String, RecordBatch)> =
        kept_buckets(&sandbox).iter().map(|path| (name_of(path).to_owned(), read(path))).collect();
    assert_eq!(buckets.len(), 4);
    sandbox.remove("lake/layouts");
    deliver(&sandbox, &buckets);
    (sandbox, buckets)
}

fn deliver(sandbox: &Sandbox, buckets: &[(String, RecordBatch)]) {
    let files: Vec<(&str, Vec<u8>)> = buckets.iter().map(|(name, rows)| (name.as_str(), parquet(rows))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    sandbox.put_day("person", DAY, &files);
}

#[test]
fn a_run_lays_out_plain_files_once_and_later_runs_read_them() {
    let sandbox = promising();
    sandbox.put_rows("person", DAY, &batch(&crowd()));
    sandbox.run(DAY).exits(0);
    assert_eq!(published(&sandbox), expected());
    // A rejected row is told by its place in the source's file.
    let rejected = sandbox.rows("SELECT rule, file, file_row FROM ops.rejected_row");
    assert_eq!(rejected, ["null_key,part-00000.parquet,15"]);

    let before = kept(&sandbox);
    assert_eq!(kept_buckets(&sandbox).len(), 4);
    let rows: usize = kept_buckets(&sandbox).iter().map(|path| read(path).num_rows()).sum();
    assert_eq!(rows, IDS.len(), "what was set aside is not in the buckets");
    sandbox.gatefold(["run", "--date", DAY, "--force"]).exits(0);
    assert_eq!(published(&sandbox), expected());
    assert_eq!(kept(&sandbox), before, "the layout is not made twice");
    sandbox.gatefold(["bucket", "--date", DAY]).exits(0).prints(["kept"]);

    // The source delivers the day again: the layout is made anew, and the old one goes.
    sandbox.put_rows("person", DAY, &batch(&[person("zoe")]));
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT person_id FROM shop.people"), ["zoe"]);
    assert_eq!(kept_buckets(&sandbox).len(), 4);
    assert!(kept(&sandbox).iter().all(|path| !before.contains(path)));
}

#[test]
fn text_files_are_laid_out_too() {
    let sandbox = promising();
    sandbox.edit(CONTRACT, "\"parquet\"", "\"csv\"");
    let csv = "person_id,city,plan,visits,born,seen_at,balance,active,source_seq\n\
               bob,Oslo,free,3,1990-01-01,2023-11-14T22:13:20Z,1.25,true,1\n\
               ada,Oslo,free,3,1990-01-01,2023-11-14T22:13:20Z,1.25,true,1\n\
               cyd,Oslo,gold,3,1990-01-01,2023-11-14T22:13:20Z,1.25,true,1\n";
    sandbox.put_day("person", DAY, &[("people.csv", csv.as_bytes())]);
    let made = sandbox.gatefold(["bucket", "person", "--date", DAY, "--format", "json"]).exits(0).json();
    assert_eq!((&made[0]["state"], &made[0]["rows"], &made[0]["rejected"]), (&"made".into(), &2.into(), &1.into()));
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT person_id FROM shop.people ORDER BY 1"), ["ada", "bob"]);
    assert_eq!(sandbox.rows("SELECT file, file_row FROM ops.rejected_row"), ["people.csv,3"]);
}

#[test]
fn delivered_buckets_give_the_rows_of_plain_files_and_nothing_is_kept() {
    let (sandbox, buckets) = delivered();
    sandbox.gatefold(["bucket", "--date", DAY]).exits(0).prints(["delivered"]);
    sandbox.run(DAY).exits(0);
    let plain = project();
    plain.put_rows("person", DAY, &batch(&IDS.map(person)));
    plain.run(DAY).exits(0);
    assert_eq!(published(&sandbox), published(&plain));
    assert!(kept(&sandbox).is_empty());

    // A key that occurs twice stands beside itself, and rule R1 picks the latest.
    let mut twice = buckets.clone();
    let first = twice.iter_mut().find(|(_, rows)| rows.num_rows() > 0).unwrap();
    let doubled = [first.1.slice(0, 1), first.1.clone()];
    first.1 = concat_batches(&doubled[0].schema(), &doubled).unwrap();
    deliver(&sandbox, &twice);
    sandbox.gatefold(["run", "--date", DAY, "--force"]).exits(0);
    assert_eq!(published(&sandbox), published(&plain));
    let told = sandbox.gatefold(["bucket", "--date", DAY, "--format", "json"]).exits(0).json();
    assert_eq!(told[0]["rows"], IDS.len());
}

#[test]
fn a_false_promise_stops_the_run_and_the_place_is_named() {
    let (sandbox, buckets) = delivered();
    sandbox.run(DAY).exits(0);
    let full = buckets.iter().position(|(_, rows)| rows.num_rows() > 1).unwrap();
    let other = (full + 1) % buckets.len();
    type Spoil = dyn Fn(&mut Vec<(String, RecordBatch)>);
    let cases: [(&Spoil, &[&str]); 5] = [
        (&|buckets| drop(buckets.remove(2)), &["does not consist of the 4 buckets", "bucket-00002-of-00004.parquet"]),
        (&|buckets| buckets[1].0 = "part-00000.parquet".into(), &["no bucket", "part-00000.parquet", "missing"]),
        (&|buckets| buckets[1].0 = "bucket-00001-of-00008.parquet".into(), &["of another count"]),
        (
            &move |buckets| {
                let rows = &buckets[full].1;
                let parts = [rows.slice(1, 1), rows.slice(0, 1), rows.slice(2, rows.num_rows() - 2)];
                buckets[full].1 = concat_batches(&rows.schema(), &parts).unwrap();
            },
            &["are not sorted by person_id", "row", "docs/layout.md"],
        ),
        (
            &move |buckets| {
                let (here, there) = (buckets[full].1.clone(), buckets[other].1.clone());
                buckets[full].1 = here.slice(1, here.num_rows() - 1);
                buckets[other].1 = concat_batches(&here.schema(), &[here.slice(0, 1), there]).unwrap();
            },
            &["lies in the wrong bucket", "row"],
        ),
    ];
    for (spoil, said) in cases {
        let mut spoilt = buckets.clone();
        spoil(&mut spoilt);
        deliver(&sandbox, &spoilt);
        sandbox.lake_stays(|| {
            sandbox.run(DAY).exits(11).says(said.iter().copied());
            sandbox.gatefold(["bucket", "--date", DAY]).exits(11).says(said.iter().copied());
        });
    }
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let sandbox = promising();
    sandbox.put_rows("person", DAY, &batch(&crowd()));
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = sandbox.command(["bucket", "--date", DAY]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    sandbox.run(DAY).exits(0);
    assert_eq!(published(&sandbox), expected());
    sandbox.gatefold(["bucket", "--clean"]).exits(0);
    assert_eq!(kept_buckets(&sandbox).len(), 4, "one layout is left");
}

#[test]
fn what_is_half_written_or_damaged_is_made_again() {
    let sandbox = promising();
    sandbox.put_rows("person", DAY, &batch(&crowd()));
    sandbox.gatefold(["bucket", "--date", DAY]).exits(0).prints(["made"]);
    let bucket = kept_buckets(&sandbox).remove(0);
    let layout = bucket.parent().unwrap().parent().unwrap().to_owned();

    // A writer that died: its process is gone.
    let dead = layout.join("0123456789abcdef");
    fs::create_dir(&dead).unwrap();
    let owner = fs::read_to_string(bucket.with_file_name("_owner.json")).unwrap();
    fs::write(dead.join("_owner.json"), owner).unwrap();
    fs::copy(&bucket, dead.join("bucket-00000-of-00004.parquet")).unwrap();
    fs::write(dead.join("bucket-00001-of-00004.parquet#1"), "half").unwrap();
    sandbox.gatefold(["bucket", "--clean"]).exits(0).prints(["left half written"]);
    assert!(!dead.exists() && bucket.exists());

    fs::write(&bucket, "cut").unwrap();
    sandbox.run(DAY).exits(0);
    assert_eq!(published(&sandbox), expected());
    assert!(!bucket.exists(), "what was damaged is removed");
}

#[test]
fn layouts_go_with_the_day_they_were_made_of() {
    let sandbox = promising();
    for date in [DAY_BEFORE, DAY] {
        sandbox.put_rows("person", date, &batch(&crowd()));
    }
    let made = sandbox.gatefold(["bucket", "--from", DAY_BEFORE, "--to", DAY]);
    made.exits(0).prints([DAY_BEFORE, DAY]);
    assert_eq!(kept_buckets(&sandbox).len(), 8);
    sandbox.gatefold(["bucket", "--clean"]).exits(0).prints(["every kept layout"]);
    let gone = sandbox.day("person", DAY_BEFORE);
    sandbox.remove(&gone);
    sandbox.gatefold(["bucket", "--clean"]).exits(0).prints([DAY_BEFORE, "the source's day is gone"]);
    assert_eq!(kept_buckets(&sandbox).len(), 4);
    sandbox.edit(CONTRACT, PROMISE, "");
    sandbox.gatefold(["bucket", "--clean"]).exits(0).prints(["no contract promises a layout"]);
    assert!(!sandbox.path("lake/layouts/person").exists(), "no folder is left");
    sandbox.gatefold(["bucket", "--date", DAY]).exits(2).says(["no contract promises a layout", "bucket = {"]);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_read() {
    let sandbox = promising();
    sandbox.gatefold(["bucket", "--date", DAY]).exits(10).says(["has no data for"]);
    sandbox.gatefold(["bucket", "persn"]).exits(2).says(["there is no snapshot 'persn'", "did you mean 'person'?"]);
    sandbox.edit(CONTRACT, "count = 4", "count = 0");
    sandbox.gatefold(["check"]).exits(2).says(["a day cannot have 0 buckets", "person.toml:1:", "from 1 to 10000"]);
}

/// The kept layout lies in the lake: when that takes nothing, the run may be tried again, and nothing is half there.
#[test]
fn a_lake_that_takes_no_layout_is_named() {
    let sandbox = promising();
    sandbox.put_rows("person", DAY, &batch(&crowd()));
    sandbox.write("lake/layouts", "in the way");
    sandbox.gatefold(["bucket", "--date", DAY]).exits(13).says(["layouts"]);
    sandbox.remove("lake/layouts");
    sandbox.run(DAY).exits(0);
}

#[test]
fn a_sample_in_buckets_gives_the_tables_of_a_plain_one() {
    let tables = |buckets: &str, promised: bool| {
        let sandbox = Sandbox::new();
        for (snapshot, sorted) in
            [("account", ""), ("subscription", "sorted = [\"account_id\", \"subscription_id\"]\n")]
        {
            let path = format!("jobs/snapshots/{snapshot}.toml");
            let lines: Vec<String> = sandbox.read(&path).lines().map(str::to_owned).collect();
            let is_layout = |line: &String| line.starts_with("bucket ") || line.starts_with("sorted ");
            let plain: String = lines.iter().filter(|line| !is_layout(line)).map(|line| format!("{line}\n")).collect();
            let promise = format!("bucket = {{ by = \"account_id\", count = 8 }}\n{sorted}");
            sandbox.write(&path, if promised { promise + &plain } else { plain });
        }
        let mut arguments = vec!["generate", "--accounts", "400", "--days", "1", "--until", DAY];
        arguments.extend(if buckets.is_empty() { vec![] } else { vec!["--buckets", buckets] });
        sandbox.gatefold(arguments).exits(0);
        sandbox.run(DAY).exits(0);
        let users = sandbox.rows("SELECT * FROM users.user_daily ORDER BY user_pid");
        let rejected = sandbox.rows("SELECT snapshot, rule, key, row_hash FROM ops.rejected_row ORDER BY 1, 2, 3, 4");
        (users, rejected, kept_buckets(&sandbox).len())
    };
    let (users, rejected, _) = tables("0", false);
    assert!(users.len() > 300 && !rejected.is_empty());
    // By the promise of the contracts, by the flag, and plain files that the run lays out.
    assert_eq!(tables("", true), (users.clone(), rejected.clone(), 0));
    assert_eq!(tables("8", true), (users.clone(), rejected.clone(), 0));
    assert_eq!(tables("0", true), (users, rejected, 16));
}
