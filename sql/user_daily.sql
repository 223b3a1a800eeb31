-- One row per user and day: lifecycle, effective product and tier. Rules R2 to R5, R10, R11 and R13.

WITH schedule AS (
    -- How long each phase of a plan version lasts, in their order (R5).
    SELECT
        plan_id,
        plan_version,
        array_agg(length      ORDER BY phase_seq) AS lengths,
        array_agg(length_unit ORDER BY phase_seq) AS units
    FROM plan_phase
    GROUP BY plan_id, plan_version
),

phase AS (
    -- What each phase gives, by its place in that order.
    SELECT plan_id, plan_version, product_id, tier, tier_rank,
           CAST(row_number() OVER (PARTITION BY plan_id, plan_version ORDER BY phase_seq) AS BIGINT) AS place
    FROM plan_phase
),

started AS (
    SELECT subscription_id, account_id, plan_id, plan_version, state, started_at,
           paid_through_at, grace_until, trial_end_at, ends_at
    FROM subscription
    WHERE category = 'base'
      AND NOT is_sandbox
      AND started_at <= $as_of
),

entitling AS (
    -- R3, but for the owner's account, which is looked at where the owner is known; and the phase it is in (R5).
    SELECT s.subscription_id, s.account_id AS owner_id, s.plan_id, s.plan_version, s.state, s.started_at, s.trial_end_at,
           phase_at(s.started_at, $as_of, p.lengths, p.units) AS place
    FROM started AS s
    LEFT JOIN schedule AS p ON p.plan_id = s.plan_id AND p.plan_version = s.plan_version
    WHERE (s.ends_at IS NULL OR s.ends_at > $as_of)
      AND CASE s.state
              WHEN 'active'    THEN TRUE
              WHEN 'grace'     THEN $as_of < s.grace_until
              WHEN 'cancelled' THEN $as_of < s.paid_through_at
              ELSE FALSE
          END
),

entitled AS (
    -- With what it gives; a plan that the catalogue does not know gives nothing, and entitles all the same.
    SELECT e.subscription_id, e.owner_id, e.plan_id, e.state, e.started_at, e.trial_end_at, p.product_id, p.tier, p.tier_rank
    FROM entitling AS e
    LEFT JOIN phase AS p ON p.plan_id = e.plan_id AND p.plan_version = e.plan_version AND p.place = e.place
),

candidate AS (
    -- R4: what an account owns, and what it is a member of. The account's own status is looked at in the end.
    SELECT owner_id AS account_id, 'manager' AS role, subscription_id, plan_id, state, started_at, trial_end_at,
           product_id, tier, tier_rank
    FROM entitled

    UNION ALL

    SELECT m.account_id, m.role, e.subscription_id, e.plan_id, e.state, e.started_at, e.trial_end_at,
           e.product_id, e.tier, e.tier_rank
    FROM plan_member AS m
    JOIN entitled AS e ON e.subscription_id = m.subscription_id
    JOIN account AS owner ON owner.account_id = e.owner_id AND owner.status = 'active'
    WHERE m.joined_at <= $as_of
      AND (m.left_at IS NULL OR m.left_at > $as_of)
),

winner AS (
    SELECT account_id, role, plan_id, state, trial_end_at, product_id, tier, tier_rank
    FROM (
        SELECT *, row_number() OVER (
            PARTITION BY account_id
            ORDER BY tier_rank DESC NULLS LAST, role = 'manager' DESC, started_at DESC, subscription_id
        ) AS place
        FROM candidate
    )
    WHERE place = 1
),

held AS (
    -- What an account without a winner is told apart by (R10).
    SELECT
        account_id,
        bool_or(state = 'on_hold') AS on_hold,
        bool_or(state = 'paused')  AS paused
    FROM started
    WHERE state <> 'pending'
    GROUP BY account_id
),

person AS (
    SELECT account_id, status, country, birth_date, created_at, email_verified
    FROM account AS a
    WHERE NOT EXISTS (
        SELECT 1 FROM erasure_request AS e
        WHERE e.account_id = a.account_id AND e.requested_at <= $as_of
    )
),

state AS (
    SELECT
        p.*,
        w.role, w.plan_id, w.product_id, w.tier, w.tier_rank,
        CASE
            WHEN p.status <> 'active'          THEN p.status
            WHEN w.state = 'grace'             THEN 'grace'
            WHEN w.state = 'cancelled'         THEN 'cancelled_paid_through'
            WHEN w.trial_end_at > $as_of       THEN 'trial'
            WHEN w.tier <> 'free'              THEN 'paid'
            WHEN w.account_id IS NOT NULL      THEN 'free'
            WHEN h.on_hold                     THEN 'on_hold'
            WHEN h.paused                      THEN 'paused'
            WHEN h.account_id IS NOT NULL      THEN 'lapsed'
            ELSE 'free'
        END AS lifecycle_state
    FROM person AS p
    LEFT JOIN winner AS w ON w.account_id = p.account_id AND p.status = 'active'
    LEFT JOIN held AS h ON h.account_id = p.account_id
)

SELECT
    $snapshot_date                                                AS snapshot_date,
    user_pid(account_id)                                          AS user_pid,
    CASE WHEN is_country(country) THEN country ELSE 'ZZ' END      AS country,
    lifecycle_state,
    age_band(birth_date, $snapshot_date)                          AS age_band,
    CAST(date_trunc('month', created_at) AS DATE)                 AS signup_month,
    email_verified,
    coalesce(product_id, 'free')                                  AS effective_product,
    plan_id                                                       AS effective_plan,
    coalesce(tier, 'free')                                        AS tier,
    coalesce(tier_rank, 0)                                        AS tier_rank,
    role,
    coalesce(tier, 'free') <> 'free' AND lifecycle_state <> 'trial' AS is_paid,
    lifecycle_state = 'trial'                                     AS is_trial,
    flags(
        'implausible_birth_date', birth_date IS NOT NULL AND age_band(birth_date, $snapshot_date) = 'unknown',
        'unknown_country',        NOT is_country(country)
    )                                                             AS quality_flags
FROM state
