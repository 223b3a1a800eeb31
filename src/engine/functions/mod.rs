//! The SQL functions of ours: what the rules of the domain need and DataFusion does not have.
//!
//! All are immutable: a row's result is a pure function of its arguments (and, for `user_pid`, of the key), so that
//! a partition comes out the same whenever it is run.
//!
//! | function | gives | for |
//! |---|---|---|
//! | `user_pid(account_id)` | STRING? | rule R13 |
//! | `age_years(birth_date, on)` | INT64? | rule R11 |
//! | `age_band(birth_date, on)` | STRING | rule R11 |
//! | `is_country(code)` | BOOL | rule R11 |
//! | `phase_at(started_at, as_of, lengths, units)` | INT64? | rule R5 |
//! | `billing_boundary(started_at, anchor_day, period, at)` | TIMESTAMP? | rule R5 |
//! | `billing_window_start(…)`, `billing_window_end(…)`, of the same | TIMESTAMP? | rules R5, R8 |
//! | `applying_row(started_at, anchor_day, period, as_of, effective_from, effective_to, existing_from)` | INT64? | rule R5 |
//! | `width_bucket(at, thresholds)` | INT64? | rule R5 |
//! | `add_period(at, count, unit)` | TIMESTAMP? | rule R9 |
//! | `minor_unit(currency)` | INT64? | rule R9 |
//! | `round_money(amount, currency)` | NUMERIC? | rule R9 |
//! | `net_price(list_price, currency, offers)` | NUMERIC? | rule R9 |
//! | `feature_value(value_type, base, addons, grants, above_free)` | STRUCT? | rules R6, R7 |
//! | `flags(name, condition, …)` | ARRAY<STRING> | quality flags |
//! | `key_hash(…)` | UINT64 | candidates for duplicates, rule R1 |
//! | `row_digest(…)` | STRING | `rejected_row.row_hash` |

mod add_period;
mod age_band;
mod age_years;
mod applying_row;
mod arguments;
mod best;
mod billing_boundary;
mod feature_value;
mod flags;
mod is_country;
mod key_hash;
mod minor_unit;
mod net_price;
mod period;
mod phase_at;
mod records;
mod round_money;
mod row_digest;
#[cfg(test)]
mod testing;
mod user_pid;
mod width_bucket;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

use self::billing_boundary::{BillingBoundary, Boundary};
use crate::pseudonym::PseudonymKey;

/// Makes the functions known to a session. Without a key `user_pid` still plans, and fails when it is executed.
pub fn register(ctx: &SessionContext, key: Option<Arc<PseudonymKey>>) {
    let functions = [
        ScalarUDF::from(user_pid::UserPid::new(key)),
        ScalarUDF::from(age_years::AgeYears::default()),
        ScalarUDF::from(age_band::AgeBand::default()),
        ScalarUDF::from(is_country::IsCountry::default()),
        ScalarUDF::from(phase_at::PhaseAt::default()),
        ScalarUDF::from(BillingBoundary::new(Boundary::From)),
        ScalarUDF::from(BillingBoundary::new(Boundary::WindowStart)),
        ScalarUDF::from(BillingBoundary::new(Boundary::WindowEnd)),
        ScalarUDF::from(applying_row::ApplyingRow::default()),
        ScalarUDF::from(width_bucket::WidthBucket::default()),
        ScalarUDF::from(add_period::AddPeriod::default()),
        ScalarUDF::from(minor_unit::MinorUnit::default()),
        ScalarUDF::from(round_money::RoundMoney::default()),
        ScalarUDF::from(net_price::NetPrice::default()),
        ScalarUDF::from(feature_value::FeatureValue::default()),
        ScalarUDF::from(flags::Flags::default()),
        ScalarUDF::from(key_hash::KeyHash::default()),
        ScalarUDF::from(row_digest::RowDigest::default()),
    ];
    for function in functions {
        ctx.register_udf(function);
    }
    ctx.register_udaf(AggregateUDF::from(best::Best::default()));
}

#[cfg(test)]
mod tests {
    use super::testing::context;
    use crate::engine::parameters;
    use crate::names::SnapshotDate;

    /// A model is planned before its parameters have values, and a side of a join may be nothing but nulls.
    #[tokio::test]
    async fn parameters_and_nulls_plan_and_run() {
        let date: SnapshotDate = "2026-03-31".parse().unwrap();
        for call in [
            "billing_boundary(NULL, NULL, NULL, $as_of)",
            "billing_window_start($as_of, NULL, NULL, $as_of)",
            "billing_window_end($as_of, NULL, 'month', $as_of)",
            "applying_row(NULL, NULL, NULL, $as_of, NULL, NULL, NULL)",
            "applying_row($as_of, NULL, NULL, $as_of, [$as_of], [NULL], [NULL])",
            "add_period($as_of, NULL, NULL)",
            "minor_unit(NULL)",
            "round_money(NULL, NULL)",
            "net_price(NULL, NULL, NULL)",
            "feature_value(NULL, NULL, NULL, NULL, NULL)",
        ] {
            let frame =
                context().sql(&format!("SELECT {call}")).await.unwrap_or_else(|error| panic!("{call}: {error}"));
            let frame = frame.with_param_values(parameters(date)).unwrap_or_else(|error| panic!("{call}: {error}"));
            frame.collect().await.unwrap_or_else(|error| panic!("{call}: {error}"));
        }
    }
}
