-- One row per user and feature that has more to it than the user's product: add-ons and live grants, to be merged (R6).

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

from_addon AS (
    -- By product; of one product the included before the bought.
    SELECT
        a.account_id, a.quantity, f.*,
        row_number() OVER (
            PARTITION BY a.account_id, f.feature_id ORDER BY a.product_id, a.subscription_id NULLS FIRST
        ) AS nth
    FROM user_addon AS a
    JOIN terms_feature AS f
      ON f.product_id = a.product_id AND f.market = a.market AND f.role = a.role
     AND f.changes_since = a.changes_since AND f.changes_renewed = a.changes_renewed
),

by_addon AS (
    -- Where the product does not have the feature, the first of them says what it is.
    SELECT
        account_id, feature_id,
        first_value(value_type ORDER BY nth) AS value_type,
        first_value(unit       ORDER BY nth) AS unit,
        first_value(reset      ORDER BY nth) AS reset,
        array_agg(named_struct(
            'v_bool', v_bool, 'v_int', v_int, 'v_enum', v_enum, 'unlimited', unlimited,
            'merge', merge, 'quantity', quantity, 'place', CAST(nth AS BIGINT)
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
)

SELECT
    coalesce(a.account_id, g.account_id)                                       AS account_id,
    coalesce(a.feature_id, g.feature_id)                                       AS feature_id,
    CASE WHEN a.feature_id IS NULL THEN g.value_type ELSE a.value_type END     AS value_type,
    CASE WHEN a.feature_id IS NULL THEN g.unit       ELSE a.unit       END     AS unit,
    CASE WHEN a.feature_id IS NULL THEN g.reset      ELSE a.reset      END     AS reset,
    a.addons, g.grants
FROM by_addon AS a
FULL JOIN by_grant AS g ON g.account_id = a.account_id AND g.feature_id = a.feature_id
