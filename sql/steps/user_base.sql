-- One row per user, in the order of the tables that are made of them: what their product's features are found by, and whether
-- anything is merged with those.

SELECT
    u.account_id, u.user_pid, u.product_id, u.market, u.role, u.changes_since, u.changes_renewed, u.above_free,
    e.account_id IS NOT NULL AS has_extra
FROM user_terms AS u
LEFT JOIN (SELECT DISTINCT account_id FROM user_extra) AS e ON e.account_id = u.account_id
ORDER BY u.user_pid
