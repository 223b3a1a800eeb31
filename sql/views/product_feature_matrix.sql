-- View value_proposition.product_feature_matrix: one row per feature, one column per tier: what a customer gets, in words.
--
-- It shows what holds where a market has no row of its own, for the manager of a shared subscription, without add-ons. Where the
-- products of a tier differ, the values are listed: '15 hours or unlimited'. Null: no product of the tier has the feature. The
-- products of a tier are those that somebody has on the latest day.
--
-- What does premium have that mid has not?
--   SELECT feature_id, premium FROM value_proposition.product_feature_matrix WHERE mid IS NULL AND premium IS NOT NULL

CREATE OR REPLACE VIEW value_proposition.product_feature_matrix AS
WITH product AS (
    SELECT DISTINCT product_id, tier
    FROM value_proposition.tier_metrics_daily
    WHERE snapshot_date = (SELECT MAX(snapshot_date) FROM value_proposition.tier_metrics_daily)
      AND accounts > 0
),

offered AS (
    -- What is said of the manager counts before what is said of everybody.
    SELECT product_id, feature_id, value_type, v_bool, v_int, v_enum, unlimited, unit
    FROM value_proposition.product_feature_history
    WHERE is_current
      AND market = '*'
      AND role IN ('*', 'manager')
    QUALIFY ROW_NUMBER() OVER (PARTITION BY product_id, feature_id ORDER BY role = '*') = 1
),

told AS (
    SELECT DISTINCT
        offered.feature_id,
        product.tier,
        CASE
            WHEN unlimited              THEN 'unlimited'
            WHEN v_bool                 THEN 'yes'
            WHEN NOT v_bool             THEN 'no'
            WHEN v_enum IS NOT NULL     THEN v_enum
            WHEN v_int IS NOT NULL      THEN CONCAT(CAST(v_int AS STRING), IFNULL(CONCAT(' ', unit), ''))
            WHEN value_type = 'metered' THEN 'no cap'
            ELSE 'yes'
        END AS value
    FROM offered
    JOIN product ON product.product_id = offered.product_id
)

SELECT
    feature_id,
    STRING_AGG(IF(tier = 'free',    value, NULL), ' or ' ORDER BY value) AS free,
    STRING_AGG(IF(tier = 'mid',     value, NULL), ' or ' ORDER BY value) AS mid,
    STRING_AGG(IF(tier = 'premium', value, NULL), ' or ' ORDER BY value) AS premium
FROM told
GROUP BY feature_id
