-- One row: the instants at which what products give changes (R5), earliest first.

SELECT
    -- A row begins or ends: what holds for who subscribes.
    array_agg(DISTINCT at ORDER BY at) FILTER (WHERE at IS NOT NULL AND NOT is_renewal) AS for_new,
    -- A row begins to hold at the next billing boundary of who is subscribed.
    array_agg(DISTINCT at ORDER BY at) FILTER (WHERE at IS NOT NULL AND is_renewal)     AS for_existing
FROM (
    SELECT effective_from AS at, FALSE AS is_renewal FROM product_feature
    UNION ALL
    SELECT effective_to, FALSE FROM product_feature
    UNION ALL
    SELECT existing_from, TRUE FROM product_feature
)
