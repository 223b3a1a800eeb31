-- View value_proposition.plan_comparison: one row per market and plan: what the plan costs there, what the best offer would make
-- of it, and what subscribers really pay.
--
-- Prices are the standard ones of the plan's newest version: first_price that of its first phase with a price, regular_price that of its
-- last. own_price says whether the market has prices of its own or those of everywhere. Subscriptions are the entitled
-- ones of the latest day in the same currency. No subscriptions: 0, and no average. The view looks back seven days for the latest day.
--
-- Where do subscribers pay much less than the list says?
--   SELECT market, plan_id, regular_price, average_net_price, currency FROM value_proposition.plan_comparison
--   WHERE average_net_price < 0.8 * regular_price ORDER BY subscriptions DESC

CREATE OR REPLACE VIEW value_proposition.plan_comparison AS
WITH asked AS (
    SELECT plan_id, plan_version, phase_seq, market, currency, amount
    FROM value_proposition.plan_price_history
    WHERE is_current
      AND cohort = 'standard'
    QUALIFY plan_version = MAX(plan_version) OVER (PARTITION BY plan_id)
),

paid AS (
    SELECT market, plan_id, currency, COUNT(*) AS subscriptions, AVG(net_price) AS average_net_price
    FROM users.user_price_daily
    WHERE snapshot_date >= DATE_SUB(CURRENT_DATE('UTC'), INTERVAL 7 DAY)
      AND snapshot_date = (
          SELECT MAX(snapshot_date) FROM users.user_price_daily
          WHERE snapshot_date >= DATE_SUB(CURRENT_DATE('UTC'), INTERVAL 7 DAY)
      )
    GROUP BY market, plan_id, currency
),

best_offer AS (
    SELECT market, plan_id, offer_id, net_price
    FROM value_proposition.offer_availability_daily
    WHERE snapshot_date >= DATE_SUB(CURRENT_DATE('UTC'), INTERVAL 7 DAY)
      AND snapshot_date = (
          SELECT MAX(snapshot_date) FROM value_proposition.offer_availability_daily
          WHERE snapshot_date >= DATE_SUB(CURRENT_DATE('UTC'), INTERVAL 7 DAY)
      )
      AND available
    QUALIFY ROW_NUMBER() OVER (PARTITION BY market, plan_id ORDER BY net_price, offer_id) = 1
),

markets AS (
    SELECT market FROM asked WHERE market <> '*'
    UNION DISTINCT
    SELECT market FROM paid
),

asked_there AS (
    -- A phase's own price in the market before that of everywhere.
    SELECT
        markets.market, asked.plan_id, asked.plan_version, asked.phase_seq, asked.currency, asked.amount,
        asked.market <> '*' AS is_own
    FROM markets
    CROSS JOIN asked
    WHERE asked.market IN (markets.market, '*')
    QUALIFY ROW_NUMBER() OVER (PARTITION BY markets.market, asked.plan_id, asked.phase_seq ORDER BY asked.market = '*') = 1
),

plan AS (
    SELECT
        market,
        plan_id,
        plan_version,
        MAX_BY(currency, phase_seq) AS currency,
        MIN_BY(amount, phase_seq)   AS first_price,
        MAX_BY(amount, phase_seq)   AS regular_price,
        LOGICAL_OR(is_own)          AS own_price
    FROM asked_there
    GROUP BY market, plan_id, plan_version
)

SELECT
    plan.market,
    plan.plan_id,
    plan.plan_version,
    plan.currency,
    plan.first_price,
    plan.regular_price,
    plan.own_price,
    best_offer.offer_id              AS best_offer_id,
    best_offer.net_price             AS best_offer_price,
    IFNULL(paid.subscriptions, 0)    AS subscriptions,
    paid.average_net_price
FROM plan
LEFT JOIN best_offer ON best_offer.market = plan.market AND best_offer.plan_id = plan.plan_id
LEFT JOIN paid ON paid.market = plan.market AND paid.plan_id = plan.plan_id AND paid.currency = plan.currency
