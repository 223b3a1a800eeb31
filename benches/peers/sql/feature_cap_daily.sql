-- One row per user, day and metered feature. Rules R7 and R8.

WITH metered AS (
    SELECT user_pid, feature_id, product_id, unit, reset, v_int, unlimited
    FROM user_entitlement_history
    WHERE value_type = 'metered' AND utc(valid_from) <= $as_of AND (valid_to IS NULL OR utc(valid_to) > $as_of)
),
counted_from AS (
    -- Months are counted from the start of the winning subscription, or from the account's own without one.
    SELECT account_id, country, anchor_day, coalesce(started_at, created_at) AS start FROM user_product
),
to_month AS (
    SELECT *, months_to(start, 1, $as_of) AS months FROM counted_from
),
to_boundary AS (
    SELECT *, latest_months(start, anchor_day, months, 1, $as_of) AS latest FROM to_month
),
billed AS (
    SELECT
        account_id, user_pid(account_id) AS user_pid, country,
        CASE WHEN start <= $as_of THEN months_later(start, latest, anchor_day) END     AS window_start,
        CASE WHEN start <= $as_of THEN months_later(start, latest + 1, anchor_day) END AS window_end
    FROM to_boundary
),
windowed AS (
    SELECT
        m.*, b.account_id, b.country,
        CASE m.reset
            WHEN 'billing'        THEN b.window_start
            WHEN 'calendar_month' THEN date_trunc('month', $as_of)
            WHEN 'day'            THEN $midnight
        END AS window_start,
        CASE m.reset
            WHEN 'billing'        THEN b.window_end
            WHEN 'calendar_month' THEN date_trunc('month', $as_of) + INTERVAL '1' MONTH
            WHEN 'day'            THEN $next_midnight
        END AS window_end
    FROM metered AS m
    JOIN billed AS b ON b.user_pid = m.user_pid
),
used AS (
    -- A day belongs to the window that holds its last instant.
    SELECT w.account_id, w.feature_id, CAST(sum(u.consumed) AS BIGINT) AS consumed
    FROM feature_usage AS u
    JOIN windowed AS w ON w.account_id = u.account_id AND w.feature_id = u.feature_id
    WHERE u.usage_date <= $snapshot_date
      AND (w.reset = 'none' OR w.window_start < CAST(day_after(u.usage_date) AS TIMESTAMP))
    GROUP BY w.account_id, w.feature_id
),
counted AS (
    SELECT w.*, CASE WHEN NOT w.unlimited THEN w.v_int END AS cap, coalesce(u.consumed, 0) AS consumed
    FROM windowed AS w
    LEFT JOIN used AS u ON u.account_id = w.account_id AND u.feature_id = w.feature_id
)
SELECT
    $snapshot_date            AS snapshot_date,
    user_pid, feature_id, product_id, country, unit, reset,
    instant(window_start)     AS window_start,
    instant(window_end)       AS window_end,
    cap, unlimited, consumed,
    CASE WHEN cap IS NOT NULL THEN greatest(cap - consumed, 0) END AS remaining,
    coalesce(consumed >= cap, FALSE) AS exhausted
FROM counted
