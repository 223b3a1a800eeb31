//! Tests of `applying_row`: the rules by example, through SQL, and against a naive reading of R5.

use super::super::testing::{context, plan_error, run_error, table, values};
use super::*;
use crate::billing::BillingCycle;
use crate::calendar::LengthUnit;
use crate::error::ErrorKind;
use arrow::array::{ArrayRef, ListBuilder, StringArray, TimestampMicrosecondBuilder};
use proptest::prelude::*;

/// A subscription, an instant, and the lists of the rows, each as SQL.
fn call(subscription: &str, as_of: &str, lists: &str) -> String {
    format!("SELECT applying_row({subscription}, TIMESTAMP '{as_of}', {lists})")
}

async fn place(subscription: &str, as_of: &str, lists: &str) -> String {
    values(&context(), &call(subscription, as_of, lists)).await.remove(0)
}

fn instants(texts: &[&str]) -> String {
    let listed = texts.iter().map(|text| if *text == "NULL" { "NULL".into() } else { format!("TIMESTAMP '{text}'") });
    format!("[{}]", listed.collect::<Vec<String>>().join(", "))
}

/// Case 9 of the domain: the row of the morning, and one of the afternoon of the day on which the subscription started.
#[tokio::test]
async fn a_row_of_the_day_of_the_start_waits_for_the_next_boundary() {
    let lists = format!(
        "{}, {}, {}",
        instants(&["2026-03-10 15:00:00", "2026-01-01 00:00:00"]),
        instants(&["NULL", "2026-03-10 15:00:00"]),
        instants(&["2026-03-10 15:00:00", "NULL"])
    );
    let subscription = "TIMESTAMP '2026-03-10 09:00:00', 10, 'month'";
    assert_eq!(place(subscription, "2026-03-10 23:59:59", &lists).await, "2");
    assert_eq!(place(subscription, "2026-04-10 08:59:59", &lists).await, "2");
    assert_eq!(place(subscription, "2026-04-10 09:00:00", &lists).await, "1");
}

/// Case 10 of the domain.
#[tokio::test]
async fn the_new_price_comes_with_the_boundary_after_existing_from() {
    let lists = format!(
        "{}, {}, {}",
        instants(&["2026-04-01 00:00:00", "2025-01-01 00:00:00"]),
        instants(&["NULL", "2026-04-01 00:00:00"]),
        instants(&["2026-05-01 00:00:00", "NULL"])
    );
    let subscription = "TIMESTAMP '2026-01-15 00:00:00', 15, 'month'";
    for (as_of, expected) in [
        ("2026-03-31 23:59:59", "2"),
        ("2026-04-15 00:00:00", "2"),
        ("2026-05-01 00:00:00", "2"),
        ("2026-05-14 23:59:59", "2"),
        ("2026-05-15 00:00:00", "1"),
    ] {
        assert_eq!(place(subscription, as_of, &lists).await, expected, "{as_of}");
    }
    // A new subscription has it at once, as an account without one.
    assert_eq!(place("TIMESTAMP '2026-04-02 00:00:00', 2, 'month'", "2026-04-02 12:00:00", &lists).await, "1");
    assert_eq!(place("NULL, NULL, NULL", "2026-04-02 12:00:00", &lists).await, "1");
}

#[tokio::test]
async fn without_existing_from_subscribers_keep_their_row() {
    let lists = format!(
        "{}, {}, NULL",
        instants(&["2026-04-01 00:00:00", "2025-01-01 00:00:00"]),
        instants(&["NULL", "2026-04-01 00:00:00"])
    );
    assert_eq!(place("TIMESTAMP '2026-01-15 00:00:00', 15, 'month'", "2039-01-01 00:00:00", &lists).await, "2");
    assert_eq!(place("NULL, 15, 'month'", "2039-01-01 00:00:00", &lists).await, "1");
}

#[tokio::test]
async fn a_row_applies_by_existing_from_although_it_has_ended() {
    let lists = format!(
        "{}, {}, {}",
        instants(&["2026-02-01 00:00:00"]),
        instants(&["2026-03-01 00:00:00"]),
        instants(&["2026-02-01 00:00:00"])
    );
    let subscription = "TIMESTAMP '2026-01-20 00:00:00', NULL, 'month'";
    assert_eq!(place(subscription, "2026-02-19 00:00:00", &lists).await, "NULL");
    assert_eq!(place(subscription, "2026-06-01 00:00:00", &lists).await, "1");
    assert_eq!(place("NULL, NULL, NULL", "2026-06-01 00:00:00", &lists).await, "NULL");
}

#[tokio::test]
async fn a_row_of_the_future_never_applies_and_an_empty_one_is_never_live() {
    let future = format!("{}, NULL, {}", instants(&["2026-05-01 00:00:00"]), instants(&["2026-01-01 00:00:00"]));
    let subscription = "TIMESTAMP '2026-05-02 00:00:00', NULL, 'month'";
    assert_eq!(place(subscription, "2026-04-30 23:59:59", &future).await, "NULL");
    let empty = format!("{}, {}, NULL", instants(&["2026-05-01 00:00:00"]), instants(&["2026-05-01 00:00:00"]));
    assert_eq!(place("TIMESTAMP '2026-05-01 00:00:00', NULL, NULL", "2026-06-01 00:00:00", &empty).await, "NULL");
    assert_eq!(place("NULL, NULL, NULL", "2026-05-01 00:00:00", &empty).await, "NULL");
}

#[tokio::test]
async fn without_a_period_only_the_start_is_a_boundary() {
    let row = |existing_from| {
        format!(
            "{}, {}, {}",
            instants(&["2026-01-01 00:00:00"]),
            instants(&["2026-01-02 00:00:00"]),
            instants(&[existing_from])
        )
    };
    let subscription = "TIMESTAMP '2026-03-01 00:00:00', 1, 'none'";
    assert_eq!(place(subscription, "2026-04-01 00:00:00", &row("2026-03-01 00:00:00")).await, "1");
    assert_eq!(place(subscription, "2026-04-01 00:00:00", &row("2026-03-01 00:00:01")).await, "NULL");
}

#[tokio::test]
async fn nulls_plan_and_nothing_applies() {
    let sql = "SELECT applying_row(NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
    assert_eq!(values(&context(), sql).await, ["NULL"]);
    assert_eq!(place("NULL, NULL, NULL", "2026-01-01 00:00:00", "NULL, NULL, NULL").await, "NULL");
    assert_eq!(place("NULL, NULL, NULL", "2026-01-01 00:00:00", "[], [], []").await, "NULL");
    assert_eq!(place("NULL, NULL, NULL", "2026-01-01 00:00:00", "[NULL], [NULL], [NULL]").await, "NULL");
}

/// What `array_agg` over a join gives, and what an empty side of a left join leaves.
#[tokio::test]
async fn aggregated_lists_are_taken() {
    let sql = "WITH price(plan_id, effective_from, effective_to, existing_from) AS (VALUES \
                   ('a', TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2026-02-01 00:00:00', NULL), \
                   ('a', TIMESTAMP '2026-02-01 00:00:00', NULL, TIMESTAMP '2026-03-01 00:00:00')), \
               best AS (SELECT plan_id, array_agg(effective_from ORDER BY effective_from DESC) AS effective_from, \
                               array_agg(effective_to ORDER BY effective_from DESC) AS effective_to, \
                               array_agg(existing_from ORDER BY effective_from DESC) AS existing_from \
                        FROM price GROUP BY plan_id) \
               SELECT applying_row(TIMESTAMP '2026-01-05 00:00:00', 5, 'month', TIMESTAMP '2026-03-04 23:59:59.999999', \
                                   p.effective_from, p.effective_to, p.existing_from) \
               FROM (VALUES ('a'), ('b')) AS s(plan_id) LEFT JOIN best AS p ON p.plan_id = s.plan_id ORDER BY s.plan_id";
    assert_eq!(values(&context(), sql).await, ["2", "NULL"]);
    assert_eq!(values(&context(), &sql.replace("03-04 23", "03-05 00")).await, ["1", "NULL"]);
}

#[tokio::test]
async fn what_cannot_be_right_is_said() {
    let rows = instants(&["2026-01-01 00:00:00", "2026-02-01 00:00:00"]);
    let one = instants(&["2026-01-01 00:00:00"]);
    let (kind, message) =
        run_error(&call("NULL, NULL, NULL", "2026-01-01 00:00:00", &format!("{rows}, {rows}, {one}"))).await;
    assert_eq!(kind, ErrorKind::Project);
    assert!(message.contains("2 effective_from and 1 existing_from"), "{message}");
    let subscription = "TIMESTAMP '2025-01-01 00:00:00', 1, 'fortnight'";
    let (kind, message) = run_error(&call(subscription, "2026-03-01 00:00:00", &format!("{one}, NULL, {one}"))).await;
    assert_eq!(kind, ErrorKind::InputBroken);
    assert!(message.contains("'fortnight' is not a period"), "{message}");
    let error = plan_error(&call("NULL, NULL, NULL", "2026-01-01 00:00:00", "now(), NULL, NULL")).await;
    assert!(error.contains("effective_from must be an ARRAY, not Timestamp"), "{error}");
    let error = plan_error(&call("NULL, NULL, NULL", "2026-01-01 00:00:00", "NULL, ['x'], NULL")).await;
    assert!(error.contains("effective_to must be a TIMESTAMP, not Utf8"), "{error}");
}

type CatalogueRow = (Option<i64>, Option<i64>, Option<i64>);

#[derive(Debug, Clone)]
struct Case {
    started_at: Option<i64>,
    anchor_day: Option<i64>,
    period: Option<&'static str>,
    as_of: Option<i64>,
    rows: Option<Vec<CatalogueRow>>,
}

impl Case {
    /// Gathers the places of all rows that apply, in the words of the rule, and takes the smallest.
    fn oracle(&self) -> Option<i64> {
        let (as_of, rows) = (self.as_of?, self.rows.as_ref()?);
        let live = |row: &CatalogueRow, at: i64| row.0.is_some_and(|from| from <= at) && row.1.is_none_or(|to| to > at);
        let began = |row: &CatalogueRow| row.0.is_some_and(|from| from <= as_of);
        let period = self.period.and_then(LengthUnit::from_name);
        let boundary =
            |existing_from| BillingCycle::new(self.started_at?, self.anchor_day, period)?.first_from(existing_from);
        let switched = |row: &CatalogueRow| row.2.and_then(boundary).is_some_and(|at| at <= as_of);
        let applies = |row: &CatalogueRow| match self.started_at {
            None => live(row, as_of),
            Some(started_at) => began(row) && (live(row, started_at) || switched(row)),
        };
        let applying = rows.iter().enumerate().filter(|(_, row)| applies(row)).map(|(place, _)| place as i64 + 1);
        applying.min()
    }
}

/// Few instants, so that they meet, on days around boundaries.
fn instant() -> impl Strategy<Value = i64> {
    (0i64..150).prop_map(|day| day * 86_400_000_000)
}

fn case() -> impl Strategy<Value = Case> {
    let row = (prop::option::weighted(0.95, instant()), prop::option::of(instant()), prop::option::of(instant()));
    (
        prop::option::weighted(0.8, instant()),
        prop::option::of(1i64..=31),
        prop::sample::select(vec![None, Some("none"), Some("day"), Some("week"), Some("month"), Some("year")]),
        prop::option::weighted(0.95, instant()),
        prop::option::weighted(0.95, prop::collection::vec(row, 0..4)),
    )
        .prop_map(|(started_at, anchor_day, period, as_of, rows)| Case {
            started_at,
            anchor_day,
            period,
            as_of,
            rows,
        })
}

fn columns(cases: &[Case]) -> Vec<ArrayRef> {
    let instants = |pick: fn(&Case) -> Option<i64>| -> ArrayRef {
        Arc::new(cases.iter().map(pick).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let lists = |pick: fn(&CatalogueRow) -> Option<i64>| -> ArrayRef {
        let mut lists = ListBuilder::new(TimestampMicrosecondBuilder::new());
        for case in cases {
            lists.append_option(case.rows.as_ref().map(|rows| rows.iter().map(pick).collect::<Vec<_>>()));
        }
        Arc::new(lists.finish())
    };
    vec![
        instants(|case| case.started_at),
        Arc::new(cases.iter().map(|case| case.anchor_day).collect::<Int64Array>()),
        Arc::new(cases.iter().map(|case| case.period).collect::<StringArray>()),
        instants(|case| case.as_of),
        lists(|row| row.0),
        lists(|row| row.1),
        lists(|row| row.2),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_column_is_the_oracle_s(cases in prop::collection::vec(case(), 1..60)) {
        let ctx = table("t", columns(&cases));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(values(&ctx, "SELECT applying_row(c0, c1, c2, c3, c4, c5, c6) FROM t"));
        let text = |case: &Case| case.oracle().map_or("NULL".to_owned(), |place| place.to_string());
        prop_assert_eq!(found, cases.iter().map(text).collect::<Vec<_>>());
    }
}
