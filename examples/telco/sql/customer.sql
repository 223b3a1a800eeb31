-- One row per customer. The file says Yes, No, or that the line which a service needs is not there; the table says
-- true or false for each service, and lists them.

WITH booked AS (
    SELECT
        *,
        phone_service     = 'Yes' AS has_phone,
        multiple_lines    = 'Yes' AS has_multiple_lines,
        internet_service <> 'No'  AS has_internet,
        online_security   = 'Yes' AS has_online_security,
        online_backup     = 'Yes' AS has_online_backup,
        device_protection = 'Yes' AS has_device_protection,
        tech_support      = 'Yes' AS has_tech_support,
        streaming_tv      = 'Yes' AS has_streaming_tv,
        streaming_movies  = 'Yes' AS has_streaming_movies
    FROM telco_customer
)

SELECT
    $snapshot_date                                AS snapshot_date,
    user_pid(customer_id)                         AS user_pid,
    senior_citizen = 1                            AS senior,
    partner = 'Yes'                               AS partner,
    dependents = 'Yes'                            AS dependents,
    tenure                                        AS tenure_months,
    CASE contract
        WHEN 'Month-to-month' THEN 'month_to_month'
        WHEN 'One year'       THEN 'one_year'
        WHEN 'Two year'       THEN 'two_year'
    END                                           AS contract,
    paperless_billing = 'Yes'                     AS paperless_billing,
    CASE payment_method
        WHEN 'Bank transfer (automatic)' THEN 'bank_transfer'
        WHEN 'Credit card (automatic)'   THEN 'credit_card'
        WHEN 'Electronic check'          THEN 'electronic_check'
        WHEN 'Mailed check'              THEN 'mailed_check'
    END                                           AS payment_method,
    has_phone                                     AS phone,
    has_multiple_lines                            AS multiple_lines,
    has_internet                                  AS internet,
    CASE internet_service
        WHEN 'DSL'         THEN 'dsl'
        WHEN 'Fiber optic' THEN 'fiber_optic'
    END                                           AS internet_type,
    has_online_security                           AS online_security,
    has_online_backup                             AS online_backup,
    has_device_protection                         AS device_protection,
    has_tech_support                              AS tech_support,
    has_streaming_tv                              AS streaming_tv,
    has_streaming_movies                          AS streaming_movies,
    flags(
        'phone',             has_phone,
        'multiple_lines',    has_multiple_lines,
        'internet',          has_internet,
        'online_security',   has_online_security,
        'online_backup',     has_online_backup,
        'device_protection', has_device_protection,
        'tech_support',      has_tech_support,
        'streaming_tv',      has_streaming_tv,
        'streaming_movies',  has_streaming_movies
    )                                             AS services,
    monthly_charges                               AS monthly_charge,
    total_charges                                 AS total_charge,
    churn = 'Yes'                                 AS churned
FROM booked
