-- One row per user: their product, and what decides which rows of the catalogue hold for them (R5, R6).
--
-- Those rows change only at the instants of catalogue_change. So all who have one product in one market and role, and who
-- have reached as many of these instants, have the same rows.

WITH market AS (
    -- Countries of which the catalogue speaks; all others have what it says of *.
    SELECT DISTINCT market FROM product_feature WHERE market <> '*'
),

counted AS (
    SELECT
        *,
        coalesce(started_at, $as_of)                                            AS since,
        billing_window_start(started_at, anchor_day, billing_period, $as_of)    AS renewed_at
    FROM user_product
)

SELECT
    u.account_id, u.user_pid, u.product_id, u.included_addons, u.since, u.renewed_at,
    u.tier <> 'free'                                                            AS above_free,
    coalesce(m.market, '*')                                                     AS market,
    coalesce(u.role, '*')                                                       AS role,
    width_bucket(u.since, (SELECT for_new FROM catalogue_change))                               AS changes_since,
    coalesce(width_bucket(u.renewed_at, (SELECT for_existing FROM catalogue_change)), 0)        AS changes_renewed
FROM counted AS u
LEFT JOIN market AS m ON m.market = u.country
