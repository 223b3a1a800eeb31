//! The columns of the snapshots that models read.

/// Columns of one snapshot.
pub type Columns = &'static [&'static str];

const ACCOUNT: Columns = &["account_id", "status", "country", "birth_date", "created_at", "email_verified"];

const SUBSCRIPTION: Columns = &[
    "subscription_id",
    "account_id",
    "plan_id",
    "plan_version",
    "category",
    "state",
    "started_at",
    "paid_through_at",
    "grace_until",
    "trial_end_at",
    "ends_at",
    "is_sandbox",
];

const BILLED_SUBSCRIPTION: Columns = &[
    "subscription_id",
    "account_id",
    "plan_id",
    "plan_version",
    "category",
    "base_subscription_id",
    "quantity",
    "state",
    "started_at",
    "paid_through_at",
    "grace_until",
    "ends_at",
    "anchor_day",
    "is_sandbox",
];

const PLAN_MEMBER: Columns = &["subscription_id", "account_id", "role", "joined_at", "left_at"];

const PLAN_PHASE: Columns =
    &["plan_id", "plan_version", "phase_seq", "product_id", "tier", "tier_rank", "length", "length_unit"];

const BILLED_PHASE: Columns = &[
    "plan_id",
    "plan_version",
    "phase_seq",
    "product_id",
    "tier",
    "tier_rank",
    "length",
    "length_unit",
    "billing_period",
    "included_addons.list.element",
];

const ERASURE_REQUEST: Columns = &["account_id", "requested_at"];

const PRODUCT_FEATURE: Columns = &[
    "product_id",
    "feature_id",
    "market",
    "role",
    "value_type",
    "v_bool",
    "v_int",
    "v_enum",
    "unlimited",
    "unit",
    "reset",
    "merge",
    "effective_from",
    "effective_to",
    "existing_from",
];

const ACCOUNT_GRANT: Columns = &[
    "grant_id",
    "account_id",
    "kind",
    "feature_id",
    "v_bool",
    "v_int",
    "v_enum",
    "unlimited",
    "priority",
    "effective_from",
    "expires_at",
    "voided_at",
];

const FEATURE_USAGE: Columns = &["account_id", "feature_id", "usage_date", "consumed"];

/// Columns of the history that `feature_cap_daily` reads beside snapshots.
pub const HISTORY: Columns = &[
    "user_pid",
    "feature_id",
    "value_type",
    "v_int",
    "unlimited",
    "product_id",
    "unit",
    "reset",
    "valid_from",
    "valid_to",
];

pub const USER_DAILY: &[(&str, Columns)] = &[
    ("account", ACCOUNT),
    ("subscription", SUBSCRIPTION),
    ("plan_member", PLAN_MEMBER),
    ("plan_phase", PLAN_PHASE),
    ("erasure_request", ERASURE_REQUEST),
];

pub const USER_ENTITLEMENT_HISTORY: &[(&str, Columns)] = &[
    ("account", &["account_id", "status", "country"]),
    ("subscription", BILLED_SUBSCRIPTION),
    ("plan_member", PLAN_MEMBER),
    ("plan_phase", BILLED_PHASE),
    ("erasure_request", ERASURE_REQUEST),
    ("product_feature", PRODUCT_FEATURE),
    ("account_grant", ACCOUNT_GRANT),
];

pub const FEATURE_CAP_DAILY: &[(&str, Columns)] = &[
    ("account", &["account_id", "status", "country", "created_at"]),
    ("subscription", BILLED_SUBSCRIPTION),
    ("plan_member", PLAN_MEMBER),
    ("plan_phase", PLAN_PHASE),
    ("erasure_request", ERASURE_REQUEST),
    ("feature_usage", FEATURE_USAGE),
];
