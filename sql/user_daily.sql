-- One row per user and day: lifecycle, effective product and tier. Rules R2 to R5, R10, R11 and R13.

WITH held AS (
    -- What an account without a winner is told apart by (R10).
    SELECT
        account_id,
        bool_or(state = 'on_hold') AS on_hold,
        bool_or(state = 'paused')  AS paused
    FROM subscription
    WHERE category = 'base'
      AND NOT is_sandbox
      AND started_at <= $as_of
      AND state <> 'pending'
    GROUP BY account_id
),

placed AS (
    SELECT
        u.*,
        CASE
            WHEN u.status <> 'active'             THEN u.status
            WHEN u.state = 'grace'                THEN 'grace'
            WHEN u.state = 'cancelled'            THEN 'cancelled_paid_through'
            WHEN u.trial_end_at > $as_of          THEN 'trial'
            WHEN u.tier <> 'free'                 THEN 'paid'
            WHEN u.plan_id IS NOT NULL            THEN 'free'
            WHEN h.on_hold                        THEN 'on_hold'
            WHEN h.paused                         THEN 'paused'
            WHEN h.account_id IS NOT NULL         THEN 'lapsed'
            ELSE 'free'
        END AS lifecycle_state
    FROM user_product AS u
    LEFT JOIN held AS h ON h.account_id = u.account_id
)

SELECT
    $snapshot_date                                       AS snapshot_date,
    user_pid,
    country,
    lifecycle_state,
    age_band(birth_date, $snapshot_date)                 AS age_band,
    CAST(date_trunc('month', created_at) AS DATE)        AS signup_month,
    email_verified,
    product_id                                           AS effective_product,
    plan_id                                              AS effective_plan,
    tier,
    tier_rank,
    role,
    tier <> 'free' AND lifecycle_state <> 'trial'        AS is_paid,
    lifecycle_state = 'trial'                            AS is_trial,
    flags(
        'implausible_birth_date', birth_date IS NOT NULL AND age_band(birth_date, $snapshot_date) = 'unknown',
        'unknown_country',        country = 'ZZ'
    )                                                    AS quality_flags
FROM placed
