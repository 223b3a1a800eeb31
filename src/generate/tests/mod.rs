//! What a sample promises, seen from its files.

mod catalog;
mod coherence;
mod lives;
mod planted;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::path::Path;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;

/// A row as text, by column.
type Row = BTreeMap<String, Option<String>>;

fn options(accounts: u64, days: u32, until: &str) -> Options {
    Options { accounts, days, until: until.parse().unwrap(), seed: 7, max_threads: 2 }
}

fn made(options: &Options) -> (TempDir, Summary) {
    let root = tempfile::tempdir().unwrap();
    let summary = generate_parts(options, root.path(), &|_| {}, 1_000).unwrap();
    (root, summary)
}

fn day_files(root: &Path, name: &str, date: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = day_folder(root, name, date.parse().unwrap());
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn all_files(root: &Path, date: &str) -> BTreeMap<String, Vec<u8>> {
    let named = |name: &str| {
        let name = name.to_owned();
        day_files(root, &name, date).into_iter().map(move |(file, bytes)| (format!("{name}/{file}"), bytes))
    };
    SNAPSHOTS.iter().flat_map(|name| named(name)).collect()
}

fn rows(root: &Path, name: &str, date: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let folder = day_folder(root, name, date.parse().unwrap());
    for file in day_files(root, name, date).keys().filter(|file| file.ends_with(".parquet")) {
        let file = File::open(folder.join(file)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let format = FormatOptions::default();
            let schema = batch.schema();
            let columns: Vec<_> = schema.fields().iter().map(|field| field.name()).zip(batch.columns()).collect();
            rows.extend((0..batch.num_rows()).map(|row| {
                let text = |(name, column): &(&String, &arrow::array::ArrayRef)| {
                    let text = ArrayFormatter::try_new(column.as_ref(), &format).unwrap().value(row).to_string();
                    ((*name).clone(), column.is_valid(row).then_some(text))
                };
                columns.iter().map(text).collect::<Row>()
            }));
        }
    }
    rows
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row[column].as_deref().unwrap_or("null")
}

fn values<'a>(rows: &'a [Row], column: &str) -> BTreeSet<&'a str> {
    rows.iter().map(|row| text(row, column)).collect()
}

fn by_key<'a>(rows: &'a [Row], key: &str) -> HashMap<&'a str, Vec<&'a Row>> {
    let mut groups: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in rows.iter().filter(|row| row[key].is_some()) {
        groups.entry(text(row, key)).or_default().push(row);
    }
    groups
}

const DAY_SHOWN: &str = "2026-11-20";

#[test]
fn threads_do_not_change_a_byte() {
    let one = Options { max_threads: 1, ..options(2_500, 2, DAY_SHOWN) };
    let three = Options { max_threads: 3, ..one.clone() };
    let ((one, first), (three, second)) = (made(&one), made(&three));
    assert_eq!(first, second);
    for date in ["2026-11-19", DAY_SHOWN] {
        let files = all_files(one.path(), date);
        assert_eq!(files.keys().filter(|name| name.starts_with("account/part-")).count(), 3);
        assert_eq!(files.keys().filter(|name| name.ends_with("/_SUCCESS")).count(), SNAPSHOTS.len());
        assert!(files == all_files(three.path(), date), "{date}");
    }
    assert!(all_files(one.path(), "2026-11-19") != all_files(one.path(), DAY_SHOWN));
}

#[test]
fn a_day_made_alone_is_the_day_made_among_others() {
    let (range, _) = made(&options(1_500, 3, DAY_SHOWN));
    for date in ["2026-11-18", DAY_SHOWN] {
        let (alone, _) = made(&options(1_500, 1, date));
        assert!(all_files(range.path(), date) == all_files(alone.path(), date), "{date}");
    }
}

#[test]
fn another_seed_is_another_population() {
    let first = options(100, 1, DAY_SHOWN);
    let second = Options { seed: 8, ..first.clone() };
    assert_ne!(rows(made(&first).0.path(), "account", DAY_SHOWN), rows(made(&second).0.path(), "account", DAY_SHOWN));
}

#[test]
fn a_larger_sample_contains_a_smaller_one() {
    // 301 cuts a household, and with it a shared plan or its members, now and then.
    let ((small, _), (large, _)) = (made(&options(301, 1, DAY_SHOWN)), made(&options(400, 1, DAY_SHOWN)));
    for name in SNAPSHOTS {
        let large: HashSet<Row> = rows(large.path(), name, DAY_SHOWN).into_iter().collect();
        assert!(rows(small.path(), name, DAY_SHOWN).iter().all(|row| large.contains(row)), "{name}");
    }
}

#[test]
fn days_evolve() {
    let root = tempfile::tempdir().unwrap();
    let (oldest, early, late) = ("2024-06-20", "2025-09-22", "2025-11-20");
    for date in [oldest, early, late] {
        generate(&options(3_000, 1, date), root.path(), &|_| {}).unwrap();
    }
    let (before, after) = (rows(root.path(), "account", early), rows(root.path(), "account", late));
    let (before, after) = (by_key(&before, "account_id"), by_key(&after, "account_id"));
    let asked = rows(root.path(), "erasure_request", late);
    let asked = values(&asked, "account_id");
    let stays = |id: &str| after.contains_key(id) || asked.contains(id);
    assert!(before.len() < after.len() && before.keys().all(|id| stays(id)));
    let changed = |(id, rows): (&&str, &Vec<&Row>)| {
        after.get(id).is_some_and(|after| text(rows[0], "status") != text(after[0], "status"))
    };
    assert!(before.iter().any(changed));

    let (before, after) = (rows(root.path(), "subscription", early), rows(root.path(), "subscription", late));
    let (before, after) = (by_key(&before, "subscription_id"), by_key(&after, "subscription_id"));
    let both = before.iter().filter_map(|(id, rows)| Some((rows[0], after.get(id)?[0])));
    let moves: HashSet<_> = both.map(|(before, after)| (text(before, "state"), text(after, "state"))).collect();
    for wanted in [("active", "cancelled"), ("active", "expired"), ("active", "grace")] {
        assert!(moves.contains(&wanted), "{wanted:?}");
    }
    let erasures = |date| rows(root.path(), "erasure_request", date).into_iter().collect::<HashSet<_>>();
    assert!(erasures(oldest).is_subset(&erasures(late)) && erasures(oldest) != erasures(late));
}

#[test]
fn every_value_is_in_its_set() {
    let (root, _) = made(&options(6_000, 1, DAY_SHOWN));
    let found = |name: &str, column: &str| {
        let rows = rows(root.path(), name, DAY_SHOWN);
        values(&rows, column).into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(found("account", "status"), set(&["active", "closed", "closing", "disabled"]));
    let states = set(&["active", "cancelled", "expired", "grace", "on_hold", "paused", "pending"]);
    assert_eq!(found("subscription", "state"), states);
    assert_eq!(found("subscription", "category"), set(&["addon", "base"]));
    assert_eq!(found("subscription", "is_sandbox"), set(&["false", "true"]));
    assert_eq!(found("plan_member", "role"), set(&["manager", "member"]));
    assert_eq!(found("plan_phase", "tier"), set(&["free", "mid", "premium"]));
    assert_eq!(found("plan_phase", "tier_rank"), set(&["0", "10", "20"]));
    assert_eq!(found("plan_phase", "status"), set(&["active", "draft", "retired"]));
    assert_eq!(found("plan_phase", "phase_type"), set(&["discount", "evergreen", "fixed_term", "trial"]));
    assert_eq!(found("plan_phase", "length_unit"), set(&["day", "month", "null"]));
    assert_eq!(found("plan_phase", "billing_period"), set(&["month", "none", "week", "year"]));
    assert_eq!(found("subscription", "quantity"), set(&["1", "2", "3"]));
    assert_eq!(found("subscription", "price_cohort"), set(&["employee", "founders-2023", "null", "standard"]));
    assert_eq!(found("price", "cohort"), set(&["employee", "founders-2023", "standard"]));
    assert_eq!(found("product_feature", "value_type"), set(&["bool", "enum", "int", "metered"]));
    assert_eq!(found("product_feature", "reset"), set(&["billing", "calendar_month", "day", "none"]));
    assert_eq!(found("product_feature", "merge"), set(&["max", "or", "override", "sum"]));
    assert_eq!(found("product_feature", "role"), set(&["*", "manager", "member"]));
    assert_eq!(found("product_feature", "unlimited"), set(&["false", "true"]));
    assert_eq!(found("offer", "kind"), set(&["code", "intro", "upgrade", "winback"]));
    assert_eq!(found("offer", "discount_type"), set(&["fixed", "percent", "replace"]));
    assert_eq!(found("offer", "frequency"), set(&["forever", "once", "repeating"]));
    let kinds = set(&["grant", "offer_redemption", "override", "removal", "topup"]);
    assert_eq!(found("account_grant", "kind"), kinds);
    assert_eq!(
        found("feature_usage", "feature_id"),
        set(&["ai_requests", "audiobook_hours", "skips", "studio_sessions"])
    );
}

#[test]
fn the_summary_counts_what_is_in_the_files() {
    let (root, summary) = made(&options(4_000, 1, DAY_SHOWN));
    for snapshot in &summary.snapshots {
        let files = day_files(root.path(), snapshot.name, DAY_SHOWN);
        assert_eq!(snapshot.files, files.len() as u64 - 1, "{}", snapshot.name);
        assert_eq!(snapshot.bytes, files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
        assert_eq!(snapshot.rows, rows(root.path(), snapshot.name, DAY_SHOWN).len() as u64);
    }
}

#[test]
fn shares_are_what_they_should_be() {
    let options = options(8_000, 1, DAY_SHOWN);
    let (root, summary) = made(&options);
    let subscriptions = rows(root.path(), "subscription", DAY_SHOWN);
    let owners = values(&subscriptions, "account_id").len() as f64 / 8_000.0;
    assert!((0.55..0.65).contains(&owners), "{owners} of the accounts have a subscription");
    let each = subscriptions.len() as f64 / 8_000.0;
    assert!((1.0..1.2).contains(&each), "{each} subscriptions an account");
    let rows_of = |name| summary.snapshots.iter().find(|snapshot| snapshot.name == name).unwrap().rows as f64;
    let grants = rows_of("account_grant") / 8_000.0;
    assert!((0.2..0.5).contains(&grants), "{grants} grants an account");
    let usage = rows_of("feature_usage") / 8_000.0;
    assert!((4.0..8.0).contains(&usage), "{usage} rows of usage an account");
    let total = summary.snapshots.iter().map(|snapshot| snapshot.rows).sum::<u64>() as f64;
    let hint = total_rows_hint(&options) as f64;
    assert!((total / hint - 1.0).abs() < 0.05, "{total} rows, {hint} said");
    let accounts = rows(root.path(), "account", DAY_SHOWN);
    let countries = values(&accounts, "country");
    assert!(countries.len() > 150 && countries.contains("NO") && countries.contains("NA"));
    let emails = values(&accounts, "email");
    let any = |wanted: &dyn Fn(&str) -> bool| emails.iter().any(|email| wanted(email));
    assert!(any(&|e| !e.is_ascii()) && any(&|e| e.contains('"')) && any(&|e| e.contains('\n')));
    assert!(values(&accounts, "birth_date").iter().any(|day| day.ends_with("-02-29")));
}

#[test]
fn a_day_is_replaced_as_a_whole() {
    let root = tempfile::tempdir().unwrap();
    let make = |accounts| generate_parts(&options(accounts, 1, DAY_SHOWN), root.path(), &|_| {}, 1_000).unwrap();
    make(2_500);
    make(500);
    let files = day_files(root.path(), "account", DAY_SHOWN);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["_SUCCESS", "part-00000.parquet"]);
}

#[test]
fn progress_reaches_the_number_of_rows() {
    let root = tempfile::tempdir().unwrap();
    let most = AtomicU64::new(0);
    let progress = |rows| {
        most.fetch_max(rows, Ordering::Relaxed);
    };
    let summary = generate(&options(9_000, 2, DAY_SHOWN), root.path(), &progress).unwrap();
    assert_eq!(most.into_inner(), summary.snapshots.iter().map(|snapshot| snapshot.rows).sum::<u64>());
}

#[test]
fn days_are_made_in_order() {
    let days = days(&options(10, 3, "2024-03-01")).unwrap();
    assert_eq!(
        days.iter().map(SnapshotDate::to_string).collect::<Vec<_>>(),
        ["2024-02-28", "2024-02-29", "2024-03-01"]
    );
}

#[test]
fn options_out_of_range_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let good = options(10, 1, "2023-01-01");
    generate(&good, root.path(), &|_| {}).unwrap();
    let bad = [
        Options { accounts: 0, ..good.clone() },
        Options { accounts: MOST_ACCOUNTS + 1, ..good.clone() },
        Options { days: 0, ..good.clone() },
        Options { days: 2, ..good.clone() },
        Options { days: u32::MAX, ..good.clone() },
        Options { until: "2040-01-01".parse().unwrap(), ..good.clone() },
    ];
    for options in bad {
        let error = generate(&options, root.path(), &|_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Project, "{options:?}");
        assert!(error.hint_text().is_some());
    }
}

#[test]
fn a_folder_with_other_data_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = day_folder(root.path(), "subscription", DAY_SHOWN.parse().unwrap());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("data.csv"), b"a,b").unwrap();
    let error = generate(&options(10, 1, DAY_SHOWN), root.path(), &|_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Project);
    assert!(!root.path().join("account").exists());
}
