-- One row per price. The reference has a row per country; what a model joins is one row per valid currency.
-- A date of the catalogs without a zone is read as UTC, as Kill Bill reads it; some end in line breaks and tabs.

WITH valid_currency AS (
    SELECT DISTINCT alphabetic_code, minor_unit
    FROM currency
    WHERE withdrawn IS NULL AND alphabetic_code IS NOT NULL
)

SELECT
    $snapshot_date            AS snapshot_date,
    p.file,
    p.catalog,
    arrow_cast(p.effective_date, 'Timestamp(Microsecond, Some("UTC"))') AS effective_from,
    arrow_cast(regexp_replace(p.effective_date_existing, '\s+$', ''), 'Timestamp(Microsecond, Some("UTC"))') AS existing_from,
    p.plan,
    p.product,
    p.phase_idx               AS phase,
    CASE p.phase_type WHEN 'FIXEDTERM' THEN 'fixed_term' ELSE lower(p.phase_type) END AS phase_type,
    CASE WHEN p.dur_unit <> 'UNLIMITED' THEN p.dur_n END AS length,
    CASE p.dur_unit
        WHEN 'DAYS'   THEN 'day'
        WHEN 'WEEKS'  THEN 'week'
        WHEN 'MONTHS' THEN 'month'
        WHEN 'YEARS'  THEN 'year'
    END                       AS length_unit,
    lower(p.billing_period)   AS billing_period,
    p.kind,
    p.currency,
    c.minor_unit,
    p.value                   AS amount
FROM catalog_price AS p
LEFT JOIN valid_currency AS c ON c.alphabetic_code = p.currency
