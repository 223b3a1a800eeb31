-- Users whose account was set aside today: nobody knows what they may do, so they keep what they had. R1 and R12.

SELECT user_pid(account_id) AS user_pid
FROM rejected_account
WHERE account_id IS NOT NULL
