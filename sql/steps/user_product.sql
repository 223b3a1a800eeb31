-- One row per user: their account, the subscription that decides what they have, and the product that it gives (R4).
--
-- Without a product, also of a plan that the catalogue does not know, they have the free one; started_at, anchor_day and
-- billing_period are then null, because no subscription's terms count (R5).

SELECT
    p.*,
    w.role, w.plan_id, w.state, w.trial_end_at, w.included_addons,
    coalesce(w.product_id, 'free')                             AS product_id,
    coalesce(w.tier, 'free')                                   AS tier,
    coalesce(w.tier_rank, 0)                                   AS tier_rank,
    CASE WHEN w.product_id IS NOT NULL THEN w.started_at END   AS started_at,
    CASE WHEN w.product_id IS NOT NULL THEN w.anchor_day END   AS anchor_day,
    w.billing_period
FROM person AS p
LEFT JOIN effective_subscription AS w ON w.account_id = p.account_id AND p.status = 'active'
