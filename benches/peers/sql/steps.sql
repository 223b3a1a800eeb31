-- What several tables are made from. Rules R3 to R5, R11 and R13.

CREATE TEMPORARY VIEW person AS
SELECT
    account_id, status, birth_date, email_verified, utc(created_at) AS created_at,
    CASE WHEN country IN ($countries) THEN country ELSE 'ZZ' END AS country
FROM account AS a
WHERE NOT EXISTS (SELECT 1 FROM erasure_request AS e WHERE e.account_id = a.account_id AND utc(e.requested_at) <= $as_of);

-- Each phase with the spans of up to three before it: it begins when they are over.
CREATE TEMPORARY VIEW phase AS
SELECT
    *,
    coalesce(lag(lasts, 1) OVER by_place, nothing()) AS before_1,
    coalesce(lag(lasts, 2) OVER by_place, nothing()) AS before_2,
    coalesce(lag(lasts, 3) OVER by_place, nothing()) AS before_3,
    lasts IS NULL OR lead(phase_seq) OVER by_place IS NULL AS is_last
FROM (SELECT *, span(length, length_unit) AS lasts FROM plan_phase)
WINDOW by_place AS (PARTITION BY plan_id, plan_version ORDER BY phase_seq);

-- What of itself does not keep a subscription from entitling.
CREATE TEMPORARY VIEW unblocked AS
SELECT
    subscription_id, account_id, plan_id, plan_version, category, base_subscription_id, quantity, state, anchor_day,
    utc(started_at) AS started_at, utc(trial_end_at) AS trial_end_at
FROM subscription
WHERE NOT is_sandbox
  AND utc(started_at) <= $as_of
  AND (ends_at IS NULL OR utc(ends_at) > $as_of)
  AND (state = 'active'
       OR state = 'grace'     AND utc(grace_until)     > $as_of
       OR state = 'cancelled' AND utc(paid_through_at) > $as_of);

-- With the phase that it is in, which is null for a plan that the catalogue does not know.
CREATE TEMPORARY VIEW phased AS
SELECT
    s.*, p.product_id, p.tier, p.tier_rank, p.billing_period, p.included_addons,
    CASE p.billing_period WHEN 'month' THEN 1 WHEN 'year' THEN 12 END AS step
FROM unblocked AS s
LEFT JOIN phase AS p
    ON  p.plan_id = s.plan_id
    AND p.plan_version = s.plan_version
    AND s.started_at + p.before_3 + p.before_2 + p.before_1 <= $as_of
    AND (p.is_last OR s.started_at + p.before_3 + p.before_2 + p.before_1 + p.lasts > $as_of);

-- And with the latest billing boundary up to the day's end.
CREATE TEMPORARY VIEW placed AS
SELECT
    *,
    CASE
        WHEN step IS NOT NULL        THEN months_later(started_at, latest, anchor_day)
        WHEN billing_period = 'week' THEN days_later(started_at, 7 * whole_periods(started_at, $as_of, 7))
        WHEN billing_period = 'day'  THEN days_later(started_at, whole_periods(started_at, $as_of, 1))
        ELSE started_at
    END AS boundary
FROM (
    SELECT *, latest_months(started_at, anchor_day, months, step, $as_of) AS latest
    FROM (SELECT *, months_to(started_at, step, $as_of) AS months FROM phased)
);

CREATE TEMPORARY VIEW effective_subscription AS
WITH candidate AS (
    SELECT s.account_id, 'manager' AS role, s.subscription_id, s.plan_id, s.state, s.started_at, s.anchor_day, s.trial_end_at,
           s.product_id, s.tier, s.tier_rank, s.boundary, s.included_addons
    FROM placed AS s
    WHERE s.category = 'base'

    UNION ALL

    SELECT m.account_id, m.role, s.subscription_id, s.plan_id, s.state, s.started_at, s.anchor_day, s.trial_end_at,
           s.product_id, s.tier, s.tier_rank, s.boundary, s.included_addons
    FROM plan_member AS m
    JOIN placed  AS s     ON s.subscription_id = m.subscription_id AND s.category = 'base'
    JOIN account AS owner ON owner.account_id = s.account_id AND owner.status = 'active'
    WHERE utc(m.joined_at) <= $as_of
      AND (m.left_at IS NULL OR utc(m.left_at) > $as_of)
)
SELECT *
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY account_id
        ORDER BY tier_rank DESC NULLS LAST, role = 'manager' DESC, started_at DESC, subscription_id
    ) AS place
    FROM candidate
)
WHERE place = 1;

CREATE TEMPORARY VIEW user_product AS
SELECT
    p.*,
    w.subscription_id, w.role, w.plan_id, w.state, w.trial_end_at, w.included_addons,
    coalesce(w.product_id, 'free')                             AS product_id,
    coalesce(w.tier, 'free')                                   AS tier,
    coalesce(w.tier_rank, 0)                                   AS tier_rank,
    CASE WHEN w.product_id IS NOT NULL THEN w.started_at END   AS started_at,
    CASE WHEN w.product_id IS NOT NULL THEN w.anchor_day END   AS anchor_day,
    CASE WHEN w.product_id IS NOT NULL THEN w.boundary END     AS boundary
FROM person AS p
LEFT JOIN effective_subscription AS w ON w.account_id = p.account_id AND p.status = 'active';
