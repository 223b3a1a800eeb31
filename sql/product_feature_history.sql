-- The state of D: what a product gives in a market to a role, as it is offered when the day ends. Rules R2 and R12.

WITH offered AS (
    -- The contract refuses rows of one key that overlap, so there is one; were there more, the latest would hold (R12).
    SELECT
        *,
        row_number() OVER (
            PARTITION BY product_id, feature_id, market, role
            ORDER BY effective_from DESC
        ) AS place
    FROM product_feature
    WHERE effective_from <= $as_of
      AND (effective_to IS NULL OR effective_to > $as_of)
)

SELECT
    product_id,
    feature_id,
    market,
    role,
    value_type,
    v_bool,
    v_int,
    v_enum,
    unlimited,
    unit,
    reset,
    "merge",
    existing_from
FROM offered
WHERE place = 1
