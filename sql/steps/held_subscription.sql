-- One row per subscription: what of itself keeps it from entitling (R3), and the phase that it is in (R5).
--
-- What others decide is not in here: the owner's account, and for an add-on its base.

WITH schedule AS (
    -- How long each phase of a plan's version lasts, in their order.
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
    SELECT
        plan_id, plan_version, phase_seq, product_id, tier, tier_rank, billing_period, included_addons,
        CAST(row_number() OVER (PARTITION BY plan_id, plan_version ORDER BY phase_seq) AS BIGINT) AS place
    FROM plan_phase
),

placed AS (
    SELECT
        s.*,
        phase_at(s.started_at, $as_of, p.lengths, p.units) AS place,
        CASE
            WHEN s.is_sandbox            THEN 'sandbox'
            WHEN s.started_at > $as_of   THEN 'not_started'
            WHEN s.ends_at <= $as_of     THEN 'ended'
            WHEN s.state = 'active'      THEN NULL
            WHEN s.state = 'grace'       AND $as_of < s.grace_until     THEN NULL
            WHEN s.state = 'cancelled'   AND $as_of < s.paid_through_at THEN NULL
            ELSE 'state'
        END AS blocked_by
    FROM subscription AS s
    LEFT JOIN schedule AS p ON p.plan_id = s.plan_id AND p.plan_version = s.plan_version
)

-- A plan that the catalogue does not know gives nothing, and entitles all the same.
SELECT
    s.subscription_id, s.account_id AS owner_id, s.plan_id, s.plan_version, s.category, s.base_subscription_id,
    s.quantity, s.state, s.started_at, s.paid_through_at, s.trial_end_at, s.anchor_day, s.price_cohort, s.locked_price,
    s.currency, s.store, s.blocked_by,
    p.phase_seq, p.product_id, p.tier, p.tier_rank, p.billing_period, p.included_addons
FROM placed AS s
LEFT JOIN phase AS p ON p.plan_id = s.plan_id AND p.plan_version = s.plan_version AND p.place = s.place
