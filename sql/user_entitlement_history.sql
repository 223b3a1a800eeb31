-- The state on a day: one row per user and feature that the user has. Rules R5 to R7 and R13.

WITH feature AS (
    -- What a feature is, for users who have it by a grant alone: its first row in the catalogue.
    SELECT
        feature_id,
        first_value(value_type ORDER BY product_id, market, role, effective_from) AS value_type,
        first_value(unit       ORDER BY product_id, market, role, effective_from) AS unit,
        first_value(reset      ORDER BY product_id, market, role, effective_from) AS reset
    FROM product_feature
    GROUP BY feature_id
),

market AS (
    -- Countries of which the catalogue speaks; all others have what it says of *.
    SELECT market FROM product_feature UNION SELECT '*'
),

role (role) AS (
    VALUES ('*'), ('manager'), ('member')
),

numbered AS (
    SELECT *, row_number() OVER (ORDER BY product_id, feature_id, market, role, effective_from) AS number
    FROM product_feature
),

terms AS (
    -- All rows of a product on a feature for a market and a role, the most specific first, then the latest (R6).
    SELECT
        f.product_id, f.feature_id, m.market, r.role,
        array_agg(f.number         ORDER BY f.market <> '*' DESC, f.role <> '*' DESC, f.effective_from DESC) AS numbers,
        array_agg(f.effective_from ORDER BY f.market <> '*' DESC, f.role <> '*' DESC, f.effective_from DESC) AS effective_from,
        array_agg(f.effective_to   ORDER BY f.market <> '*' DESC, f.role <> '*' DESC, f.effective_from DESC) AS effective_to,
        array_agg(f.existing_from  ORDER BY f.market <> '*' DESC, f.role <> '*' DESC, f.effective_from DESC) AS existing_from
    FROM numbered AS f
    JOIN market AS m ON f.market IN ('*', m.market)
    JOIN role   AS r ON f.role   IN ('*', r.role)
    GROUP BY f.product_id, f.feature_id, m.market, r.role
),

product AS (
    SELECT u.account_id, u.user_pid, coalesce(m.market, '*') AS market, coalesce(u.role, '*') AS role, u.product_id,
           u.tier <> 'free' AS above_free, u.started_at, u.anchor_day, u.billing_period, u.included_addons
    FROM user_product AS u
    LEFT JOIN market AS m ON m.market = u.country
),

by_product AS (
    -- What the product gives: for each feature the first row that applies (R5).
    SELECT
        p.account_id, p.user_pid, p.product_id, p.above_free, f.feature_id, f.value_type, f.unit, f.reset,
        f.v_bool, f.v_int, f.v_enum, f.unlimited, f.merge
    FROM numbered AS f
    JOIN (
        SELECT
            p.account_id, p.user_pid, p.product_id, p.above_free,
            t.numbers[applying_row(p.started_at, p.anchor_day, p.billing_period, $as_of,
                                   t.effective_from, t.effective_to, t.existing_from)] AS number
        FROM terms AS t
        JOIN product AS p ON p.product_id = t.product_id AND p.market = t.market AND p.role = t.role
    ) AS p ON p.number = f.number
),

addon AS (
    -- Those that the subscription includes, and those that the account itself bought, each with the terms of its own.
    SELECT account_id, market, role, addon_id, NULL AS subscription_id, 1 AS quantity, started_at, anchor_day, billing_period
    FROM (SELECT *, unnest(array_distinct(included_addons)) AS addon_id FROM product)
    WHERE addon_id <> product_id

    UNION ALL

    SELECT p.account_id, p.market, p.role, s.product_id, s.subscription_id, s.quantity,
           s.started_at, s.anchor_day, s.billing_period
    FROM subscription_state AS s
    JOIN product AS p ON p.account_id = s.owner_id
    WHERE s.category = 'addon' AND s.blocked_by IS NULL
),

ranked_addon AS (
    -- By product; of one product the included before the bought.
    SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY addon_id, subscription_id NULLS FIRST) AS place
    FROM addon
),

from_addon AS (
    SELECT a.account_id, a.quantity, a.place, f.*
    FROM numbered AS f
    JOIN (
        SELECT
            a.account_id, a.quantity, CAST(a.place AS BIGINT) AS place,
            t.numbers[applying_row(a.started_at, a.anchor_day, a.billing_period, $as_of,
                                   t.effective_from, t.effective_to, t.existing_from)] AS number
        FROM terms AS t
        JOIN ranked_addon AS a ON a.addon_id = t.product_id AND a.market = t.market AND a.role = t.role
    ) AS a ON a.number = f.number
),

by_addon AS (
    -- Where the product does not have the feature, the first of them says what it is.
    SELECT
        account_id, feature_id,
        first_value(value_type ORDER BY place) AS value_type,
        first_value(unit       ORDER BY place) AS unit,
        first_value(reset      ORDER BY place) AS reset,
        array_agg(named_struct(
            'v_bool', v_bool, 'v_int', v_int, 'v_enum', v_enum, 'unlimited', unlimited,
            'merge', merge, 'quantity', quantity, 'place', place
        )) AS addons
    FROM from_addon
    GROUP BY account_id, feature_id
),

by_grant AS (
    SELECT
        g.account_id, g.feature_id, f.value_type, f.unit, f.reset,
        array_agg(named_struct(
            'kind', g.kind, 'v_bool', g.v_bool, 'v_int', g.v_int, 'v_enum', g.v_enum, 'unlimited', g.unlimited,
            'priority', g.priority, 'effective_from', g.effective_from, 'grant_id', g.grant_id
        )) AS grants
    FROM account_grant AS g
    JOIN feature AS f ON f.feature_id = g.feature_id
    WHERE g.kind <> 'offer_redemption'
      AND g.effective_from <= $as_of
      AND (g.expires_at IS NULL OR g.expires_at > $as_of)
      AND (g.voided_at  IS NULL OR g.voided_at  > $as_of)
    GROUP BY g.account_id, g.feature_id, f.value_type, f.unit, f.reset
),

by_account AS (
    -- What comes on top of the product, with the user again, because the product may not have the feature.
    SELECT p.account_id, p.user_pid, p.product_id, p.above_free, e.feature_id, e.value_type, e.unit, e.reset, e.addons, e.grants
    FROM (
        SELECT
            coalesce(a.account_id, g.account_id)                                       AS account_id,
            coalesce(a.feature_id, g.feature_id)                                       AS feature_id,
            CASE WHEN a.feature_id IS NULL THEN g.value_type ELSE a.value_type END     AS value_type,
            CASE WHEN a.feature_id IS NULL THEN g.unit       ELSE a.unit       END     AS unit,
            CASE WHEN a.feature_id IS NULL THEN g.reset      ELSE a.reset      END     AS reset,
            a.addons, g.grants
        FROM by_addon AS a
        FULL JOIN by_grant AS g ON g.account_id = a.account_id AND g.feature_id = a.feature_id
    ) AS e
    JOIN product AS p ON p.account_id = e.account_id
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

entitled AS (
    SELECT *, feature_value(value_type, base, addons, grants, above_free) AS value
    FROM layered
)

SELECT
    user_pid,
    feature_id,
    value_type,
    value['v_bool']    AS v_bool,
    value['v_int']     AS v_int,
    value['v_enum']    AS v_enum,
    value['unlimited'] AS unlimited,
    value['source']    AS source,
    product_id,
    unit,
    reset
FROM entitled
WHERE value IS NOT NULL
