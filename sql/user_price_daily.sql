-- One row per entitled subscription and day: what it costs, and with which offers. Rules R5, R9 and R13.

WITH market AS (
    -- Countries that have prices of their own; all others have those of *.
    SELECT market FROM price UNION SELECT '*'
),

entitled AS (
    SELECT s.*, p.user_pid, p.country, coalesce(m.market, '*') AS market, coalesce(s.price_cohort, 'standard') AS cohort
    FROM subscription_state AS s
    JOIN person AS p ON p.account_id = s.owner_id
    LEFT JOIN market AS m ON m.market = p.country
    WHERE s.blocked_by IS NULL
),

numbered AS (
    SELECT *, row_number() OVER (ORDER BY plan_id, plan_version, phase_seq, market, cohort, effective_from) AS number
    FROM price
),

asked AS (
    -- All prices of a phase in a market for a cohort, the market's own first, then the latest.
    SELECT
        p.plan_id, p.plan_version, p.phase_seq, p.cohort, m.market,
        array_agg(p.number         ORDER BY p.market <> '*' DESC, p.effective_from DESC) AS numbers,
        array_agg(p.effective_from ORDER BY p.market <> '*' DESC, p.effective_from DESC) AS effective_from,
        array_agg(p.effective_to   ORDER BY p.market <> '*' DESC, p.effective_from DESC) AS effective_to,
        array_agg(p.existing_from  ORDER BY p.market <> '*' DESC, p.effective_from DESC) AS existing_from
    FROM numbered AS p
    JOIN market AS m ON p.market IN ('*', m.market)
    GROUP BY p.plan_id, p.plan_version, p.phase_seq, p.cohort, m.market
),

redeemed AS (
    -- The offers that count: live, in their time, and in the subscription's currency where they are sums of money. Redeemed
    -- twice, an offer counts once.
    SELECT DISTINCT s.subscription_id, o.offer_id
    FROM offer AS o
    JOIN account_grant AS g ON g.offer_id = o.offer_id
    JOIN entitled AS s      ON s.subscription_id = g.subscription_id
    WHERE g.kind = 'offer_redemption'
      AND g.effective_from <= $as_of
      AND (g.expires_at IS NULL OR g.expires_at > $as_of)
      AND (g.voided_at  IS NULL OR g.voided_at  > $as_of)
      AND (o.discount_type = 'percent' OR o.currency = s.currency)
      AND CASE o.frequency
              WHEN 'forever' THEN TRUE
              WHEN 'once'    THEN $as_of < add_period(g.effective_from, 1, s.billing_period)
              ELSE                $as_of < add_period(g.effective_from, o.cycles, s.billing_period)
          END
),

discounted AS (
    SELECT
        r.subscription_id,
        array_sort(array_agg(r.offer_id)) AS offer_ids,
        array_agg(named_struct('discount_type', o.discount_type, 'value', o.value, 'currency', o.currency,
                               'stackable', o.stackable, 'priority', o.priority)) AS offers
    FROM offer AS o
    JOIN redeemed AS r ON r.offer_id = o.offer_id
    GROUP BY r.subscription_id
),

listed AS (
    -- With the first row that applies (R5).
    SELECT s.*, p.amount, p.currency AS amount_currency
    FROM numbered AS p
    RIGHT JOIN (
        SELECT
            s.*,
            a.numbers[applying_row(s.started_at, s.anchor_day, s.billing_period, $as_of,
                                   a.effective_from, a.effective_to, a.existing_from)] AS number
        FROM asked AS a
        RIGHT JOIN entitled AS s
            ON s.plan_id = a.plan_id AND s.plan_version = a.plan_version AND s.phase_seq = a.phase_seq
           AND s.cohort = a.cohort AND s.market = a.market
    ) AS s ON s.number = p.number
),

priced AS (
    SELECT
        *,
        CASE
            WHEN locked_price IS NOT NULL       THEN locked_price
            WHEN amount_currency = currency     THEN amount
        END AS list_price,
        CASE
            WHEN locked_price IS NULL AND amount IS NULL                    THEN 'no_price'
            WHEN locked_price IS NULL AND amount_currency <> currency       THEN 'currency_mismatch'
            WHEN minor_unit(currency) IS NULL                               THEN 'unknown_currency'
        END AS price_flag
    FROM listed
)

SELECT
    $snapshot_date                                                                     AS snapshot_date,
    p.subscription_id,
    p.user_pid,
    p.plan_id,
    p.country                                                                          AS market,
    p.list_price,
    p.cohort,
    CASE WHEN p.list_price IS NULL OR d.offer_ids IS NULL THEN make_array() ELSE d.offer_ids END AS offer_ids,
    net_price(p.list_price, p.currency, d.offers)                                      AS net_price,
    p.currency,
    p.price_flag
FROM priced AS p
LEFT JOIN discounted AS d ON d.subscription_id = p.subscription_id
