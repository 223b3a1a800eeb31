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
//! | `flags(name, condition, …)` | ARRAY<STRING> | quality flags |
//! | `key_hash(…)` | UINT64 | candidates for duplicates, rule R1 |
//! | `row_digest(…)` | STRING | `rejected_row.row_hash` |

mod age_band;
mod age_years;
mod arguments;
mod flags;
mod is_country;
mod key_hash;
mod phase_at;
mod row_digest;
#[cfg(test)]
mod testing;
mod user_pid;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

use crate::pseudonym::PseudonymKey;

/// Makes the functions known to a session. Without a key `user_pid` still plans, and fails when it is executed.
pub fn register(ctx: &SessionContext, key: Option<Arc<PseudonymKey>>) {
    let functions = [
        ScalarUDF::from(user_pid::UserPid::new(key)),
        ScalarUDF::from(age_years::AgeYears::default()),
        ScalarUDF::from(age_band::AgeBand::default()),
        ScalarUDF::from(is_country::IsCountry::default()),
        ScalarUDF::from(phase_at::PhaseAt::default()),
        ScalarUDF::from(flags::Flags::default()),
        ScalarUDF::from(key_hash::KeyHash::default()),
        ScalarUDF::from(row_digest::RowDigest::default()),
    ];
    for function in functions {
        ctx.register_udf(function);
    }
}
