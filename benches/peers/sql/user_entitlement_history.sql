-- The first day of a history: one row per user and feature that the user has. Rules R5 to R7 and R13.
--
-- Nearly all users have what their product gives. What add-ons and grants touch is worked out apart, and is little.

WITH with_addons AS (
    SELECT
        p.user_pid, p.product_id, p.above_free, t.feature_id, g.is_removed, g.is_overridden, g.is_granted,
        g.override_bool, g.override_int, g.override_enum, g.override_unlimited,
        g.granted_bool, g.granted_int, g.granted_enum, g.granted_unlimited, g.topup, g.topup_unlimited,
        CASE WHEN b.feature_id IS NOT NULL THEN b.value_type WHEN a.feature_id IS NOT NULL THEN a.value_type ELSE f.value_type END AS value_type,
        CASE WHEN b.feature_id IS NOT NULL THEN b.unit       WHEN a.feature_id IS NOT NULL THEN a.unit       ELSE f.unit       END AS unit,
        CASE WHEN b.feature_id IS NOT NULL THEN b.reset      WHEN a.feature_id IS NOT NULL THEN a.reset      ELSE f.reset      END AS reset,
        b.feature_id IS NOT NULL OR a.feature_id IS NOT NULL AS is_had,
        b.feature_id AS base_feature, a.feature_id AS addon_feature,
        b.v_bool AS base_bool, b.v_int AS base_int, b.v_enum AS base_enum, b.unlimited AS base_unlimited,
        CASE
            WHEN a.feature_id IS NULL                     THEN b.v_bool
            WHEN coalesce(b.merge, a.merge) = 'override'  THEN a.first_bool
            ELSE coalesce(b.v_bool OR a.v_bool, b.v_bool, a.v_bool)
        END AS v_bool,
        CASE
            WHEN a.feature_id IS NULL                     THEN b.v_int
            WHEN coalesce(b.merge, a.merge) = 'override'  THEN a.first_int
            WHEN b.unlimited                              THEN b.v_int
            WHEN coalesce(b.merge, a.merge) = 'sum'       THEN coalesce(b.v_int + a.total, b.v_int, a.total)
            ELSE coalesce(greatest(b.v_int, a.v_int), b.v_int, a.v_int)
        END AS v_int,
        CASE
            WHEN a.feature_id IS NULL                     THEN b.v_enum
            WHEN coalesce(b.merge, a.merge) = 'override'  THEN a.first_enum
            ELSE coalesce(b.v_enum, a.v_enum)
        END AS v_enum,
        CASE
            WHEN a.feature_id IS NULL                     THEN b.unlimited
            WHEN coalesce(b.merge, a.merge) = 'override'  THEN a.first_unlimited
            ELSE coalesce(b.unlimited, FALSE) OR a.unlimited
        END AS unlimited
    FROM touched AS t
    JOIN product AS p ON p.account_id = t.account_id
    LEFT JOIN class_feature AS b
        ON  b.product_id = p.product_id AND b.market = p.market AND b.role = p.role AND b.since = p.since AND b.bound = p.bound
        AND b.feature_id = t.feature_id
    LEFT JOIN by_addon AS a ON a.account_id = t.account_id AND a.feature_id = t.feature_id
    LEFT JOIN by_grant AS g ON g.account_id = t.account_id AND g.feature_id = t.feature_id
    LEFT JOIN feature  AS f ON f.feature_id = t.feature_id
    WHERE g.is_removed IS NOT TRUE
      AND (b.feature_id IS NOT NULL OR a.feature_id IS NOT NULL OR g.is_overridden OR g.is_granted)
),

overridden AS (
    SELECT
        user_pid, product_id, above_free, feature_id, value_type, unit, reset, is_granted, topup, topup_unlimited,
        granted_bool, granted_int, granted_enum, granted_unlimited, is_had OR is_overridden AS is_had,
        CASE WHEN is_overridden THEN override_bool      ELSE v_bool    END AS v_bool,
        CASE WHEN is_overridden THEN override_int       ELSE v_int     END AS v_int,
        CASE WHEN is_overridden THEN override_enum      ELSE v_enum    END AS v_enum,
        CASE WHEN is_overridden THEN override_unlimited ELSE unlimited END AS unlimited,
        CASE
            WHEN is_overridden         THEN 'override'
            WHEN base_feature IS NULL  THEN 'addon'
            WHEN addon_feature IS NULL THEN 'product'
            WHEN v_bool IS NOT DISTINCT FROM base_bool AND v_int IS NOT DISTINCT FROM base_int
             AND v_enum IS NOT DISTINCT FROM base_enum AND unlimited = base_unlimited THEN 'product'
            ELSE 'addon'
        END AS source
    FROM with_addons
),

generous AS (
    SELECT
        *,
        coalesce(v_bool OR granted_bool, v_bool, granted_bool)                         AS more_bool,
        CASE WHEN is_had AND unlimited THEN v_int
             ELSE coalesce(greatest(v_int, granted_int), v_int, granted_int) END       AS more_int,
        coalesce(v_enum, granted_enum)                                                 AS more_enum,
        coalesce(is_had AND unlimited, FALSE) OR coalesce(granted_unlimited, FALSE)    AS more_unlimited
    FROM overridden
),

granted AS (
    SELECT
        *,
        CASE
            WHEN is_granted IS NOT TRUE THEN source
            WHEN is_had AND more_bool IS NOT DISTINCT FROM v_bool AND more_int IS NOT DISTINCT FROM v_int
             AND more_enum IS NOT DISTINCT FROM v_enum AND more_unlimited = unlimited THEN source
            ELSE 'grant'
        END AS granted_source,
        value_type = 'metered' AND above_free AND more_int IS NOT NULL AND NOT more_unlimited
            AND (topup <> 0 OR topup_unlimited) AS is_topped_up
    FROM generous
),

entitled AS (
    SELECT
        user_pid, feature_id, value_type, more_bool AS v_bool,
        CASE WHEN is_topped_up THEN more_int + coalesce(topup, 0) ELSE more_int END AS v_int,
        more_enum AS v_enum,
        coalesce(is_topped_up AND topup_unlimited, FALSE) OR more_unlimited AS unlimited,
        CASE WHEN is_topped_up THEN 'topup' ELSE granted_source END AS source,
        product_id, unit, reset
    FROM granted

    UNION ALL

    SELECT p.user_pid, f.feature_id, f.value_type, f.v_bool, f.v_int, f.v_enum, f.unlimited, 'product' AS source, p.product_id, f.unit, f.reset
    FROM product AS p
    JOIN class_feature AS f
        ON f.product_id = p.product_id AND f.market = p.market AND f.role = p.role AND f.since = p.since AND f.bound = p.bound
    WHERE NOT EXISTS (SELECT 1 FROM touched AS t WHERE t.account_id = p.account_id AND t.feature_id = f.feature_id)
)

SELECT *, instant($midnight) AS valid_from, CAST(NULL AS $instant) AS valid_to, TRUE AS is_current
FROM entitled
ORDER BY user_pid, feature_id
