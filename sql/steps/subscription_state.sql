-- One row per subscription: whether it entitles, and what keeps it from that: the first that fails of R3.

WITH owned AS (
    SELECT h.*, a.status = 'active' AS owner_is_active
    FROM held_subscription AS h
    LEFT JOIN account AS a ON a.account_id = h.owner_id
),

base AS (
    SELECT subscription_id
    FROM owned
    WHERE category = 'base' AND blocked_by IS NULL AND owner_is_active
)

SELECT
    o.subscription_id, o.owner_id, o.plan_id, o.plan_version, o.category, o.quantity, o.state, o.started_at,
    o.paid_through_at, o.anchor_day, o.price_cohort, o.locked_price, o.currency, o.store,
    o.phase_seq, o.product_id, o.billing_period,
    CASE
        WHEN o.blocked_by IS NOT NULL                              THEN o.blocked_by
        WHEN o.owner_is_active IS NOT TRUE                         THEN 'account'
        WHEN o.category = 'addon' AND b.subscription_id IS NULL    THEN 'base'
    END AS blocked_by
FROM owned AS o
LEFT JOIN base AS b ON b.subscription_id = o.base_subscription_id
