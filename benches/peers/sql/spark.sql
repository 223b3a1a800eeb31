-- What the queries ask of the engine in Spark's words. $outer_pad and $inner_pad are the key of R13 as HMAC lays it over a
-- block, in hex: there is sha2() here, and no HMAC.

-- The session's time zone is UTC, and instants are what they are.
CREATE TEMPORARY FUNCTION utc(t TIMESTAMP) RETURNS TIMESTAMP RETURN t;
CREATE TEMPORARY FUNCTION instant(t TIMESTAMP) RETURNS TIMESTAMP RETURN t;

CREATE TEMPORARY FUNCTION user_pid(account_id STRING) RETURNS STRING
RETURN left(sha2(concat(X'$outer_pad', unhex(sha2(concat(X'$inner_pad', CAST(account_id AS BINARY)), 256))), 256), 32);

CREATE TEMPORARY FUNCTION completed_years(born DATE, day DATE) RETURNS INT
RETURN year(day) - year(born) - CASE WHEN 100 * month(day) + day(day) < 100 * month(born) + day(born) THEN 1 ELSE 0 END;

CREATE TEMPORARY FUNCTION nothing() RETURNS INTERVAL RETURN make_interval(0);
CREATE TEMPORARY FUNCTION span(length BIGINT, unit STRING) RETURNS INTERVAL
RETURN CASE unit
    WHEN 'month' THEN make_interval(0, CAST(length AS INT))
    WHEN 'year'  THEN make_interval(CAST(length AS INT))
    WHEN 'week'  THEN make_interval(0, 0, CAST(length AS INT))
    WHEN 'day'   THEN make_interval(0, 0, 0, CAST(length AS INT))
END;

-- So many months later on the anchor day, or on the last day of a month that is shorter.
CREATE TEMPORARY FUNCTION months_later(t TIMESTAMP, months BIGINT, anchor_day BIGINT) RETURNS TIMESTAMP
RETURN CASE
    WHEN months = 0 THEN t
    ELSE CAST(date_add(
             add_months(trunc(t, 'MM'), CAST(months AS INT)),
             CAST(least(
                 greatest(least(coalesce(anchor_day, day(t)), 31), 1),
                 day(last_day(add_months(trunc(t, 'MM'), CAST(months AS INT))))
             ) AS INT) - 1
         ) AS TIMESTAMP) + (t - date_trunc('DAY', t))
END;

CREATE TEMPORARY FUNCTION whole_periods(earlier TIMESTAMP, later TIMESTAMP, days BIGINT) RETURNS BIGINT
RETURN (unix_micros(later) - unix_micros(earlier)) DIV (86400000000 * days);
CREATE TEMPORARY FUNCTION days_later(t TIMESTAMP, days BIGINT) RETURNS TIMESTAMP RETURN t + make_dt_interval(CAST(days AS INT));
CREATE TEMPORARY FUNCTION day_after(day DATE) RETURNS DATE RETURN date_add(day, 1);

CREATE TEMPORARY FUNCTION texts(one STRING, is_one BOOLEAN, other STRING, is_other BOOLEAN) RETURNS ARRAY<STRING>
RETURN concat(
    CASE WHEN is_one   THEN array(one)   ELSE CAST(array() AS ARRAY<STRING>) END,
    CASE WHEN is_other THEN array(other) ELSE CAST(array() AS ARRAY<STRING>) END
);
