-- One row per user, in the order of the tables that are made of them: what their product's features are found by, and the
-- features that have more to them, if any.

SELECT
    u.account_id, u.user_pid, u.product_id, u.market, u.role, u.changes_since, u.changes_renewed, u.above_free,
    e.features AS extra
FROM user_terms AS u
LEFT JOIN (SELECT account_id, array_agg(feature_id) AS features FROM user_extra GROUP BY account_id) AS e
  ON e.account_id = u.account_id
ORDER BY u.user_pid
