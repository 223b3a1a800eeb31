//! A small project: the snapshot `person`, one row a person, and the job `people`, which shows it as the table `shop.people`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use crate::support::{DAY, Sandbox};

pub const CONTRACT: &str = r#"description = "One row per person."
owner       = "people@example.com"
format      = "parquet"
key         = ["person_id"]
latest_by   = "source_seq"
bookkeeping = ["source_seq"]
rejects     = { max_fraction = 0.01, max_rows = 2 }
columns = [
  { name = "person_id",  type = "STRING", required = true, description = "Person." },
  { name = "city",       type = "STRING", description = "Where they live." },
  { name = "plan",       type = "STRING", required = true, values = ["free", "paid"], description = "What they have." },
  { name = "visits",     type = "INT64", description = "How often they came." },
  { name = "born",       type = "DATE", description = "Date of birth." },
  { name = "seen_at",    type = "TIMESTAMP", required = true, description = "When they came last." },
  { name = "balance",    type = "NUMERIC", description = "What they are owed." },
  { name = "active",     type = "BOOL", required = true, description = "Whether they may come." },
  { name = "source_seq", type = "INT64", required = true, description = "The greatest per key is the latest." },
]
"#;

pub const JOB: &str = r#"description = "One row per person and day."
owner       = "people@example.com"
tags        = ["small"]
sql         = "sql/people.sql"
inputs      = ["person"]

[table]
dataset   = "shop"
mode      = "partition"
grain     = ["snapshot_date", "person_id"]
partition = { column = "snapshot_date", by = "day" }
columns = [
  { name = "snapshot_date", type = "DATE", required = true, description = "Day." },
  { name = "person_id",     type = "STRING", required = true, description = "Person." },
  { name = "city",          type = "STRING", description = "Where they live." },
  { name = "plan",          type = "STRING", required = true, description = "What they have." },
  { name = "visits",        type = "INT64", description = "How often they came." },
  { name = "born",          type = "DATE", description = "Date of birth." },
  { name = "seen_at",       type = "TIMESTAMP", required = true, description = "When they came last." },
  { name = "balance",       type = "NUMERIC", description = "What they are owed." },
  { name = "active",        type = "BOOL", required = true, description = "Whether they may come." },
]

[[check]]
kind   = "range"
column = "visits"
min    = 0
"#;

pub const SQL: &str = "SELECT
    $snapshot_date AS snapshot_date,
    person_id, city, plan, visits, born, seen_at, balance, active
FROM person
";

/// One row of the snapshot; `None` is null.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: Option<&'static str>,
    pub city: Option<&'static str>,
    pub plan: &'static str,
    pub visits: Option<i64>,
    /// Days since 1970-01-01.
    pub born: Option<i32>,
    pub seen_at_us: i64,
    /// In units of 0.000000001.
    pub balance: Option<i128>,
    pub active: bool,
    pub seq: i64,
}

/// A sound row.
pub fn person(id: &'static str) -> Person {
    Person {
        id: Some(id),
        city: Some("Oslo"),
        plan: "free",
        visits: Some(3),
        born: Some(7_305),
        seen_at_us: 1_700_000_000_000_000,
        balance: Some(1_250_000_000),
        active: true,
        seq: 1,
    }
}

pub fn ada_and_bob() -> Vec<Person> {
    vec![person("ada"), Person { city: None, plan: "paid", ..person("bob") }]
}

/// The rows in the columns of the contract.
pub fn batch(people: &[Person]) -> RecordBatch {
    let seen = people.iter().map(|p| p.seen_at_us);
    let balance = people.iter().map(|p| p.balance).collect::<Decimal128Array>();
    let columns: [(&str, ArrayRef); 9] = [
        ("person_id", Arc::new(people.iter().map(|p| p.id).collect::<StringArray>())),
        ("city", Arc::new(people.iter().map(|p| p.city).collect::<StringArray>())),
        ("plan", Arc::new(people.iter().map(|p| Some(p.plan)).collect::<StringArray>())),
        ("visits", Arc::new(people.iter().map(|p| p.visits).collect::<Int64Array>())),
        ("born", Arc::new(people.iter().map(|p| p.born).collect::<Date32Array>())),
        ("seen_at", Arc::new(TimestampMicrosecondArray::from_iter_values(seen).with_timezone("UTC"))),
        ("balance", Arc::new(balance.with_precision_and_scale(38, 9).unwrap())),
        ("active", Arc::new(people.iter().map(|p| Some(p.active)).collect::<BooleanArray>())),
        ("source_seq", Arc::new(Int64Array::from_iter_values(people.iter().map(|p| p.seq)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// The rows with a column taken out.
pub fn without(rows: &RecordBatch, name: &str) -> RecordBatch {
    let mut rows = rows.clone();
    rows.remove_column(rows.schema().index_of(name).unwrap());
    rows
}

/// The rows with a column put in, in place of one of that name.
pub fn with(rows: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let schema = rows.schema();
    let kept = schema.fields().iter().zip(rows.columns()).filter(|(field, _)| field.name() != name);
    let kept = kept.map(|(field, array)| (field.name().as_str(), Arc::clone(array), true));
    RecordBatch::try_from_iter_with_nullable(kept.chain([(name, column, true)])).unwrap()
}

/// The project without data.
pub fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    for stays_out in ["jobs", "sql", "tests"] {
        sandbox.remove(stays_out);
    }
    sandbox.write("jobs/snapshots/person.toml", CONTRACT);
    sandbox.write("jobs/people.toml", JOB);
    sandbox.write("sql/people.sql", SQL);
    sandbox
}

/// The project with these rows on [`DAY`].
pub fn project_with(people: &[Person]) -> Sandbox {
    let sandbox = project();
    sandbox.put_rows("person", DAY, &batch(people));
    sandbox
}

/// The project with Ada and Bob on [`DAY`], published.
pub fn published() -> Sandbox {
    let sandbox = project_with(&ada_and_bob());
    sandbox.run(DAY).exits(0);
    sandbox
}
