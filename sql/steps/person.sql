-- One row per account that user tables may speak of (R13), its country as markets know it (R11).

SELECT
    account_id,
    user_pid(account_id)                                     AS user_pid,
    status,
    CASE WHEN is_country(country) THEN country ELSE 'ZZ' END AS country,
    birth_date,
    email,
    email_verified,
    locale,
    created_at
FROM account AS a
WHERE NOT EXISTS (SELECT 1 FROM erased AS e WHERE e.account_id = a.account_id)
