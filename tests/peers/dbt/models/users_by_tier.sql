-- How many users each day and tier has, and how many of them pay.
select snapshot_date, tier, count(*) as users, countif(is_paid) as paying
from {{ source('users', 'user_daily') }}
where snapshot_date >= {{ var('gatefold_tests_from') }}
group by snapshot_date, tier
