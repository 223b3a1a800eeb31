//! `feature_value` against a naive reading of R6 and R7, over columns of random rows.

use super::super::testing::{table, values};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::json::ReaderBuilder;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

/// `v_bool`, `v_int`, `v_enum`, `unlimited`.
type Fields = (Option<bool>, Option<i64>, Option<&'static str>, bool);

#[derive(Debug, Clone)]
struct Case {
    base: Option<(Fields, &'static str)>,
    addons: Vec<(Fields, &'static str, i64)>,
    /// Kind, value, priority, seconds since 1970; the later in the list, the smaller the id.
    grants: Vec<(&'static str, Fields, i64, i64)>,
    is_metered: bool,
    is_above_free: bool,
}

impl Case {
    /// Field by field, in the words of the rule, and the sources by comparing before and after.
    fn oracle(&self) -> Option<(Fields, &'static str)> {
        let mut found = self.base.map(|(value, _)| (value, "product"));
        if let Some((first, merge, _)) = self.addons.first() {
            let merge = self.base.map_or(*merge, |(_, merge)| merge);
            let all: Vec<Fields> =
                self.base.iter().map(|(value, _)| *value).chain(self.addons.iter().map(|addon| addon.0)).collect();
            // Numbers add nothing to a row that is unlimited.
            let is_sum = merge == "sum" && !self.base.is_some_and(|(value, _)| value.3);
            let merged = if merge == "override" { *first } else { together(&all, is_sum, &self.quantities()) };
            if found.is_none_or(|(value, _)| value != merged) {
                found = Some((merged, "addon"));
            }
        }
        let of = |kind: &'static str| {
            let mut of: Vec<_> = self.grants.iter().rev().filter(|grant| grant.0 == kind).collect();
            of.sort_by_key(|grant| (grant.2, -grant.3));
            of.into_iter().map(|grant| grant.1).collect::<Vec<Fields>>()
        };
        if !of("removal").is_empty() {
            return None;
        }
        if let Some(value) = of("override").first() {
            found = Some((*value, "override"));
        }
        let granted = of("grant");
        if !granted.is_empty() {
            let granted = together(&granted, false, &[]);
            let after = found.map_or(granted, |(value, _)| together(&[value, granted], false, &[]));
            if found.is_none_or(|(value, _)| value != after) {
                found = Some((after, "grant"));
            }
        }
        let (mut value, mut source) = found?;
        if self.is_metered && self.is_above_free && !value.3 && value.1.is_some() {
            let before = value;
            for (_, number, _, unlimited) in of("topup") {
                value.1 = value.1.map(|cap| cap + number.unwrap_or(0));
                value.3 |= unlimited;
            }
            source = if value == before { source } else { "topup" };
        }
        Some((value, source))
    }

    fn quantities(&self) -> Vec<i64> {
        self.base.iter().map(|_| 1).chain(self.addons.iter().map(|addon| addon.2)).collect()
    }
}

/// The more generous of all, where numbers end at the first value that is unlimited; or their sum.
fn together(all: &[Fields], is_sum: bool, quantities: &[i64]) -> Fields {
    let limited = all.iter().take_while(|value| !value.3).count();
    let number = if is_sum {
        all.iter().zip(quantities).filter_map(|(value, quantity)| Some(value.1? * quantity)).reduce(|a, b| a + b)
    } else {
        all.iter().take(limited + 1).filter_map(|value| value.1).max()
    };
    let flags: Vec<bool> = all.iter().filter_map(|value| value.0).collect();
    let flag = if flags.is_empty() { None } else { Some(flags.contains(&true)) };
    (flag, number, all.iter().find_map(|value| value.2), limited < all.len())
}

fn value() -> impl Strategy<Value = Fields> {
    let choice = prop::option::weighted(0.3, prop::sample::select(vec!["sd", "hd"]));
    (prop::option::weighted(0.3, any::<bool>()), prop::option::of(0i64..5), choice, prop::bool::weighted(0.15))
}

fn case() -> impl Strategy<Value = Case> {
    let merge = || prop::sample::select(vec!["or", "max", "sum", "override"]);
    let kind = prop::sample::select(vec![
        "grant",
        "grant",
        "grant",
        "override",
        "topup",
        "topup",
        "topup",
        "offer_redemption",
        "removal",
    ]);
    (
        prop::option::weighted(0.8, (value(), merge())),
        prop::collection::vec((value(), merge(), 0i64..4), 0..3),
        prop::collection::vec((kind, value(), 0i64..3, 0i64..3), 0..4),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(base, addons, grants, is_metered, is_above_free)| Case {
            base,
            addons,
            grants,
            is_metered,
            is_above_free,
        })
}

fn fields_json((flag, number, choice, unlimited): &Fields) -> serde_json::Map<String, serde_json::Value> {
    let record = json!({ "v_bool": flag, "v_int": number, "v_enum": choice, "unlimited": unlimited });
    record.as_object().unwrap().clone()
}

fn with(value: &Fields, others: serde_json::Value) -> serde_json::Value {
    let mut record = fields_json(value);
    record.extend(others.as_object().unwrap().clone());
    record.into()
}

/// The cases as columns. A null and an empty list are the same to the function, and alternate.
fn columns(cases: &[Case]) -> Vec<ArrayRef> {
    let row = |(at, case): (usize, &Case)| {
        // The function goes by the places, not by the list.
        let addon = |(place, (value, merge, quantity)): (usize, &(Fields, &str, i64))| {
            with(value, json!({ "merge": merge, "quantity": quantity, "place": place }))
        };
        let grant = |(at, (kind, value, priority, seconds)): (usize, &(&str, Fields, i64, i64))| {
            let id = format!("g{}", 9 - at);
            with(
                value,
                json!({ "kind": kind, "priority": priority, "effective_from": seconds * 1_000_000, "grant_id": id }),
            )
        };
        let listed = |records: Vec<serde_json::Value>| (at % 2 == 0 || !records.is_empty()).then_some(records);
        json!({
            "value_type": if case.is_metered { "metered" } else { "int" },
            "base": case.base.as_ref().map(|(value, merge)| with(value, json!({ "merge": merge }))),
            "addons": listed(case.addons.iter().enumerate().rev().map(addon).collect()),
            "grants": listed(case.grants.iter().enumerate().map(grant).collect()),
            "above_free": case.is_above_free,
        })
    };
    let schema = Schema::new(vec![
        Field::new("value_type", DataType::Utf8, true),
        Field::new("base", records(&[("merge", DataType::Utf8)]), true),
        Field::new_list("addons", Field::new_list_field(records(&ADDON_FIELDS), true), true),
        Field::new_list("grants", Field::new_list_field(records(&GRANT_FIELDS), true), true),
        Field::new("above_free", DataType::Boolean, true),
    ]);
    let mut decoder = ReaderBuilder::new(Arc::new(schema)).build_decoder().unwrap();
    decoder.serialize(&cases.iter().enumerate().map(row).collect::<Vec<_>>()).unwrap();
    decoder.flush().unwrap().unwrap().columns().to_vec()
}

const ADDON_FIELDS: [(&str, DataType); 3] =
    [("merge", DataType::Utf8View), ("quantity", DataType::Int64), ("place", DataType::Int64)];

const GRANT_FIELDS: [(&str, DataType); 4] = [
    ("kind", DataType::Utf8),
    ("priority", DataType::Int64),
    ("effective_from", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ("grant_id", DataType::Utf8),
];

fn records(others: &[(&str, DataType)]) -> DataType {
    let value = [
        ("v_enum", DataType::Utf8),
        ("v_int", DataType::Int64),
        ("unlimited", DataType::Boolean),
        ("v_bool", DataType::Boolean),
    ];
    let fields = value.iter().chain(others).map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    DataType::Struct(fields.collect())
}

fn literal<T: ToString>(value: Option<T>) -> String {
    value.map_or("NULL".to_owned(), |value| value.to_string())
}

fn text(found: Option<(Fields, &str)>) -> String {
    found.map_or("NULL".to_owned(), |((flag, number, choice, unlimited), source)| {
        format!(
            "{{v_bool: {}, v_int: {}, v_enum: {}, unlimited: {unlimited}, source: {source}}}",
            literal(flag),
            literal(number),
            literal(choice)
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_column_is_the_oracle_s(cases in prop::collection::vec(case(), 1..40)) {
        let ctx = table("t", columns(&cases));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(values(&ctx, "SELECT feature_value(c0, c1, c2, c3, c4) FROM t"));
        prop_assert_eq!(found, cases.iter().map(|case| text(case.oracle())).collect::<Vec<_>>());
    }
}
