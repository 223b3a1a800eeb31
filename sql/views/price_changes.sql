-- View value_proposition.price_changes: one row per day on which a price became another: of a phase of a plan's version, in a market,
-- for a cohort.
--
-- The first price of such a key is no change, and a new version of a plan has a price list of its own. Between two currencies there is
-- no difference. existing_from null: whoever subscribed before keeps the old price.
--
-- Which prices rose this year by more than a tenth, and from when do existing customers pay them?
--   SELECT plan_id, market, changed_on, change_percent, existing_from FROM value_proposition.price_changes
--   WHERE changed_on >= DATE_TRUNC(CURRENT_DATE('UTC'), YEAR) AND change_percent > 10 ORDER BY change_percent DESC

CREATE OR REPLACE VIEW value_proposition.price_changes AS
WITH price AS (
    SELECT
        plan_id, plan_version, phase_seq, market, cohort, currency, amount, existing_from, valid_from,
        LAG(currency) OVER own AS currency_before,
        LAG(amount)   OVER own AS amount_before
    FROM value_proposition.plan_price_history
    WINDOW own AS (PARTITION BY plan_id, plan_version, phase_seq, market, cohort ORDER BY valid_from)
)

SELECT
    plan_id,
    plan_version,
    phase_seq,
    market,
    cohort,
    DATE(valid_from) AS changed_on,
    currency_before,
    amount_before,
    currency,
    amount,
    IF(currency = currency_before, amount - amount_before, NULL) AS change,
    IF(currency = currency_before, ROUND(100 * SAFE_DIVIDE(amount - amount_before, amount_before), 1), NULL) AS change_percent,
    existing_from
FROM price
WHERE amount <> amount_before OR currency <> currency_before
