-- The state on a day: one row per user and feature that the user has. Rules R5 to R7 and R13.
--
-- Most users have what their product gives. Those of whom a feature has more to it are worked out apart.

WITH by_product AS (
    SELECT
        u.account_id, u.user_pid, u.product_id, u.above_free,
        f.feature_id, f.value_type, f.unit, f.reset, f.v_bool, f.v_int, f.v_enum, f.unlimited, f.merge
    FROM user_base AS u
    JOIN terms_feature AS f
      ON f.product_id = u.product_id AND f.market = u.market AND f.role = u.role
     AND f.changes_since = u.changes_since AND f.changes_renewed = u.changes_renewed
    WHERE u.has_extra
),

by_account AS (
    -- With the user again, because the product may not have the feature.
    SELECT u.user_pid, u.product_id, u.above_free, e.*
    FROM user_extra AS e
    JOIN user_base AS u ON u.account_id = e.account_id
),

layered AS (
    SELECT
        coalesce(p.user_pid, e.user_pid)                                            AS user_pid,
        coalesce(p.product_id, e.product_id)                                        AS product_id,
        coalesce(p.above_free, e.above_free)                                        AS above_free,
        coalesce(p.feature_id, e.feature_id)                                        AS feature_id,
        CASE WHEN p.feature_id IS NULL THEN e.value_type ELSE p.value_type END      AS value_type,
        CASE WHEN p.feature_id IS NULL THEN e.unit       ELSE p.unit       END      AS unit,
        CASE WHEN p.feature_id IS NULL THEN e.reset      ELSE p.reset      END      AS reset,
        CASE WHEN p.feature_id IS NOT NULL THEN named_struct(
            'v_bool', p.v_bool, 'v_int', p.v_int, 'v_enum', p.v_enum, 'unlimited', p.unlimited, 'merge', p.merge
        ) END                                                                       AS base,
        e.addons, e.grants
    FROM by_account AS e
    FULL JOIN by_product AS p ON p.account_id = e.account_id AND p.feature_id = e.feature_id
),

merged AS (
    SELECT *, feature_value(value_type, base, addons, grants, above_free) AS value
    FROM layered
)

SELECT
    u.user_pid, f.feature_id, f.value_type, f.v_bool, f.v_int, f.v_enum, f.unlimited, 'product' AS source,
    u.product_id, f.unit, f.reset
FROM user_base AS u
JOIN terms_feature AS f
  ON f.product_id = u.product_id AND f.market = u.market AND f.role = u.role
 AND f.changes_since = u.changes_since AND f.changes_renewed = u.changes_renewed
WHERE NOT u.has_extra

UNION ALL

SELECT
    user_pid, feature_id, value_type, value['v_bool'], value['v_int'], value['v_enum'], value['unlimited'], value['source'],
    product_id, unit, reset
FROM merged
WHERE value IS NOT NULL
