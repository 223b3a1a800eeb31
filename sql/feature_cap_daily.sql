-- One row per user, day and metered feature: the cap, the window that it is for, what is used and what is left. Rules R7 and R8.

WITH metered AS (
    SELECT user_pid, feature_id, product_id, unit, reset, v_int, unlimited
    FROM user_entitlement_history
    WHERE value_type = 'metered'
),

billed AS (
    -- Months are counted from the start of the winning subscription, or from the account's own without one.
    SELECT
        account_id, user_pid, country,
        billing_window_start(coalesce(started_at, created_at), anchor_day, 'month', $as_of) AS window_start,
        billing_window_end(coalesce(started_at, created_at), anchor_day, 'month', $as_of)   AS window_end
    FROM user_product
),

windowed AS (
    SELECT
        m.*, b.account_id, b.country,
        CASE m.reset
            WHEN 'billing'        THEN b.window_start
            WHEN 'calendar_month' THEN date_trunc('month', $as_of)
            WHEN 'day'            THEN date_trunc('day', $as_of)
        END AS window_start,
        CASE m.reset
            WHEN 'billing'        THEN b.window_end
            WHEN 'calendar_month' THEN date_trunc('month', $as_of) + INTERVAL '1 month'
            WHEN 'day'            THEN date_trunc('day', $as_of) + INTERVAL '1 day'
        END AS window_end
    FROM metered AS m
    JOIN billed AS b ON b.user_pid = m.user_pid
),

used AS (
    -- A day belongs to the window that holds its last instant.
    SELECT w.user_pid, w.feature_id, sum(u.consumed) AS consumed
    FROM feature_usage AS u
    JOIN windowed AS w ON w.account_id = u.account_id AND w.feature_id = u.feature_id
    WHERE u.usage_date <= $snapshot_date
      AND (w.reset = 'none' OR w.window_start < CAST(u.usage_date + INTERVAL '1 day' AS TIMESTAMP))
    GROUP BY w.user_pid, w.feature_id
),

counted AS (
    SELECT
        w.*,
        CASE WHEN NOT w.unlimited THEN w.v_int END AS cap,
        coalesce(u.consumed, 0)                    AS consumed
    FROM windowed AS w
    LEFT JOIN used AS u ON u.user_pid = w.user_pid AND u.feature_id = w.feature_id
)

SELECT
    $snapshot_date                              AS snapshot_date,
    user_pid,
    feature_id,
    product_id,
    country,
    unit,
    reset,
    window_start,
    window_end,
    cap,
    unlimited,
    consumed,
    CASE WHEN cap IS NOT NULL THEN greatest(cap - consumed, 0) END AS remaining,
    coalesce(consumed >= cap, FALSE)            AS exhausted
FROM counted
