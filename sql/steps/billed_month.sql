-- One row per user: the month, counted as their bill is, that holds the day's end (R8).
--
-- Months are counted from the start of the winning subscription, or from the account's own without one.

SELECT
    account_id, user_pid, country,
    billing_window_start(coalesce(started_at, created_at), anchor_day, 'month', $as_of) AS window_start,
    billing_window_end(coalesce(started_at, created_at), anchor_day, 'month', $as_of)   AS window_end
FROM user_product
