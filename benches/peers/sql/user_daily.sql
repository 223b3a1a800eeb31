-- One row per user and day. Rules R2 to R5, R10, R11 and R13.

WITH held AS (
    -- What an account without a winner is told apart by (R10).
    SELECT account_id, bool_or(state = 'on_hold') AS on_hold, bool_or(state = 'paused') AS paused
    FROM subscription
    WHERE category = 'base' AND NOT is_sandbox AND utc(started_at) <= $as_of AND state <> 'pending'
    GROUP BY account_id
),
aged AS (
    SELECT
        u.*,
        completed_years(birth_date, $snapshot_date) AS years,
        CASE
            WHEN u.status <> 'active'          THEN u.status
            WHEN u.state = 'grace'             THEN 'grace'
            WHEN u.state = 'cancelled'         THEN 'cancelled_paid_through'
            WHEN u.trial_end_at > $as_of       THEN 'trial'
            WHEN u.tier <> 'free'              THEN 'paid'
            WHEN u.subscription_id IS NOT NULL THEN 'free'
            WHEN h.on_hold                     THEN 'on_hold'
            WHEN h.paused                      THEN 'paused'
            WHEN h.account_id IS NOT NULL      THEN 'lapsed'
            ELSE 'free'
        END AS lifecycle_state
    FROM user_product AS u
    LEFT JOIN held AS h ON h.account_id = u.account_id
),
banded AS (
    SELECT *, birth_date IS NOT NULL AND (birth_date > $snapshot_date OR years > 120) AS is_implausible FROM aged
)
SELECT
    $snapshot_date                                  AS snapshot_date,
    user_pid(account_id)                            AS user_pid,
    country,
    lifecycle_state,
    CASE
        WHEN birth_date IS NULL OR is_implausible THEN 'unknown'
        WHEN years < 13 THEN 'under_13'
        WHEN years < 16 THEN '13_15'
        WHEN years < 18 THEN '16_17'
        WHEN years < 25 THEN '18_24'
        WHEN years < 35 THEN '25_34'
        WHEN years < 45 THEN '35_44'
        WHEN years < 55 THEN '45_54'
        WHEN years < 65 THEN '55_64'
        ELSE '65_plus'
    END                                             AS age_band,
    CAST(date_trunc('month', created_at) AS DATE)   AS signup_month,
    email_verified,
    product_id                                      AS effective_product,
    plan_id                                         AS effective_plan,
    tier,
    tier_rank,
    role,
    tier <> 'free' AND lifecycle_state <> 'trial'   AS is_paid,
    lifecycle_state = 'trial'                       AS is_trial,
    texts('implausible_birth_date', is_implausible, 'unknown_country', country = 'ZZ') AS quality_flags
FROM banded
