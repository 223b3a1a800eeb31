-- Accounts whose holders asked to be forgotten, R13.

SELECT DISTINCT account_id
FROM erasure_request
WHERE requested_at <= $as_of
