"""The curated tables: dataset, grain and the columns that the domain names."""

from typing import NamedTuple


class Table(NamedTuple):
    dataset: str
    key: list
    columns: dict
    day_column: str | None


def table(dataset, key, columns, day_column=None):
    return Table(dataset, key.split(), dict(column.split() for column in columns.split(",")), day_column)


def daily(dataset, key, columns):
    return table(dataset, f"snapshot_date {key}", f"snapshot_date DATE, {columns}", "snapshot_date")


def history(dataset, key, columns):
    interval = "valid_from TIMESTAMP, valid_to TIMESTAMP, is_current BOOL"
    return table(dataset, f"{key} valid_from", f"{columns}, {interval}")


TABLES = {
    "product_feature_history": history(
        "value_proposition",
        "product_id feature_id market role",
        """product_id STRING, feature_id STRING, market STRING, role STRING, value_type STRING, v_bool BOOL,
        v_int INT64, v_enum STRING, unlimited BOOL, unit STRING, reset STRING, merge STRING,
        existing_from TIMESTAMP""",
    ),
    "plan_price_history": history(
        "value_proposition",
        "plan_id plan_version phase_seq market cohort",
        """plan_id STRING, plan_version INT64, phase_seq INT64, market STRING, cohort STRING, currency STRING,
        amount NUMERIC, minor_unit INT64, tax_inclusive BOOL, existing_from TIMESTAMP""",
    ),
    "offer_availability_daily": daily(
        "value_proposition",
        "offer_id plan_id market",
        """offer_id STRING, plan_id STRING, market STRING, available BOOL, reason STRING, list_price NUMERIC,
        net_price NUMERIC, currency STRING""",
    ),
    "user_daily": daily(
        "users",
        "user_pid",
        """user_pid STRING, country STRING, lifecycle_state STRING, age_band STRING, signup_month DATE,
        email_verified BOOL, effective_product STRING, effective_plan STRING, tier STRING, tier_rank INT64,
        role STRING, is_paid BOOL, is_trial BOOL, quality_flags STRINGS""",
    ),
    "user_subscription_history": history(
        "users",
        "subscription_id",
        """subscription_id STRING, user_pid STRING, plan_id STRING, plan_version INT64, phase_seq INT64,
        category STRING, state STRING, entitled BOOL, blocked_by STRING, paid_through_at TIMESTAMP,
        currency STRING, store STRING""",
    ),
    "user_entitlement_history": history(
        "users",
        "user_pid feature_id",
        """user_pid STRING, feature_id STRING, value_type STRING, v_bool BOOL, v_int INT64, v_enum STRING,
        unlimited BOOL, source STRING, product_id STRING, unit STRING, reset STRING""",
    ),
    "user_price_daily": daily(
        "users",
        "subscription_id",
        """subscription_id STRING, user_pid STRING, plan_id STRING, market STRING, list_price NUMERIC,
        cohort STRING, offer_ids STRINGS, net_price NUMERIC, currency STRING, price_flag STRING""",
    ),
    "feature_cap_daily": daily(
        "value_proposition",
        "user_pid feature_id",
        """user_pid STRING, feature_id STRING, product_id STRING, country STRING, unit STRING, reset STRING,
        window_start TIMESTAMP, window_end TIMESTAMP, cap INT64, unlimited BOOL, consumed INT64, remaining INT64,
        exhausted BOOL""",
    ),
    "tier_metrics_daily": daily(
        "value_proposition",
        "market tier product_id",
        """market STRING, tier STRING, product_id STRING, accounts INT64, paid INT64, trial INT64, grace INT64,
        conversions INT64, churned INT64""",
    ),
    "user_pii": table(
        "users_restricted",
        "user_pid",
        "user_pid STRING, account_id STRING, email STRING, birth_date DATE, locale STRING",
    ),
    # Ours has a row per key and day; the lake's has one per row and run. They are compared by counts.
    "rejected_row": table(
        "ops",
        "run_date snapshot rule key",
        "run_date DATE, snapshot STRING, rule STRING, key STRINGS, rows INT64",
        "run_date",
    ),
}
