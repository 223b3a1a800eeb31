//! The jobs that are compared.

use std::fmt;

use clap::ValueEnum;

use crate::common::reads::{self, Columns};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Job {
    UserDaily,
    UserEntitlementHistory,
    FeatureCapDaily,
}

impl Job {
    pub const ALL: [Job; 3] = [Job::UserDaily, Job::UserEntitlementHistory, Job::FeatureCapDaily];

    pub fn name(self) -> &'static str {
        match self {
            Job::UserDaily => "user_daily",
            Job::UserEntitlementHistory => "user_entitlement_history",
            Job::FeatureCapDaily => "feature_cap_daily",
        }
    }

    pub fn dataset(self) -> &'static str {
        match self {
            Job::UserDaily | Job::UserEntitlementHistory => "users",
            Job::FeatureCapDaily => "value_proposition",
        }
    }

    /// The job of which it reads the table.
    pub fn reads_table_of(self) -> Option<Job> {
        (self == Job::FeatureCapDaily).then_some(Job::UserEntitlementHistory)
    }

    /// What its model reads of the snapshots.
    pub fn reads(self) -> &'static [(&'static str, Columns)] {
        match self {
            Job::UserDaily => reads::USER_DAILY,
            Job::UserEntitlementHistory => reads::USER_ENTITLEMENT_HISTORY,
            Job::FeatureCapDaily => reads::FEATURE_CAP_DAILY,
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
