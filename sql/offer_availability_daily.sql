-- One row per offer, plan and market: whether a customer can redeem it at the end of the day, why not, and what they
-- would pay. Rule R9.

WITH offered_plan AS (
    -- A plan that an offer names twice is one plan.
    SELECT DISTINCT offer_id, plan_id
    FROM (SELECT offer_id, unnest(plan_ids) AS plan_id FROM offer)
),

market AS (
    -- Every country that anything of the catalogue names. '*' stands for the others, and is none itself.
    SELECT market FROM price           WHERE market <> '*'
    UNION
    SELECT market FROM product_feature WHERE market <> '*'
    UNION
    SELECT market FROM (SELECT unnest(markets) AS market FROM offer) WHERE market <> '*'
),

phase_on_sale AS (
    -- With a rank of its plan's versions: only the newest that has a phase on sale is sold.
    SELECT plan_id, plan_version, phase_seq, billing_period,
           dense_rank() OVER (PARTITION BY plan_id ORDER BY plan_version DESC) AS age
    FROM plan_phase
    WHERE status = 'active'
      AND effective_from <= $as_of
      AND (effective_to IS NULL OR effective_to > $as_of)
),

plan_on_sale AS (
    -- An offer is compared with the first price that a customer meets: that of the first phase that is billed at all.
    SELECT plan_id, plan_version,
           min(phase_seq) FILTER (WHERE billing_period <> 'none') AS billed_phase
    FROM phase_on_sale
    WHERE age = 1
    GROUP BY plan_id, plan_version
),

asked AS (
    -- The standard price of that phase by market: its own row before that of '*', then the latest.
    SELECT plan_id, market, currency, amount
    FROM (
        SELECT p.plan_id, m.market, p.currency, p.amount,
               row_number() OVER (
                   PARTITION BY p.plan_id, m.market
                   ORDER BY p.market = '*', p.effective_from DESC
               ) AS place
        FROM price AS p
        JOIN plan_on_sale AS s
          ON s.plan_id = p.plan_id AND s.plan_version = p.plan_version AND s.billed_phase = p.phase_seq
        JOIN market AS m ON p.market = m.market OR p.market = '*'
        WHERE p.cohort = 'standard'
          AND p.effective_from <= $as_of
          AND (p.effective_to IS NULL OR p.effective_to > $as_of)
    )
    WHERE place = 1
),

redeemed AS (
    -- By everybody: accounts that are closed or erased used up theirs too.
    SELECT offer_id, count(*) AS redemptions
    FROM account_grant
    WHERE kind = 'offer_redemption'
      AND effective_from <= $as_of
      AND (expires_at IS NULL OR expires_at > $as_of)
      AND (voided_at IS NULL OR voided_at > $as_of)
    GROUP BY offer_id
),

combination AS (
    SELECT
        o.*,
        op.plan_id,
        m.market,
        s.plan_id IS NOT NULL                                     AS is_on_sale,
        a.amount                                                  AS list_price,
        a.currency                                                AS price_currency,
        -- A percentage has no currency; a value without one fits none.
        o.discount_type = 'percent' OR coalesce(o.currency = a.currency, FALSE) AS fits_currency,
        coalesce(r.redemptions, 0)                                AS redemptions
    FROM offered_plan AS op
    JOIN offer AS o ON o.offer_id = op.offer_id
    CROSS JOIN market AS m
    LEFT JOIN plan_on_sale AS s ON s.plan_id = op.plan_id
    LEFT JOIN asked AS a ON a.plan_id = op.plan_id AND a.market = m.market
    LEFT JOIN redeemed AS r ON r.offer_id = op.offer_id
),

reasoned AS (
    SELECT
        *,
        CASE
            WHEN starts_at > $as_of               THEN 'not_started'
            WHEN redeem_by <= $as_of              THEN 'ended'
            WHEN NOT (array_has(markets, market) OR array_has(markets, '*')) THEN 'market_excluded'
            WHEN NOT is_on_sale                   THEN 'plan_retired'
            WHEN list_price IS NULL               THEN 'no_price'
            WHEN NOT fits_currency                THEN 'currency_mismatch'
            WHEN redemptions >= max_redemptions   THEN 'sold_out'
            ELSE 'available'
        END AS reason
    FROM combination
)

SELECT
    $snapshot_date         AS snapshot_date,
    offer_id,
    plan_id,
    market,
    reason = 'available'   AS available,
    reason,
    list_price,
    -- With this offer and no other. An amount in another currency would leave the list price, which is no net price.
    CASE WHEN fits_currency THEN net_price(
        list_price,
        price_currency,
        [named_struct('discount_type', discount_type, 'value', value, 'currency', currency, 'stackable', stackable)]
    ) END                  AS net_price,
    price_currency         AS currency
FROM reasoned
