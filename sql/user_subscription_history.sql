-- The state on a day: one row per subscription, whether it entitles and what keeps it from that. Rules R3, R5 and R13.

SELECT
    subscription_id,
    user_pid(owner_id)                                   AS user_pid,
    plan_id,
    plan_version,
    CASE WHEN started_at <= $as_of THEN phase_seq END    AS phase_seq,
    category,
    state,
    blocked_by IS NULL                                   AS entitled,
    blocked_by,
    paid_through_at,
    currency,
    store
FROM subscription_state AS s
WHERE NOT EXISTS (SELECT 1 FROM erased AS e WHERE e.account_id = s.owner_id)
