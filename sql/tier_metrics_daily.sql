-- One row per market, tier and product: how many users there are, and how many began and ceased to pay since the day
-- before. A cell is where a user is on the day; who ceased to pay is counted in the cell that they paid in.

WITH counted AS (
    SELECT
        country                                           AS market,
        tier,
        effective_product                                 AS product_id,
        count(*)                                          AS accounts,
        count(*) FILTER (WHERE is_paid)                   AS paid,
        count(*) FILTER (WHERE is_trial)                  AS trial,
        count(*) FILTER (WHERE lifecycle_state = 'grace') AS grace
    FROM user_daily
    GROUP BY country, tier, effective_product
),

converted AS (
    -- Paid on the day, and not paid, or not there, on the day before. Without that day nothing is known of anybody.
    SELECT u.country AS market, u.tier, u.effective_product AS product_id, count(*) AS users
    FROM user_daily AS u
    WHERE u.is_paid
      AND NOT EXISTS (SELECT 1 FROM user_daily_before AS b WHERE b.user_pid = u.user_pid AND b.is_paid)
      AND EXISTS (SELECT 1 FROM user_daily_before)
    GROUP BY u.country, u.tier, u.effective_product
),

churned AS (
    -- Paid on the day before, and not paid, or not there, on the day.
    SELECT b.country AS market, b.tier, b.effective_product AS product_id, count(*) AS users
    FROM user_daily_before AS b
    WHERE b.is_paid
      AND NOT EXISTS (SELECT 1 FROM user_daily AS u WHERE u.user_pid = b.user_pid AND u.is_paid)
    GROUP BY b.country, b.tier, b.effective_product
),

cell AS (
    -- Who converted is counted among the accounts; a cell that everybody left is known by its churned users alone.
    SELECT market, tier, product_id FROM counted
    UNION
    SELECT market, tier, product_id FROM churned
)

SELECT
    $snapshot_date            AS snapshot_date,
    cell.market,
    cell.tier,
    cell.product_id,
    coalesce(n.accounts, 0)   AS accounts,
    coalesce(n.paid, 0)       AS paid,
    coalesce(n.trial, 0)      AS trial,
    coalesce(n.grace, 0)      AS grace,
    coalesce(i.users, 0)      AS conversions,
    coalesce(o.users, 0)      AS churned
FROM cell
LEFT JOIN counted   AS n ON n.market = cell.market AND n.tier = cell.tier AND n.product_id = cell.product_id
LEFT JOIN converted AS i ON i.market = cell.market AND i.tier = cell.tier AND i.product_id = cell.product_id
LEFT JOIN churned   AS o ON o.market = cell.market AND o.tier = cell.tier AND o.product_id = cell.product_id
