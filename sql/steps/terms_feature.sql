-- One row per terms that somebody has, and feature that the product gives on them: of its rows that apply the most specific,
-- then the latest (R5, R6).

WITH terms AS (
    -- Two instants stand for those of all who have the same terms.
    SELECT product_id, market, role, changes_since, changes_renewed, min(since) AS since, min(renewed_at) AS renewed_at
    FROM (
        SELECT product_id, market, role, changes_since, changes_renewed, since, renewed_at FROM user_terms
        UNION ALL
        SELECT product_id, market, role, changes_since, changes_renewed, since, renewed_at FROM user_addon
    )
    GROUP BY product_id, market, role, changes_since, changes_renewed
)

SELECT *
FROM (
    SELECT
        t.product_id, t.market, t.role, t.changes_since, t.changes_renewed,
        f.feature_id, f.value_type, f.unit, f.reset, f.v_bool, f.v_int, f.v_enum, f.unlimited, f.merge,
        row_number() OVER (
            PARTITION BY t.product_id, t.market, t.role, t.changes_since, t.changes_renewed, f.feature_id
            ORDER BY f.market <> '*' DESC, f.role <> '*' DESC, f.effective_from DESC
        ) AS place
    FROM terms AS t
    JOIN product_feature AS f ON f.product_id = t.product_id AND f.market IN ('*', t.market) AND f.role IN ('*', t.role)
    WHERE f.effective_from <= $as_of
      AND (
          (f.effective_from <= t.since AND (f.effective_to IS NULL OR f.effective_to > t.since))
          OR f.existing_from <= t.renewed_at
      )
)
WHERE place = 1
