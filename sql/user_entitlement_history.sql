-- The state on a day: one row per user and feature that the user has. Rules R5 to R7 and R13.
--
-- Most features a user has as their product gives them. Those that have more to them are worked out apart.

WITH by_product AS (
    SELECT
        u.user_pid, u.product_id, u.extra, f.feature_id, f.value_type, f.unit, f.reset, f.v_bool, f.v_int, f.v_enum, f.unlimited
    FROM user_base AS u
    JOIN terms_feature AS f
      ON f.product_id = u.product_id AND f.market = u.market AND f.role = u.role
     AND f.changes_since = u.changes_since AND f.changes_renewed = u.changes_renewed
),

layered AS (
    -- Of a feature that the product does not have, the first of what they have says what it is.
    SELECT
        u.user_pid, u.product_id, u.above_free, e.feature_id,
        CASE WHEN f.feature_id IS NULL THEN e.value_type ELSE f.value_type END      AS value_type,
        CASE WHEN f.feature_id IS NULL THEN e.unit       ELSE f.unit       END      AS unit,
        CASE WHEN f.feature_id IS NULL THEN e.reset      ELSE f.reset      END      AS reset,
        CASE WHEN f.feature_id IS NOT NULL THEN named_struct(
            'v_bool', f.v_bool, 'v_int', f.v_int, 'v_enum', f.v_enum, 'unlimited', f.unlimited, 'merge', f.merge
        ) END                                                                       AS base,
        e.addons, e.grants
    FROM user_extra AS e
    JOIN user_base AS u ON u.account_id = e.account_id
    LEFT JOIN terms_feature AS f
      ON f.product_id = u.product_id AND f.market = u.market AND f.role = u.role
     AND f.changes_since = u.changes_since AND f.changes_renewed = u.changes_renewed
     AND f.feature_id = e.feature_id
),

merged AS (
    SELECT *, feature_value(value_type, base, addons, grants, above_free) AS value
    FROM layered
)

SELECT
    user_pid, feature_id, value_type, v_bool, v_int, v_enum, unlimited, 'product' AS source, product_id, unit, reset
FROM by_product
WHERE extra IS NULL

UNION ALL

SELECT
    user_pid, feature_id, value_type, v_bool, v_int, v_enum, unlimited, 'product' AS source, product_id, unit, reset
FROM by_product
WHERE extra IS NOT NULL AND NOT array_has(extra, feature_id)

UNION ALL

SELECT
    user_pid, feature_id, value_type, value['v_bool'], value['v_int'], value['v_enum'], value['unlimited'], value['source'],
    product_id, unit, reset
FROM merged
WHERE value IS NOT NULL
