//! Tests of `phase_at`: the rules by example, through SQL, and against a naive loop with chrono's dates.

use super::super::testing::{context, plan_error, run_error, table, values};
use super::*;
use arrow::array::{Int64Builder, ListBuilder, StringBuilder};
use chrono::{DateTime, Days, Months, Utc};
use proptest::prelude::*;

type Phase = (Option<i64>, Option<&'static str>);

fn call(started_at: &str, as_of: &str, lengths: &str, units: &str) -> String {
    format!("SELECT phase_at(TIMESTAMP '{started_at}', TIMESTAMP '{as_of}', {lengths}, {units})")
}

#[tokio::test]
async fn phases_begin_where_the_one_before_ended() {
    let lengths = "[7, 1, NULL]";
    let units = "['day', 'month', NULL]";
    for (as_of, phase) in [
        ("2026-01-23 23:59:59.999999", "NULL"),
        ("2026-01-24 00:00:00", "1"),
        ("2026-01-30 23:59:59.999999", "1"),
        ("2026-01-31 00:00:00", "2"),
        ("2026-02-27 23:59:59.999999", "2"),
        ("2026-02-28 00:00:00", "3"),
        ("9999-12-31 23:59:59.999999", "3"),
    ] {
        let sql = call("2026-01-24 00:00:00", as_of, lengths, units);
        // A literal TIMESTAMP counts nanoseconds and ends in 2262.
        let sql = sql.replace("TIMESTAMP '9999-12-31 23:59:59.999999'", "to_timestamp_micros(253402300799999999)");
        assert_eq!(values(&context(), &sql).await, [phase], "{as_of}");
    }
}

/// Cases 12 and 13 of the domain are about boundaries, which do not drift; phases, one after the other, do.
#[tokio::test]
async fn a_month_that_is_too_short_ends_the_phase_on_its_last_day() {
    for (started_at, as_of, phase) in [
        ("2026-07-31 00:00:00", "2026-08-30 23:59:59", "1"),
        ("2026-07-31 00:00:00", "2026-08-31 00:00:00", "2"),
        ("2026-07-31 00:00:00", "2026-09-30 00:00:00", "3"),
        ("2026-01-30 00:00:00", "2026-02-28 00:00:00", "2"),
        ("2026-01-30 00:00:00", "2026-03-27 23:59:59", "2"),
        ("2026-01-30 00:00:00", "2026-03-28 00:00:00", "3"),
    ] {
        let sql = call(started_at, as_of, "[1, 1, 1]", "['month', 'month', 'month']");
        assert_eq!(values(&context(), &sql).await, [phase], "{started_at} {as_of}");
    }
}

#[tokio::test]
async fn the_last_phase_goes_on_and_an_endless_one_hides_the_rest() {
    let at = async |lengths, units| {
        values(&context(), &call("2026-01-01 00:00:00", "2030-01-01 00:00:00", lengths, units)).await
    };
    assert_eq!(at("[1, 1]", "['week', 'year']").await, ["2"]);
    assert_eq!(at("[NULL, 1]", "['week', 'year']").await, ["1"]);
    assert_eq!(at("[1, 1]", "['week', NULL]").await, ["2"]);
    assert_eq!(at("[0, -3, 9]", "['week', 'year', 'year']").await, ["3"]);
    assert_eq!(at("[1, 0]", "['week', 'year']").await, ["2"]);
    assert_eq!(at("[9223372036854775807, 1]", "['year', 'year']").await, ["1"]);
}

#[tokio::test]
async fn no_phase_is_null() {
    let at = async |lengths, units| {
        values(&context(), &call("2026-01-01 00:00:00", "2030-01-01 00:00:00", lengths, units)).await
    };
    assert_eq!(at("NULL", "['day']").await, ["NULL"]);
    assert_eq!(at("[1]", "NULL").await, ["NULL"]);
    assert_eq!(at("[]", "[]").await, ["NULL"]);
    assert_eq!(values(&context(), "SELECT phase_at(NULL, now(), [1], ['day'])").await, ["NULL"]);
    assert_eq!(values(&context(), "SELECT phase_at(now(), NULL, [1], ['day'])").await, ["NULL"]);
}

#[tokio::test]
async fn other_widths_and_layouts_are_taken() {
    let sql = "SELECT phase_at(arrow_cast('2026-01-01T00:00:00', 'Timestamp(Second, None)'), \
               arrow_cast('2026-01-09T00:00:00Z', 'Timestamp(Nanosecond, Some(\"+02:00\"))'), \
               arrow_cast([1, 1], 'LargeList(Int32)'), arrow_cast(['week', 'week'], 'List(Utf8View)'))";
    assert_eq!(values(&context(), sql).await, ["2"]);
}

#[tokio::test]
async fn what_cannot_be_right_is_said() {
    let error = run_error(&call("2026-01-01 00:00:00", "2026-02-01 00:00:00", "[1]", "['fortnight']")).await;
    assert_eq!(error.0, ErrorKind::InputBroken);
    assert!(error.1.contains("'fortnight' is not a unit of length"), "{}", error.1);
    let error = run_error(&call("2026-01-01 00:00:00", "2026-02-01 00:00:00", "[1, 2]", "['day']")).await;
    assert_eq!(error.0, ErrorKind::Project);
    assert!(error.1.contains("2 lengths and 1 units"), "{}", error.1);
}

#[tokio::test]
async fn wrong_calls_are_plan_errors() {
    let error = plan_error("SELECT phase_at(DATE '2026-01-01', now(), [1], ['day'])").await;
    assert!(error.contains("started_at must be a TIMESTAMP, not Date32"), "{error}");
    let error = plan_error("SELECT phase_at(now(), now(), ['day'], [1])").await;
    assert!(error.contains("a length must be an INT64, not Utf8") && error.contains("ARRAY<INT64>"), "{error}");
    assert!(
        plan_error("SELECT phase_at(now(), now(), 7, ['day'])").await.contains("lengths must be an ARRAY, not Int64")
    );
    assert!(plan_error("SELECT phase_at(now(), now())").await.contains("takes 4 arguments, not 2"));
}

/// Walks phase by phase with chrono, and keeps the phases in a vector.
fn oracle(started_at: i64, as_of: i64, phases: &[Phase]) -> Option<i64> {
    let (started_at, as_of) = (DateTime::from_timestamp_micros(started_at)?, DateTime::from_timestamp_micros(as_of)?);
    if phases.is_empty() || started_at > as_of {
        return None;
    }
    let mut starts: Vec<DateTime<Utc>> = vec![started_at];
    for (length, unit) in &phases[..phases.len() - 1] {
        let (Some(length), Some(unit)) = (length, unit) else { break };
        let (from, length) = (*starts.last().unwrap(), u32::try_from(*length).unwrap_or(0));
        starts.push(match *unit {
            "day" => from + Days::new(length.into()),
            "week" => from + Days::new(u64::from(length) * 7),
            "month" => from + Months::new(length),
            _ => from + Months::new(length * 12),
        });
    }
    starts.iter().rposition(|start| *start <= as_of).map(|place| place as i64 + 1)
}

fn phase() -> impl Strategy<Value = Phase> {
    let length = prop_oneof![1 => Just(None), 8 => (-1i64..15).prop_map(Some)];
    let unit = prop_oneof![
        1 => Just(None),
        8 => prop::sample::select(vec!["day", "week", "month", "year"]).prop_map(Some)
    ];
    (length, unit)
}

/// Instants around the year 2000, often at midnight, so that boundaries are met exactly.
fn instant(span_days: i64) -> impl Strategy<Value = i64> {
    let time = prop_oneof![Just(0), 0..86_400_000_000i64];
    (10_000..10_000 + span_days, time).prop_map(|(day, time)| day * 86_400_000_000 + time)
}

type Row = (Option<i64>, Option<i64>, Option<Vec<Phase>>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let phases = prop::option::weighted(0.9, prop::collection::vec(phase(), 0..6));
    let row = (prop::option::weighted(0.9, instant(800)), prop::option::weighted(0.9, instant(4_000)), phases);
    prop::collection::vec(row, 1..20)
}

fn lists(rows: &[Row]) -> (ListArray, ListArray) {
    let (mut lengths, mut units) = (ListBuilder::new(Int64Builder::new()), ListBuilder::new(StringBuilder::new()));
    for (_, _, phases) in rows {
        for (length, unit) in phases.iter().flatten() {
            lengths.values().append_option(*length);
            units.values().append_option(*unit);
        }
        lengths.append(phases.is_some());
        units.append(phases.is_some());
    }
    (lengths.finish(), units.finish())
}

proptest! {
    #[test]
    fn a_phase_is_the_oracle_s(
        started_at in instant(800),
        as_of in instant(4_000),
        phases in prop::collection::vec(phase(), 0..6),
    ) {
        let given = phases.iter().map(|(length, unit)| length.zip(*unit));
        prop_assert_eq!(holding_phase(started_at, as_of, given).unwrap(), oracle(started_at, as_of, &phases));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Columns, and then the first row's lists as constants with the other columns.
    #[test]
    fn a_column_is_the_oracle_s(rows in rows()) {
        let instants = |pick: fn(&Row) -> Option<i64>| {
            rows.iter().map(pick).collect::<TimestampMicrosecondArray>().with_timezone("UTC")
        };
        let (lengths, units) = lists(&rows);
        let columns: [Arc<dyn Array>; 4] =
            [Arc::new(instants(|row| row.0)), Arc::new(instants(|row| row.1)), Arc::new(lengths), Arc::new(units)];
        let ctx = table("t", columns.to_vec());
        let text = |place: Option<i64>| place.map_or("NULL".to_owned(), |place| place.to_string());
        let expected = |row: &Row, phases: &Option<Vec<Phase>>| text(
            row.0.zip(row.1).zip(phases.as_ref()).and_then(|((from, at), phases)| oracle(from, at, phases))
        );

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(values(&ctx, "SELECT phase_at(c0, c1, c2, c3) FROM t"));
        prop_assert_eq!(found, rows.iter().map(|row| expected(row, &row.2)).collect::<Vec<_>>());

        let listed = |texts: Vec<String>| format!("[{}]", texts.join(", "));
        let Some(phases) = &rows[0].2 else { return Ok(()) };
        let lengths = listed(phases.iter().map(|phase| text(phase.0)).collect());
        let units = listed(phases.iter().map(|phase| phase.1.map_or("NULL".into(), |unit| format!("'{unit}'"))).collect());
        let found = runtime.block_on(values(&ctx, &format!("SELECT phase_at(c0, c1, {lengths}, {units}) FROM t")));
        prop_assert_eq!(found, rows.iter().map(|row| expected(row, &rows[0].2)).collect::<Vec<_>>());
    }
}
