-- Users whose rows histories remove altogether, R13.

SELECT user_pid(account_id) AS user_pid
FROM erased
