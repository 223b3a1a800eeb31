-- What of the catalogue a user may have, by classes of users. Rules R5 and R6.
--
-- since() and bound() give the number of instants at which anything in the catalogue begins or ends, or begins to hold for
-- who is there already, up to one: users of one product, market and role who agree in both have the same rows. So a row is
-- picked for each class, of which there are some hundreds, and users are joined to the rows of their class.

CREATE TEMPORARY VIEW market AS
SELECT DISTINCT market FROM product_feature WHERE market <> '*';

$keep product AS
SELECT
    u.account_id, user_pid(u.account_id) AS user_pid, u.product_id, coalesce(m.market, '*') AS market,
    coalesce(u.role, '*') AS role, u.tier <> 'free' AS above_free,
    since(coalesce(u.started_at, $as_of)) AS since,
    bound(u.boundary)                     AS bound,
    u.included_addons
FROM user_product AS u
LEFT JOIN market AS m ON m.market = u.country;

-- Included ones go by the terms of the subscription that includes them, bought ones by their own.
$keep addon AS
SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY product_id, subscription_id NULLS FIRST) AS place
FROM (
    SELECT account_id, market, role, addon_id AS product_id, CAST(NULL AS STRING) AS subscription_id, 1 AS quantity, since, bound
    FROM (
        SELECT account_id, market, role, product_id, since, bound, explode(array_distinct(included_addons)) AS addon_id
        FROM product
    )
    WHERE addon_id <> product_id

    UNION ALL

    SELECT p.account_id, p.market, p.role, s.product_id, s.subscription_id, s.quantity, since(s.started_at), bound(s.boundary)
    FROM placed       AS s
    JOIN account      AS owner     ON owner.account_id = s.account_id AND owner.status = 'active'
    JOIN unblocked    AS b         ON b.subscription_id = s.base_subscription_id AND b.category = 'base'
    JOIN account      AS base_owner ON base_owner.account_id = b.account_id AND base_owner.status = 'active'
    JOIN product      AS p         ON p.account_id = s.account_id
    WHERE s.category = 'addon' AND s.product_id IS NOT NULL
);

-- The row of each feature for each class: the most specific, then the latest.
$keep class_feature AS
WITH class AS (
    SELECT product_id, market, role, since, bound FROM product
    UNION
    SELECT product_id, market, role, since, bound FROM addon
)
SELECT *
FROM (
    SELECT
        c.product_id, c.market, c.role, c.since, c.bound,
        f.feature_id, f.value_type, f.v_bool, f.v_int, f.v_enum, f.unlimited, f.unit, f.reset, f.merge,
        row_number() OVER (
            PARTITION BY c.product_id, c.market, c.role, c.since, c.bound, f.feature_id
            ORDER BY f.market <> '*' DESC, f.role <> '*' DESC, f.effective_from DESC
        ) AS place
    FROM class AS c
    JOIN product_feature AS f ON f.product_id = c.product_id AND f.market IN ('*', c.market) AND f.role IN ('*', c.role)
    WHERE utc(f.effective_from) <= $as_of
      AND (since(utc(f.effective_from)) <= c.since AND (f.effective_to IS NULL OR c.since < since(utc(f.effective_to)))
           OR f.existing_from IS NOT NULL AND bound(utc(f.existing_from)) <= c.bound)
)
WHERE place = 1;

CREATE TEMPORARY VIEW from_addon AS
SELECT
    a.account_id, a.quantity, f.*,
    row_number() OVER (PARTITION BY a.account_id, f.feature_id ORDER BY a.place) AS nth
FROM addon AS a
JOIN class_feature AS f
    ON f.product_id = a.product_id AND f.market = a.market AND f.role = a.role AND f.since = a.since AND f.bound = a.bound;

$keep by_addon AS
-- Folded as rule R6 has it: what comes after an unlimited value adds no number to it.
SELECT
    account_id, feature_id,
    max(value_type) FILTER (WHERE nth = 1) AS value_type,
    max(unit)       FILTER (WHERE nth = 1) AS unit,
    max(reset)      FILTER (WHERE nth = 1) AS reset,
    max(merge)      FILTER (WHERE nth = 1) AS merge,
    bool_or(v_bool) FILTER (WHERE nth = 1) AS first_bool,
    max(v_int)      FILTER (WHERE nth = 1) AS first_int,
    max(v_enum)     FILTER (WHERE nth = 1) AS first_enum,
    bool_or(unlimited) FILTER (WHERE nth = 1) AS first_unlimited,
    bool_or(v_bool)                                               AS v_bool,
    max(v_int) FILTER (WHERE nth <= coalesce(unlimited_at, nth))  AS v_int,
    min_by(v_enum, nth) FILTER (WHERE v_enum IS NOT NULL)         AS v_enum,
    bool_or(unlimited)                                            AS unlimited,
    CAST(sum(v_int * quantity) AS BIGINT)                         AS total
FROM (SELECT *, min(CASE WHEN unlimited THEN nth END) OVER (PARTITION BY account_id, feature_id) AS unlimited_at FROM from_addon)
GROUP BY account_id, feature_id;

CREATE TEMPORARY VIEW live_grant AS
SELECT
    account_id, feature_id, kind, v_bool, v_int, v_enum, unlimited,
    row_number() OVER (
        PARTITION BY account_id, feature_id, kind ORDER BY priority, effective_from DESC, grant_id
    ) AS nth
FROM account_grant
WHERE kind <> 'offer_redemption'
  AND utc(effective_from) <= $as_of
  AND (expires_at IS NULL OR utc(expires_at) > $as_of)
  AND (voided_at  IS NULL OR utc(voided_at)  > $as_of);

$keep by_grant AS
SELECT
    account_id, feature_id,
    bool_or(kind = 'removal')  AS is_removed,
    bool_or(kind = 'override') AS is_overridden,
    bool_or(kind = 'grant')    AS is_granted,
    bool_or(v_bool)    FILTER (WHERE kind = 'override' AND nth = 1) AS override_bool,
    max(v_int)         FILTER (WHERE kind = 'override' AND nth = 1) AS override_int,
    max(v_enum)        FILTER (WHERE kind = 'override' AND nth = 1) AS override_enum,
    bool_or(unlimited) FILTER (WHERE kind = 'override' AND nth = 1) AS override_unlimited,
    bool_or(v_bool)    FILTER (WHERE kind = 'grant')                AS granted_bool,
    max(v_int)         FILTER (WHERE kind = 'grant' AND nth <= coalesce(unlimited_at, nth)) AS granted_int,
    min_by(v_enum, nth) FILTER (WHERE kind = 'grant' AND v_enum IS NOT NULL) AS granted_enum,
    bool_or(unlimited) FILTER (WHERE kind = 'grant')                AS granted_unlimited,
    CAST(sum(v_int)    FILTER (WHERE kind = 'topup') AS BIGINT)     AS topup,
    coalesce(bool_or(unlimited) FILTER (WHERE kind = 'topup'), FALSE) AS topup_unlimited
FROM (SELECT *, min(CASE WHEN unlimited THEN nth END) OVER (PARTITION BY account_id, feature_id, kind) AS unlimited_at FROM live_grant)
GROUP BY account_id, feature_id;

CREATE TEMPORARY VIEW feature AS
-- What a feature is, for users who have it by a grant alone: its first row in the catalogue.
SELECT feature_id, value_type, unit, reset
FROM (
    SELECT *, row_number() OVER (PARTITION BY feature_id ORDER BY product_id, market, role, effective_from) AS nth
    FROM product_feature
)
WHERE nth = 1;

-- Users and features that have more than what the product gives.
$keep touched AS
SELECT account_id, feature_id FROM by_addon
UNION
SELECT g.account_id, g.feature_id FROM by_grant AS g JOIN feature AS f ON f.feature_id = g.feature_id;
