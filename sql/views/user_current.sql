-- View users.user_current: one row per user, on the latest day that was published.
--
-- The view looks back seven days: after a week without a new day it is empty, and says so better than an old answer would.
--
-- How many users pay in each country, and how many are trying?
--   SELECT country, COUNTIF(is_paid) AS paying, COUNTIF(is_trial) AS trying
--   FROM users.user_current GROUP BY country ORDER BY paying DESC

CREATE OR REPLACE VIEW users.user_current AS
SELECT
    snapshot_date,
    user_pid,
    country,
    lifecycle_state,
    age_band,
    signup_month,
    email_verified,
    effective_product,
    effective_plan,
    tier,
    tier_rank,
    role,
    is_paid,
    is_trial,
    quality_flags
FROM users.user_daily
-- The table wants a filter by its partitions that is known beforehand; the latest day alone is not.
WHERE snapshot_date >= DATE_SUB(CURRENT_DATE('UTC'), INTERVAL 7 DAY)
  AND snapshot_date = (
      SELECT MAX(snapshot_date) FROM users.user_daily
      WHERE snapshot_date >= DATE_SUB(CURRENT_DATE('UTC'), INTERVAL 7 DAY)
  )
