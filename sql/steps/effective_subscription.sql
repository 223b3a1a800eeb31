-- One row per account that owns or shares an entitled base subscription: the best of them, R4.
--
-- The account's own status is looked at where its product is told; that of the owner of a shared one is looked at here.

WITH entitled AS (
    SELECT *
    FROM held_subscription
    WHERE category = 'base' AND blocked_by IS NULL
),

candidate AS (
    SELECT owner_id AS account_id, 'manager' AS role, subscription_id, plan_id, state, started_at, anchor_day, trial_end_at,
           product_id, tier, tier_rank, billing_period, included_addons
    FROM entitled

    UNION ALL

    SELECT m.account_id, m.role, e.subscription_id, e.plan_id, e.state, e.started_at, e.anchor_day, e.trial_end_at,
           e.product_id, e.tier, e.tier_rank, e.billing_period, e.included_addons
    FROM plan_member AS m
    JOIN entitled AS e ON e.subscription_id = m.subscription_id
    JOIN account AS owner ON owner.account_id = e.owner_id AND owner.status = 'active'
    WHERE m.joined_at <= $as_of
      AND (m.left_at IS NULL OR m.left_at > $as_of)
)

SELECT
    account_id,
    best['role']            AS role,
    best['plan_id']         AS plan_id,
    best['state']           AS state,
    best['started_at']      AS started_at,
    best['anchor_day']      AS anchor_day,
    best['trial_end_at']    AS trial_end_at,
    best['product_id']      AS product_id,
    best['tier']            AS tier,
    best['tier_rank']       AS tier_rank,
    best['billing_period']  AS billing_period,
    best['included_addons'] AS included_addons
FROM (
    -- The subscription's id decides last and is no part of the row: what is read from the row would be of its class.
    SELECT
        account_id,
        best(
            named_struct(
                'role', role, 'plan_id', plan_id, 'state', state, 'started_at', started_at, 'anchor_day', anchor_day,
                'trial_end_at', trial_end_at, 'product_id', product_id, 'tier', tier, 'tier_rank', tier_rank,
                'billing_period', billing_period, 'included_addons', included_addons
            )
            ORDER BY tier_rank DESC NULLS LAST, role = 'manager' DESC, started_at DESC, subscription_id
        ) AS best
    FROM candidate
    GROUP BY account_id
)
