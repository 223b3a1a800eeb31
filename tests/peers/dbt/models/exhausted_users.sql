-- Users that have used up a cap, with the product that gives it.
select caps.snapshot_date, caps.user_pid, users.effective_product as product_id, count(*) as exhausted_features
from {{ source('value_proposition', 'feature_cap_daily') }} as caps
join {{ source('users', 'user_daily') }} as users
  on users.snapshot_date = caps.snapshot_date and users.user_pid = caps.user_pid
where caps.snapshot_date >= {{ var('gatefold_tests_from') }}
  and users.snapshot_date >= {{ var('gatefold_tests_from') }}
  and caps.exhausted
group by caps.snapshot_date, caps.user_pid, users.effective_product
