-- One row per user, day and metered feature: the cap, the window that it is for, what is used and what is left. Rules R7 and R8.

WITH used AS (
    -- In each window that a feature may have. A day belongs to the window that holds its last instant.
    SELECT
        b.user_pid, u.feature_id,
        sum(u.consumed) FILTER (WHERE b.window_start < CAST(u.usage_date + INTERVAL '1 day' AS TIMESTAMP))   AS in_billed_month,
        sum(u.consumed) FILTER (WHERE u.usage_date >= CAST(date_trunc('month', $as_of) AS DATE))             AS in_calendar_month,
        sum(u.consumed) FILTER (WHERE u.usage_date = $snapshot_date)                                         AS in_day,
        sum(u.consumed)                                                                                      AS in_all
    FROM feature_usage AS u
    JOIN billed_month AS b ON b.account_id = u.account_id
    WHERE u.usage_date <= $snapshot_date
    GROUP BY u.account_id, b.user_pid, u.feature_id
),

metered AS (
    SELECT m.*, b.country, b.window_start, b.window_end
    FROM user_entitlement_history AS m
    JOIN billed_month AS b ON b.user_pid = m.user_pid
    WHERE m.value_type = 'metered'
),

counted AS (
    -- Few have used what they have, so that side is the one to be held.
    SELECT
        m.user_pid, m.feature_id, m.product_id, m.country, m.unit, m.reset, m.unlimited,
        CASE m.reset
            WHEN 'billing'        THEN m.window_start
            WHEN 'calendar_month' THEN date_trunc('month', $as_of)
            WHEN 'day'            THEN date_trunc('day', $as_of)
        END                                                                                                  AS window_start,
        CASE m.reset
            WHEN 'billing'        THEN m.window_end
            WHEN 'calendar_month' THEN date_trunc('month', $as_of) + INTERVAL '1 month'
            WHEN 'day'            THEN date_trunc('day', $as_of) + INTERVAL '1 day'
        END                                                                                                  AS window_end,
        CASE WHEN NOT m.unlimited THEN m.v_int END                                                           AS cap,
        coalesce(
            CASE m.reset
                WHEN 'billing'        THEN u.in_billed_month
                WHEN 'calendar_month' THEN u.in_calendar_month
                WHEN 'day'            THEN u.in_day
                WHEN 'none'           THEN u.in_all
            END,
            0
        )                                                                                                    AS consumed
    FROM used AS u
    RIGHT JOIN metered AS m ON m.user_pid = u.user_pid AND m.feature_id = u.feature_id
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
