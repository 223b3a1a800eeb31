//! What can be wrong with a single row, as conditions on a day's rows and as findings.

use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::bounds;
use super::open::OpenedFile;
use super::parse::BadCell;
use super::selection::Place;
use crate::contract::{ColumnType, PiiClass, SnapshotColumn, SnapshotContract};
use crate::sql::{identifier, list, text};

/// One row that breaks one rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub place: Place,
    pub rule: &'static str,
    pub column: Option<String>,
    pub reason: String,
}

impl Fault {
    pub fn unparsable(place: Place, contract: &SnapshotContract, cell: &BadCell) -> Fault {
        let column = &contract.columns[cell.column];
        let value = shown(column, Some(&cell.text));
        Fault {
            place,
            rule: "unparsable_value",
            column: Some(column.column.name.clone()),
            reason: format!("{} = {value} is not {}: {}", column.column.name, column.column.column_type, cell.reason),
        }
    }

    /// Rule R1.
    pub fn conflicting_duplicate(place: Place) -> Fault {
        let reason = "two rows of this key are equally recent and differ".to_owned();
        Fault { place, rule: "conflicting_duplicate", column: None, reason }
    }
}

/// A condition that a bad row meets.
pub(super) struct Predicate {
    pub condition: String,
    /// SQL of the value to show, as text.
    pub value: String,
    rule: &'static str,
    column: usize,
    /// What is wrong with the value, said after it.
    complaint: String,
}

impl Predicate {
    pub fn fault(&self, place: Place, contract: &SnapshotContract, value: Option<&str>) -> Fault {
        let column = &contract.columns[self.column];
        let name = &column.column.name;
        let value = shown(column, value);
        let reason = match self.rule {
            "null_key" | "null_value" => format!("{name} is null"),
            _ => format!("{name} = {value} is {}", self.complaint),
        };
        Fault { place, rule: self.rule, column: Some(name.clone()), reason }
    }
}

/// A value as a message may show it: personal data of class `direct` never leaves its column.
fn shown(column: &SnapshotColumn, value: Option<&str>) -> String {
    match (column.column.pii, value) {
        (PiiClass::Direct, _) => "<withheld>".to_owned(),
        (_, Some(value)) => format!("'{value}'"),
        (_, None) => "null".to_owned(),
    }
}

/// The conditions that the files' statistics do not rule out, in the order in which a row is judged: keys first.
pub(super) fn predicates(contract: &SnapshotContract, files: &[OpenedFile]) -> Vec<Predicate> {
    let mut found = Vec::new();
    let key_first = |index: &usize| !contract.key.contains(&contract.columns[*index].column.name);
    let mut order: Vec<usize> = (0..contract.columns.len()).collect();
    order.sort_by_key(key_first);
    for index in order {
        let column = &contract.columns[index];
        let name = identifier(&column.column.name);
        let mut add = |condition: String, rule: &'static str, complaint: String| {
            found.push(Predicate { condition, value: as_text(column), rule, column: index, complaint });
        };
        let is_key = contract.key.contains(&column.column.name);
        if (is_key || column.column.required) && !proved(files, &column.source, has_no_null) {
            add(format!("{name} IS NULL"), if is_key { "null_key" } else { "null_value" }, "null".to_owned());
        }
        if let Some(values) = &column.values {
            let literals: Vec<String> = values.iter().map(|value| text(value)).collect();
            let complaint = format!("not one of {}", values.join(", "));
            add(format!("{name} NOT IN ({})", list(&literals)), "unknown_value", complaint);
        }
        if let Some((low, high)) = bounds(&column.column.column_type)
            && !proved(files, &column.source, is_within_calendar)
        {
            let complaint = "outside 0001-01-01 to 9999-12-31".to_owned();
            add(format!("({name} < {low} OR {name} > {high})"), "out_of_range", complaint);
        }
        if let Some(range) = &column.range
            && !bounds::is_proved(column, range, files)
        {
            add(bounds::outside(column, range), "out_of_range", range.to_string());
        }
    }
    found
}

/// SQL of a value as text. The engine cannot tell days hundreds of thousands of years away; their plain numbers are told.
pub(super) fn as_text(column: &SnapshotColumn) -> String {
    let name = identifier(&column.column.name);
    let text = format!("arrow_cast({name}, 'Utf8')");
    let (number, unit, most) = match column.column.column_type {
        ColumnType::Date => ("Int32", "days", MOST_YEARS * 365),
        ColumnType::Timestamp | ColumnType::Datetime => ("Int64", "microseconds", MOST_YEARS * 365 * MICROS_PER_DAY),
        _ => return text,
    };
    let count = format!("arrow_cast({name}, '{number}')");
    format!(
        "CASE WHEN {count} BETWEEN -{most} AND {most} THEN {text} \
         ELSE arrow_cast(concat({count}, ' {unit} from 1970-01-01'), 'Utf8') END"
    )
}

/// So many years before and after 1970 the engine has names for days.
const MOST_YEARS: i64 = 200_000;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// What a BigQuery DATE, TIMESTAMP and DATETIME can hold.
fn bounds(column_type: &ColumnType) -> Option<(&'static str, &'static str)> {
    match column_type {
        ColumnType::Date => Some(("DATE '0001-01-01'", "DATE '9999-12-31'")),
        ColumnType::Timestamp => Some((
            "arrow_cast(-62135596800000000, 'Timestamp(Microsecond, Some(\"UTC\"))')",
            "arrow_cast(253402300799999999, 'Timestamp(Microsecond, Some(\"UTC\"))')",
        )),
        ColumnType::Datetime => Some((
            "arrow_cast(-62135596800000000, 'Timestamp(Microsecond, None)')",
            "arrow_cast(253402300799999999, 'Timestamp(Microsecond, None)')",
        )),
        _ => None,
    }
}

/// 0001-01-01 and 9999-12-31 as days since 1970-01-01.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_896;

fn is_within_calendar(chunk: &ColumnChunkMetaData) -> bool {
    let within = |low: i64, high: i64, per_day: i64| low >= FIRST_DAY * per_day && high < (LAST_DAY + 1) * per_day;
    let per_day = match chunk.column_descr().logical_type_ref() {
        Some(LogicalType::Timestamp(stamp)) if stamp.unit == TimeUnit::MICROS => 86_400_000_000,
        Some(LogicalType::Timestamp(stamp)) if stamp.unit == TimeUnit::MILLIS => 86_400_000,
        Some(LogicalType::Date) => 1,
        _ => return false,
    };
    match chunk.statistics() {
        Some(Statistics::Int32(s)) => {
            matches!((s.min_opt(), s.max_opt()), (Some(low), Some(high)) if within(i64::from(*low), i64::from(*high), per_day))
        }
        Some(Statistics::Int64(s)) => {
            matches!((s.min_opt(), s.max_opt()), (Some(low), Some(high)) if within(*low, *high, per_day))
        }
        _ => false,
    }
}

fn has_no_null(chunk: &ColumnChunkMetaData) -> bool {
    chunk.statistics().and_then(Statistics::null_count_opt) == Some(0)
}

/// Whether every row group of every file says so.
fn proved(files: &[OpenedFile], column: &str, says: impl Fn(&ColumnChunkMetaData) -> bool) -> bool {
    let proves = |group: &RowGroupMetaData| {
        let chunk = group.columns().iter().find(|chunk| chunk.column_path().parts() == [column]);
        group.num_rows() == 0 || chunk.is_some_and(&says)
    };
    files.iter().all(|file| file.footer.row_groups().iter().all(proves))
}
