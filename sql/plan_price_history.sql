-- The state of D: what a phase of a plan costs in a market for a cohort, as it is asked when the day ends. Rules R2 and R12.

WITH asked AS (
    -- The contract refuses rows of one key that overlap, so there is one; were there more, the latest would hold (R12).
    SELECT
        *,
        row_number() OVER (
            PARTITION BY plan_id, plan_version, phase_seq, market, cohort
            ORDER BY effective_from DESC
        ) AS place
    FROM price
    WHERE effective_from <= $as_of
      AND (effective_to IS NULL OR effective_to > $as_of)
)

SELECT
    plan_id,
    plan_version,
    phase_seq,
    market,
    cohort,
    currency,
    amount,
    minor_unit(currency) AS minor_unit,
    tax_inclusive,
    existing_from
FROM asked
WHERE place = 1
