//! What must hold of the published tables of any days, asked in SQL: each query selects the rows that must not exist.

use super::World;
use super::snapshots::{erased, user_pid};

const HISTORIES: [(&str, &str); 4] = [
    ("value_proposition.product_feature_history", "product_id, feature_id, market, role"),
    ("value_proposition.plan_price_history", "plan_id, plan_version, phase_seq, market, cohort"),
    ("users.user_subscription_history", "subscription_id"),
    ("users.user_entitlement_history", "user_pid, feature_id"),
];

/// The rows of a key follow each other: none is empty, none begins before the one before it ended, only the last is open, and
/// that one is current.
fn out_of_order((history, key): (&str, &str)) -> String {
    format!(
        "SELECT 1 FROM (
             SELECT valid_from, valid_to, is_current,
                    lead(valid_from) OVER (PARTITION BY {key} ORDER BY valid_from) AS next_from
             FROM {history}
         )
         WHERE valid_to <= valid_from OR next_from < valid_to OR next_from <= valid_from
            OR (valid_to IS NULL AND next_from IS NOT NULL) OR is_current <> (valid_to IS NULL)"
    )
}

const TIERS_COUNT_EVERYBODY: &str = "
    SELECT 1
    FROM (SELECT snapshot_date, sum(accounts) AS accounts, sum(paid) AS paid, sum(trial) AS trial
          FROM value_proposition.tier_metrics_daily GROUP BY snapshot_date) AS m
    FULL JOIN (SELECT snapshot_date, count(*) AS accounts, count(*) FILTER (WHERE is_paid) AS paid,
                      count(*) FILTER (WHERE is_trial) AS trial
               FROM users.user_daily GROUP BY snapshot_date) AS u ON u.snapshot_date = m.snapshot_date
    WHERE m.snapshot_date IS NULL OR u.snapshot_date IS NULL
       OR m.accounts <> u.accounts OR m.paid <> u.paid OR m.trial <> u.trial";

/// Nothing is known of anybody before the first day.
const PAID_ADDS_UP: &str = "
    WITH day AS (
        SELECT snapshot_date, sum(paid) AS paid, sum(conversions) AS conversions, sum(churned) AS churned
        FROM value_proposition.tier_metrics_daily GROUP BY snapshot_date
    )
    SELECT 1
    FROM day AS d
    LEFT JOIN day AS b ON b.snapshot_date = CAST(d.snapshot_date - INTERVAL '1 day' AS DATE)
    WHERE CASE WHEN b.snapshot_date IS NULL THEN d.conversions <> 0 OR d.churned <> 0
               ELSE d.paid <> b.paid + d.conversions - d.churned END";

const CAPS_ARE_COUNTED_DOWN: &str = "
    SELECT 1 FROM value_proposition.feature_cap_daily
    WHERE remaining < 0 OR consumed < 0 OR (remaining IS NULL) <> (cap IS NULL) OR (unlimited AND cap IS NOT NULL)
       OR (consumed <= cap AND remaining <> cap - consumed) OR exhausted <> coalesce(remaining = 0, FALSE)
       OR window_end <= window_start";

/// What users have and pay is told of users alone, and the restricted table is of those of the last day.
const TABLES_SPEAK_OF_USERS: &str = "
    SELECT 1 FROM value_proposition.feature_cap_daily AS c
    WHERE NOT EXISTS (SELECT 1 FROM users.user_daily AS u
                      WHERE u.user_pid = c.user_pid AND u.snapshot_date = c.snapshot_date)
    UNION ALL
    SELECT 1
    FROM users_restricted.user_pii AS p
    FULL JOIN (SELECT user_pid FROM users.user_daily
               WHERE snapshot_date = (SELECT max(snapshot_date) FROM users.user_daily)) AS u ON u.user_pid = p.user_pid
    WHERE p.user_pid IS NULL OR u.user_pid IS NULL";

/// The metered entitlements that were open on a day are the caps of the day, as far as their users were users on it.
const CAPS_ARE_ENTITLEMENTS: &str = "
    SELECT 1
    FROM (
        SELECT u.snapshot_date, h.user_pid, h.feature_id
        FROM users.user_entitlement_history AS h
        JOIN users.user_daily AS u
          ON u.user_pid = h.user_pid AND CAST(h.valid_from AS DATE) <= u.snapshot_date
         AND (h.valid_to IS NULL OR CAST(h.valid_to AS DATE) > u.snapshot_date)
        WHERE h.value_type = 'metered' AND h.user_pid NOT IN (SELECT user_pid FROM forgotten)
    ) AS h
    FULL JOIN (
        SELECT * FROM value_proposition.feature_cap_daily AS c
        WHERE c.user_pid NOT IN (SELECT user_pid FROM forgotten)
    ) AS c ON c.snapshot_date = h.snapshot_date AND c.user_pid = h.user_pid AND c.feature_id = h.feature_id
    WHERE c.user_pid IS NULL OR h.user_pid IS NULL";

/// A price is told of a subscription that was entitled on the day.
const PRICES_ARE_OF_ENTITLED: &str = "
    SELECT 1
    FROM users.user_price_daily AS p
    LEFT JOIN users.user_subscription_history AS h
      ON h.subscription_id = p.subscription_id AND h.entitled AND CAST(h.valid_from AS DATE) <= p.snapshot_date
     AND (h.valid_to IS NULL OR CAST(h.valid_to AS DATE) > p.snapshot_date)
    WHERE h.subscription_id IS NULL
      AND p.user_pid NOT IN (SELECT user_pid FROM forgotten)";

/// Who asked to be erased is in no table of that day, and after the last day in no history at all.
const ERASED_ARE_GONE: &str = "
    SELECT 1 FROM forgotten AS f JOIN users.user_daily AS t ON t.user_pid = f.user_pid AND t.snapshot_date = f.day
    UNION ALL
    SELECT 1 FROM forgotten AS f JOIN users.user_price_daily AS t ON t.user_pid = f.user_pid AND t.snapshot_date = f.day
    UNION ALL
    SELECT 1 FROM forgotten AS f JOIN value_proposition.feature_cap_daily AS t
      ON t.user_pid = f.user_pid AND t.snapshot_date = f.day
    UNION ALL
    SELECT 1 FROM gone AS f JOIN users_restricted.user_pii AS t ON t.user_pid = f.user_pid
    UNION ALL
    SELECT 1 FROM gone AS f JOIN users.user_subscription_history AS t ON t.user_pid = f.user_pid
    UNION ALL
    SELECT 1 FROM gone AS f JOIN users.user_entitlement_history AS t ON t.user_pid = f.user_pid";

/// One call of the program asks for all of it.
pub fn hold(world: &World) {
    let mut properties: Vec<(&str, String)> = vec![
        ("tiers count everybody", TIERS_COUNT_EVERYBODY.to_owned()),
        ("paid adds up", PAID_ADDS_UP.to_owned()),
        ("caps are counted down", CAPS_ARE_COUNTED_DOWN.to_owned()),
        ("tables speak of users", TABLES_SPEAK_OF_USERS.to_owned()),
        ("caps are entitlements", CAPS_ARE_ENTITLEMENTS.to_owned()),
        ("prices are of entitled subscriptions", PRICES_ARE_OF_ENTITLED.to_owned()),
        ("the erased are gone", ERASED_ARE_GONE.to_owned()),
    ];
    properties.extend(HISTORIES.iter().map(|history| (history.0, out_of_order(*history))));
    let counted =
        |(name, broken): &(&str, String)| format!("SELECT '{name}' AS property, count(*) AS rows FROM ({broken})");
    let counted: Vec<String> = properties.iter().map(counted).collect();
    let sql = format!("{} SELECT * FROM ({}) WHERE rows > 0", forgotten(world), counted.join(" UNION ALL "));
    assert_eq!(world.sandbox.rows(&sql), Vec::<String>::new(), "rows that must not exist");
}

/// The accounts of each day that are erased by then, and among them those of the last day.
fn forgotten(world: &World) -> String {
    let of_day = |day: &String| -> Vec<String> {
        erased(world, day).iter().map(|account| format!("(DATE '{day}', '{}')", user_pid(account))).collect()
    };
    let rows: Vec<String> = world.days.iter().flat_map(of_day).collect();
    assert!(!rows.is_empty(), "nobody asked to be erased");
    let last = world.last();
    format!(
        "WITH forgotten (day, user_pid) AS (VALUES {}), gone AS (SELECT user_pid FROM forgotten WHERE day = DATE '{last}')",
        rows.join(", ")
    )
}

/// That the days have what the properties speak of.
pub fn are_not_empty(world: &World) {
    let sql = "SELECT (SELECT sum(conversions) FROM value_proposition.tier_metrics_daily) > 0 AS converted, \
               (SELECT sum(churned) FROM value_proposition.tier_metrics_daily) > 0 AS churned, \
               (SELECT count(*) FROM value_proposition.feature_cap_daily WHERE remaining > 0 AND consumed > 0) > 0 AS used, \
               (SELECT count(*) FROM users.user_entitlement_history WHERE NOT is_current) > 0 AS closed, \
               (SELECT count(DISTINCT source) FROM users.user_entitlement_history) AS sources";
    assert_eq!(world.sandbox.rows(sql), ["true,true,true,true,5"]);
}
