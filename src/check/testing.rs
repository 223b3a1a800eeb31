//! A small table, `user_daily`, and what surrounds it, for the tests of the checks.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::datasource::MemTable;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;

use super::{Finding, Guarded, Report, Subject, run};
use crate::contract::{Column, ColumnType, Location, PiiClass};
use crate::error::Error;
use crate::job::{Check, CheckKind, InputSource, Job, Mode, PartitionSpec, PartitionUnit, Severity, TableSpec};
use crate::names::{JobName, SnapshotDate, TableName};
use crate::pseudonym::PseudonymKey;

/// 2026-11-20.
pub const DAY: i32 = 20_777;
/// The first microsecond of that day.
pub const MIDNIGHT: i64 = DAY as i64 * 86_400_000_000;

/// A row; nothing is required by the schema, so that the checks have to find what is missing.
#[derive(Clone)]
pub struct Row {
    pub snapshot_date: Option<i32>,
    pub user_pid: Option<&'static str>,
    pub tier: Option<&'static str>,
    pub tier_rank: Option<i64>,
    /// In hundredths.
    pub amount: Option<i128>,
    pub seen_at: Option<i64>,
    pub email: Option<&'static str>,
}

impl Default for Row {
    fn default() -> Self {
        Row {
            snapshot_date: Some(DAY),
            user_pid: Some("a"),
            tier: Some("free"),
            tier_rank: Some(0),
            amount: Some(999),
            seen_at: Some(MIDNIGHT),
            email: None,
        }
    }
}

pub fn batch(rows: &[Row]) -> RecordBatch {
    fn texts(values: impl Iterator<Item = Option<&'static str>>) -> ArrayRef {
        Arc::new(StringArray::from_iter(values))
    }
    let rows = || rows.iter();
    let amount = Decimal128Array::from_iter(rows().map(|r| r.amount)).with_precision_and_scale(9, 2).unwrap();
    let seen_at = TimestampMicrosecondArray::from_iter(rows().map(|r| r.seen_at)).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 7] = [
        ("snapshot_date", Arc::new(Date32Array::from_iter(rows().map(|r| r.snapshot_date)))),
        ("user_pid", texts(rows().map(|r| r.user_pid))),
        ("tier", texts(rows().map(|r| r.tier))),
        ("tier_rank", Arc::new(Int64Array::from_iter(rows().map(|r| r.tier_rank)))),
        ("amount", Arc::new(amount)),
        ("seen_at", Arc::new(seen_at)),
        ("email", texts(rows().map(|r| r.email))),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

pub fn location() -> Location {
    Location { file: PathBuf::from("jobs/user_daily.toml"), line: 12, column: 3 }
}

pub fn check(kind: CheckKind) -> Check {
    Check { kind, severity: Severity::Block, at: location() }
}

fn job() -> Job {
    let column = |name: &str, column_type, required, pii| Column {
        name: name.to_owned(),
        column_type,
        required,
        pii,
        description: String::new(),
        unit: None,
        at: location(),
    };
    let text = || String::new();
    Job {
        name: JobName::new("user_daily").unwrap(),
        description: text(),
        owner: text(),
        tags: Vec::new(),
        steps: Vec::new(),
        inputs: Vec::new(),
        table: TableSpec {
            name: TableName::new("users", "user_daily").unwrap(),
            mode: Mode::Partition,
            grain: vec!["snapshot_date".into(), "user_pid".into()],
            partition: Some(PartitionSpec {
                column: "snapshot_date".into(),
                by: PartitionUnit::Day,
                expire_days: None,
                require_filter: true,
            }),
            cluster: Vec::new(),
            columns: vec![
                column("snapshot_date", ColumnType::Date, true, PiiClass::None),
                column("user_pid", ColumnType::String, true, PiiClass::Pseudonymous),
                column("tier", ColumnType::String, false, PiiClass::None),
                column("tier_rank", ColumnType::Int64, false, PiiClass::None),
                column("amount", ColumnType::Numeric { precision: 9, scale: 2 }, false, PiiClass::None),
                column("seen_at", ColumnType::Timestamp, false, PiiClass::None),
                column("email", ColumnType::String, false, PiiClass::Direct),
            ],
            forget: None,
            keep_open: None,
        },
        checks: Vec::new(),
        declassify: Vec::new(),
        promise: None,
        file: PathBuf::from("jobs/user_daily.toml"),
        text: text(),
        sql_file: PathBuf::from("sql/user_daily.sql"),
        sql: text(),
    }
}

/// The staged rows, registered as `user_daily`, and the job that made them.
pub struct Setting {
    pub ctx: SessionContext,
    pub job: Job,
    compared: bool,
    key: Option<PseudonymKey>,
}

impl Setting {
    pub fn new(rows: &[Row]) -> Self {
        let setting = Setting::without_rows();
        setting.register("user_daily", rows);
        setting
    }

    /// Nothing is staged yet.
    pub fn without_rows() -> Self {
        let ctx = SessionContext::new();
        ctx.register_udf(ScalarUDF::from(KeyHash { hashes: u64::MAX }));
        Setting { ctx, job: job(), compared: false, key: None }
    }

    pub fn with_previous(self, rows: &[Row]) -> Self {
        self.register("previous", rows);
        self.compared()
    }

    /// Compares with the table `previous`.
    pub fn compared(self) -> Self {
        Setting { compared: true, ..self }
    }

    pub fn with_key(self) -> Self {
        Setting { key: PseudonymKey::from_bytes(b"gatefold-test-key").ok(), ..self }
    }

    /// All keys have the same hash.
    pub fn with_colliding_hash(self) -> Self {
        self.ctx.register_udf(ScalarUDF::from(KeyHash { hashes: 1 }));
        self
    }

    pub fn with_checks(mut self, checks: impl IntoIterator<Item = Check>) -> Self {
        self.job.checks = checks.into_iter().collect();
        self
    }

    /// The job does not know the column.
    pub fn without_column(mut self, name: &str) -> Self {
        self.job.table.columns.retain(|column| column.name != name);
        self
    }

    /// The table implies no checks: only the stated ones are carried out.
    pub fn without_implied(mut self) -> Self {
        self.job.table.mode = Mode::Replace;
        self.job.table.grain.clear();
        self.job.table.columns.iter_mut().for_each(|column| column.required = false);
        self
    }

    fn register(&self, name: &str, rows: &[Row]) {
        let batch = batch(rows);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        self.ctx.register_table(name, Arc::new(table)).unwrap();
    }

    pub async fn sql(&self, sql: &str) {
        self.ctx.sql(sql).await.unwrap().collect().await.unwrap();
    }

    pub fn subject(&self) -> Subject<'_> {
        Subject {
            ctx: &self.ctx,
            guarded: Guarded::Table(&self.job),
            key: self.key.as_ref(),
            date: "2026-11-20".parse::<SnapshotDate>().unwrap(),
            staged: r#""user_daily""#,
            previous: self.compared.then_some(r#""previous""#),
            target: &|source| match source {
                InputSource::Snapshot(name) if name.as_str() == "plans" => Some(r#""plans""#.to_owned()),
                _ => None,
            },
        }
    }

    pub async fn run(&self) -> Result<Report, Error> {
        run(&self.subject()).await
    }

    /// The finding of one stated check.
    pub async fn judge(self, kind: CheckKind) -> Finding {
        let name = super::name_of(&kind);
        let report = self.with_checks([check(kind)]).run().await.unwrap();
        report.findings.into_iter().rfind(|finding| finding.name == name).unwrap()
    }

    /// The error that one stated check gives.
    pub async fn fault(self, kind: CheckKind) -> Error {
        self.with_checks([check(kind)]).run().await.expect_err("the check must not be carried out")
    }
}

pub async fn judge_one(rows: &[Row], kind: CheckKind) -> Finding {
    Setting::new(rows).judge(kind).await
}

/// A stand-in for the engine's function: any number of columns of any types, `hashes` different results.
#[derive(Debug, PartialEq, Eq, Hash)]
struct KeyHash {
    hashes: u64,
}

impl ScalarUDFImpl for KeyHash {
    fn name(&self) -> &str {
        "key_hash"
    }

    fn signature(&self) -> &Signature {
        static SIGNATURE: std::sync::LazyLock<Signature> =
            std::sync::LazyLock::new(|| Signature::variadic_any(Volatility::Immutable));
        &SIGNATURE
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let mut hashes = vec![0; args.number_rows];
        create_hashes(&columns, &RandomState::default(), &mut hashes)?;
        let few: UInt64Array = hashes.iter().map(|hash| hash % self.hashes).collect();
        Ok(ColumnarValue::Array(Arc::new(few)))
    }
}
