//! How much of its arguments a function lets through.
//!
//! What is not listed lets everything through: a new function of the engine can only be judged too strictly.

use super::flow::Passage;
use crate::contract::PiiClass;

pub fn scalar(name: &str) -> Passage {
    match name {
        "user_pid" => Passage::at_most(PiiClass::Pseudonymous),
        "age_band" => Passage::at_most(PiiClass::Quasi),
        _ => Passage::WHOLE,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// How many there are.
    Count,
    /// One number or truth about all of them.
    Statistic,
    /// One or more of the values themselves: max, array_agg, string_agg, median.
    Values,
}

/// Also for aggregates used as window functions.
pub fn aggregation(name: &str) -> Aggregation {
    match name {
        "count" | "approx_distinct" | "grouping" => Aggregation::Count,
        "sum" | "avg" | "mean" | "bool_or" | "bool_and" | "stddev" | "stddev_samp" | "stddev_pop" | "var"
        | "var_samp" | "var_pop" | "var_sample" | "var_population" | "covar" | "covar_samp" | "covar_pop" | "corr" => {
            Aggregation::Statistic
        }
        _ => Aggregation::Values,
    }
}

/// Window functions that tell a row's place in the order, and so something of what it is ordered by.
pub fn ranks(name: &str) -> bool {
    matches!(name, "row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" | "ntile")
}
