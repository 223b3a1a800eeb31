-- View users.entitlement_current: one row per user and feature that they have now, with its value in words and where it came from.
--
-- A feature that a user does not have has no row. value reads well; filter and count by v_bool, v_int, v_enum and unlimited.
--
-- Who got their audiobook hours from something else than their product?
--   SELECT source, COUNT(*) AS users FROM users.entitlement_current
--   WHERE feature_id = 'audiobook_hours' AND source <> 'product' GROUP BY source

CREATE OR REPLACE VIEW users.entitlement_current AS
SELECT
    user_pid,
    feature_id,
    product_id,
    source,
    value_type,
    CASE
        WHEN unlimited              THEN 'unlimited'
        WHEN v_bool                 THEN 'yes'
        WHEN NOT v_bool             THEN 'no'
        WHEN v_enum IS NOT NULL     THEN v_enum
        WHEN v_int IS NOT NULL      THEN CONCAT(CAST(v_int AS STRING), IFNULL(CONCAT(' ', unit), ''))
        WHEN value_type = 'metered' THEN 'no cap'
        ELSE 'yes'
    END AS value,
    v_bool,
    v_int,
    v_enum,
    unlimited,
    unit,
    reset,
    DATE(valid_from) AS since
FROM users.user_entitlement_history
WHERE is_current
