-- What the queries ask of the engine in DuckDB's words. $outer_pad and $inner_pad are the key of R13 as HMAC lays it over
-- a block, in hex: there is sha256() here, and no HMAC.

-- Arithmetic on TIMESTAMPTZ asks the time zone at every row. All instants are UTC, so they go without.
CREATE MACRO utc(t) AS make_timestamp(epoch_us(t));
CREATE MACRO instant(t) AS make_timestamptz(epoch_us(t));

CREATE MACRO user_pid(account_id) AS
    left(sha256(unhex('$outer_pad') || unhex(sha256(unhex('$inner_pad') || encode(account_id)))), 32);

CREATE MACRO completed_years(born, day) AS
    year(day) - year(born) - CAST((month(day), day(day)) < (month(born), day(born)) AS INTEGER);

CREATE MACRO nothing() AS INTERVAL 0 DAY;
CREATE MACRO span(length, unit) AS CASE unit
    WHEN 'month' THEN to_months(CAST(length AS INTEGER))
    WHEN 'year'  THEN to_months(CAST(12 * length AS INTEGER))
    WHEN 'week'  THEN to_days(CAST(7 * length AS INTEGER))
    WHEN 'day'   THEN to_days(CAST(length AS INTEGER))
END;

-- So many months later on the anchor day, or on the last day of a month that is shorter.
CREATE MACRO months_later(t, months, anchor_day) AS CASE
    WHEN months = 0 THEN t
    ELSE date_trunc('month', t) + to_months(CAST(months AS INTEGER))
       + to_days(CAST(least(
             greatest(least(coalesce(anchor_day, day(t)), 31), 1),
             day(last_day(date_trunc('month', t) + to_months(CAST(months AS INTEGER))))
         ) AS INTEGER) - 1)
       + (t - date_trunc('day', t))
END;

CREATE MACRO whole_periods(earlier, later, days) AS (epoch_us(later) - epoch_us(earlier)) // (86400000000 * days);
CREATE MACRO days_later(t, days) AS t + to_days(CAST(days AS INTEGER));

CREATE MACRO day_after(day) AS day + 1;

CREATE MACRO array_distinct(texts) AS list_distinct(texts);
CREATE MACRO explode(texts) AS unnest(texts);
CREATE MACRO no_text() AS CAST([] AS VARCHAR[]);
CREATE MACRO texts(one, is_one, other, is_other) AS
    list_concat(CASE WHEN is_one THEN [one] ELSE no_text() END, CASE WHEN is_other THEN [other] ELSE no_text() END);
