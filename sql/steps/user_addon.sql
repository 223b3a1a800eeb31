-- One row per user and add-on product that they have, with what decides which of its rows hold, as in user_terms: those that
-- their phase includes, on the terms of their subscription, and those that they bought, each on its own (R6).

SELECT
    account_id, addon_id AS product_id, market, role, since, renewed_at, changes_since, changes_renewed,
    CAST(NULL AS VARCHAR) AS subscription_id, 1 AS quantity
FROM (SELECT *, unnest(array_distinct(included_addons)) AS addon_id FROM user_terms)
WHERE addon_id <> product_id

UNION ALL

SELECT
    account_id, product_id, market, role, since, renewed_at,
    width_bucket(since, (SELECT for_new FROM catalogue_change))                             AS changes_since,
    coalesce(width_bucket(renewed_at, (SELECT for_existing FROM catalogue_change)), 0)      AS changes_renewed,
    subscription_id, quantity
FROM (
    SELECT
        u.account_id, s.product_id, u.market, u.role, s.started_at AS since,
        billing_window_start(s.started_at, s.anchor_day, s.billing_period, $as_of) AS renewed_at,
        s.subscription_id, s.quantity
    FROM subscription_state AS s
    JOIN user_terms AS u ON u.account_id = s.owner_id
    WHERE s.category = 'addon' AND s.blocked_by IS NULL
)
