//! Tests of `feature_value` through SQL: records as queries make them.

use super::super::testing::{context, plan_error, run_error, values};
use crate::error::ErrorKind;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, StringViewArray};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// The fields of a value in no particular order, `v_int` given.
fn fields(number: &str) -> String {
    format!("'unlimited', false, 'v_enum', NULL, 'v_int', {number}, 'v_bool', NULL")
}

fn base(number: &str, merge: &str) -> String {
    format!("named_struct({}, 'merge', '{merge}')", fields(number))
}

fn addon(number: &str, quantity: i64) -> String {
    format!(
        "named_struct('quantity', {quantity}, {}, 'merge', 'sum', 'product_id', 'extra', 'place', 1)",
        fields(number)
    )
}

fn grant(kind: &str, number: &str) -> String {
    format!(
        "named_struct('grant_id', 'g', 'kind', '{kind}', {}, 'priority', 1, 'effective_from', TIMESTAMP '2026-01-01 00:00:00')",
        fields(number)
    )
}

/// `v_int`, `unlimited` and `source` of a metered feature.
async fn metered(base: &str, addons: &str, grants: &str, above_free: bool) -> String {
    let sql = format!(
        "SELECT concat_ws(' ', coalesce(CAST(f['v_int'] AS STRING), 'null'), CAST(f['unlimited'] AS STRING), f['source']) \
         FROM (SELECT feature_value('metered', {base}, {addons}, {grants}, {above_free}) AS f)"
    );
    values(&context(), &sql).await.remove(0)
}

/// Case 15 of the domain: 0 is a cap.
#[tokio::test]
async fn nothing_allowed_is_not_nothing() {
    assert_eq!(metered(&base("0", "max"), "NULL", "NULL", true).await, "0 false product");
    assert_eq!(metered(&base("15", "max"), "[]", "[]", true).await, "15 false product");
    assert_eq!(metered(&base("NULL", "max"), "[]", "NULL", true).await, "null false product");
}

/// Case 16 of the domain.
#[tokio::test]
async fn a_topup_counts_while_the_tier_is_above_free() {
    let topup = format!("[{}]", grant("topup", "5"));
    assert_eq!(metered(&base("2", "max"), "NULL", &topup, true).await, "7 false topup");
    assert_eq!(metered(&base("2", "max"), "NULL", &topup, false).await, "2 false product");
    let of_type = async |value_type: &str| {
        let sql = format!("SELECT feature_value({value_type}, {}, NULL, {topup}, true)", base("2", "max"));
        values(&context(), &sql).await.remove(0)
    };
    assert_eq!(of_type("'int'").await, "{v_bool: NULL, v_int: 2, v_enum: NULL, unlimited: false, source: product}");
    assert_eq!(of_type("'metered'").await, "{v_bool: NULL, v_int: 7, v_enum: NULL, unlimited: false, source: topup}");
    assert_eq!(of_type("NULL").await, "NULL");
}

/// Case 17 of the domain.
#[tokio::test]
async fn an_override_replaces_and_a_removal_ends_all() {
    let (over, removal) = (grant("override", "99"), grant("removal", "NULL"));
    let grants = |grants: &[&String]| format!("[{}]", grants.iter().map(|g| g.as_str()).collect::<Vec<_>>().join(", "));
    assert_eq!(metered(&base("20", "max"), "NULL", &grants(&[&over]), true).await, "99 false override");
    let sql =
        format!("SELECT feature_value('metered', {}, NULL, {}, true)", base("20", "max"), grants(&[&over, &removal]));
    assert_eq!(values(&context(), &sql).await, ["NULL"]);
    // A redeemed offer is a grant too, of another matter.
    assert_eq!(
        metered(&base("20", "max"), "NULL", &grants(&[&grant("offer_redemption", "99")]), true).await,
        "20 false product"
    );
}

#[tokio::test]
async fn the_merge_is_the_base_s_or_else_the_first_addon_s() {
    let addons = format!("[{}, {}, NULL]", addon("10", 3), addon("1", 1));
    assert_eq!(metered(&base("20", "max"), &addons, "NULL", true).await, "20 false product");
    assert_eq!(metered(&base("20", "sum"), &addons, "NULL", true).await, "51 false addon");
    assert_eq!(metered(&base("20", "override"), &addons, "NULL", true).await, "10 false addon");
    assert_eq!(metered("NULL", &addons, "NULL", true).await, "31 false addon");
}

#[tokio::test]
async fn nulls_plan_and_give_nothing() {
    for args in ["NULL, NULL, NULL, NULL, NULL", "'bool', NULL, NULL, NULL, true", "'bool', NULL, [], [NULL], false"] {
        assert_eq!(values(&context(), &format!("SELECT feature_value({args})")).await, ["NULL"], "{args}");
    }
}

/// Rows as a model has them: records in a CASE, lists by `array_agg`, texts as views, and joins that find nothing.
#[tokio::test]
async fn records_of_joins_and_aggregates_are_taken() {
    let ctx = rows_of_a_catalogue();
    let sql = "WITH granted AS ( \
                   SELECT account_id, array_agg(named_struct('kind', kind, 'v_bool', CAST(NULL AS BOOLEAN), 'v_int', v_int, \
                          'v_enum', v_enum, 'unlimited', unlimited, 'priority', priority, 'effective_from', now(), \
                          'grant_id', grant_id)) AS grants FROM account_grant GROUP BY account_id) \
               SELECT feature_value(f.value_type, \
                          CASE WHEN f.account_id IS NOT NULL THEN named_struct('v_bool', f.v_bool, 'v_int', f.v_int, \
                              'v_enum', f.v_enum, 'unlimited', f.unlimited, 'merge', f.merge) END, \
                          NULL, g.grants, true) \
               FROM (VALUES ('a'), ('b'), ('c')) AS u(account_id) \
               LEFT JOIN feature AS f ON f.account_id = u.account_id \
               LEFT JOIN granted AS g ON g.account_id = u.account_id ORDER BY u.account_id";
    let expected = [
        "{v_bool: NULL, v_int: 30, v_enum: hd, unlimited: false, source: grant}",
        "{v_bool: true, v_int: NULL, v_enum: NULL, unlimited: false, source: product}",
        "NULL",
    ];
    assert_eq!(values(&ctx, sql).await, expected);
    let large = "arrow_cast(g.grants, 'LargeList(Struct(\"kind\": Utf8View, \"v_bool\": Boolean, \"v_int\": Int64, \
                 \"v_enum\": Utf8View, \"unlimited\": Boolean, \"priority\": Int64, \
                 \"effective_from\": Timestamp(Microsecond, None), \"grant_id\": LargeUtf8))')";
    assert_eq!(values(&ctx, &sql.replace("NULL, g.grants", &format!("NULL, {large}"))).await, expected);
}

fn rows_of_a_catalogue() -> SessionContext {
    let text = |texts: &[Option<&str>]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let view = |texts: &[Option<&str>]| -> ArrayRef { Arc::new(StringViewArray::from(texts.to_vec())) };
    let features = [
        ("account_id", text(&[Some("a"), Some("b")])),
        ("value_type", view(&[Some("int"), Some("bool")])),
        ("v_bool", Arc::new(BooleanArray::from(vec![None, Some(true)])) as ArrayRef),
        ("v_int", Arc::new(Int64Array::from(vec![Some(20), None])) as ArrayRef),
        ("v_enum", view(&[None, None])),
        ("unlimited", Arc::new(BooleanArray::from(vec![false, false])) as ArrayRef),
        ("merge", view(&[Some("max"), Some("or")])),
    ];
    let grants = [
        ("account_id", text(&[Some("a"), Some("a"), Some("c")])),
        ("kind", view(&[Some("grant"), Some("grant"), Some("grant")])),
        ("v_int", Arc::new(Int64Array::from(vec![Some(30), None, Some(7)])) as ArrayRef),
        ("v_enum", view(&[None, Some("hd"), None])),
        ("unlimited", Arc::new(BooleanArray::from(vec![false; 3])) as ArrayRef),
        ("priority", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("grant_id", text(&[Some("g1"), Some("g2"), Some("g3")])),
    ];
    let ctx = context();
    ctx.register_batch("feature", RecordBatch::try_from_iter(features).unwrap()).unwrap();
    ctx.register_batch("account_grant", RecordBatch::try_from_iter(grants).unwrap()).unwrap();
    ctx
}

#[tokio::test]
async fn what_cannot_be_right_is_said() {
    let call = |base: &str, addons: &str| format!("SELECT feature_value('int', {base}, {addons}, NULL, true)");
    let addons = format!("[{}]", addon("1", 1));
    let (kind, message) = run_error(&call(&base("1", "least"), &addons)).await;
    assert_eq!(kind, ErrorKind::InputBroken);
    assert!(message.contains("'least' is not a way to merge"), "{message}");
    let error = plan_error(&call("named_struct('v_int', 1)", "NULL")).await;
    assert!(error.contains("base has no field 'v_bool'; its fields are v_int"), "{error}");
    let error = plan_error(&call(&base("'1'", "max"), "NULL")).await;
    assert!(error.contains("base.v_int must be an INT64, not Utf8"), "{error}");
    assert!(plan_error(&call("NULL", &base("1", "max"))).await.contains("addons must be an ARRAY, not Struct"));
    assert!(plan_error(&call("7", "NULL")).await.contains("base must be a STRUCT, not Int64"));
}
