-- Billing boundaries (R5) and windows (R8). They are worked out step by step in the queries: where functions are put in place
-- as text, one inside another grows beyond reason.

CREATE TEMPORARY FUNCTION months_apart(earlier TIMESTAMP, later TIMESTAMP) RETURNS BIGINT
RETURN 12 * (year(later) - year(earlier)) + month(later) - month(earlier);

-- Whole steps of months up to the month of an instant. The boundary there may still be ahead.
CREATE TEMPORARY FUNCTION months_to(started_at TIMESTAMP, step BIGINT, moment TIMESTAMP) RETURNS BIGINT
RETURN months_apart(started_at, moment) - months_apart(started_at, moment) % step;

CREATE TEMPORARY FUNCTION latest_months(started_at TIMESTAMP, anchor_day BIGINT, months BIGINT, step BIGINT, moment TIMESTAMP) RETURNS BIGINT
RETURN CASE WHEN months_later(started_at, months, anchor_day) > moment THEN months - step ELSE months END;
