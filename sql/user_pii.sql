-- One row per account: who stands behind a pseudonym. An account with an erasure request is not there (R13).

SELECT
    user_pid(account_id) AS user_pid,
    account_id,
    email,
    birth_date,
    locale
FROM account AS a
WHERE NOT EXISTS (
    SELECT 1 FROM erasure_request AS e
    WHERE e.account_id = a.account_id AND e.requested_at <= $as_of
)
