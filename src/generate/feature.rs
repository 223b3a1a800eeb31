//! What the products give: fourteen features of every kind of value, by market and role, and how they changed.

use super::calendar::{Instant, midnight};
use super::catalog::FOUNDING;
use super::schedule::{Change, Dated, shown};

pub const AUDIOBOOK_HOURS: &str = "audiobook_hours";
pub const SKIPS: &str = "skips";
pub const AI_REQUESTS: &str = "ai_requests";
pub const STUDIO_SESSIONS: &str = "studio_sessions";
/// Granted to some by mistake: no product has it.
pub const UNKNOWN_FEATURE: &str = "hologram_calls";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Enum(&'static str),
    Unlimited,
    /// There, and without any value: a metered feature without a cap.
    Unstated,
}

impl Value {
    pub fn as_bool(self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(value) } else { None }
    }

    pub fn as_int(self) -> Option<i64> {
        if let Value::Int(value) = self { Some(value) } else { None }
    }

    pub fn as_enum(self) -> Option<&'static str> {
        if let Value::Enum(value) = self { Some(value) } else { None }
    }
}

/// A feature, and all that products give of it.
#[derive(Debug)]
pub struct Feature {
    pub id: &'static str,
    pub value_type: &'static str,
    pub unit: Option<&'static str>,
    pub reset: &'static str,
    pub merge: &'static str,
    given: &'static [Given],
}

/// One value and its changes, for each of the products in each of the markets.
#[derive(Debug)]
struct Given {
    products: &'static [&'static str],
    markets: &'static [&'static str],
    role: &'static str,
    changes: &'static [Change<Value>],
}

/// One row of `product_feature`.
#[derive(Debug, Clone, Copy)]
pub struct FeatureRow {
    pub product_id: &'static str,
    pub feature: &'static Feature,
    pub market: &'static str,
    pub role: &'static str,
    pub dated: Dated<Value>,
}

/// The rows of a day, feature by feature.
pub fn rows(as_of: Instant) -> impl Iterator<Item = FeatureRow> {
    FEATURES.iter().flat_map(move |feature| {
        feature.given.iter().flat_map(move |given| {
            let places = given.products.iter().flat_map(|product| given.markets.iter().map(move |at| (*product, *at)));
            places.flat_map(move |(product_id, market)| {
                let row = move |dated| FeatureRow { product_id, feature, market, role: given.role, dated };
                shown(given.changes, as_of).map(row)
            })
        })
    })
}

const ANYWHERE: &[&str] = &["*"];
const FREE: &[&str] = &["free"];
const MID: &[&str] = &["mid"];
const PREMIUM: &[&str] = &["premium", "premium-student", "premium-plus", "premium-family", "duo"];
/// Of one person each.
const SINGLE: &[&str] = &["premium", "premium-student", "premium-plus"];
const SHARED: &[&str] = &["premium-family", "duo"];
const PAID: &[&str] = &["mid", "premium", "premium-student", "premium-plus", "premium-family", "duo"];
const HIFI: &[&str] = &["hifi"];

/// Where audiobooks began, and where they came later; elsewhere the plans have none.
const BOOKS_FIRST: &[&str] = &["US", "GB", "CA", "AU", "IE", "NZ"];
const BOOKS_SECOND: &[&str] = &["FR", "BE", "NL", "LU", "DE", "AT", "CH"];
const BOOKS_NORTH: &[&str] = &["SE", "NO", "DK", "FI", "IS"];
const BOOKS_SOUTH: &[&str] = &["BR", "MX"];

/// A value that has been there from the beginning.
const fn first(value: Value) -> Change<Value> {
    Change { value, from: FOUNDING, existing_from: None }
}

/// Only for those who subscribe from then on.
const fn new_only(value: Value, from: Instant) -> Change<Value> {
    Change { value, from, existing_from: None }
}

const fn for_all(value: Value, from: Instant, existing_from: Instant) -> Change<Value> {
    Change { value, from, existing_from: Some(existing_from) }
}

const fn given(products: &'static [&'static str], changes: &'static [Change<Value>]) -> Given {
    Given { products, markets: ANYWHERE, role: "*", changes }
}

const fn on(id: &'static str, given: &'static [Given]) -> Feature {
    Feature { id, value_type: "bool", unit: None, reset: "none", merge: "or", given }
}

const fn number(id: &'static str, unit: &'static str, merge: &'static str, given: &'static [Given]) -> Feature {
    Feature { id, value_type: "int", unit: Some(unit), reset: "none", merge, given }
}

const fn word(id: &'static str, merge: &'static str, given: &'static [Given]) -> Feature {
    Feature { id, value_type: "enum", unit: None, reset: "none", merge, given }
}

const fn metered(
    id: &'static str,
    unit: &'static str,
    reset: &'static str,
    merge: &'static str,
    given: &'static [Given],
) -> Feature {
    Feature { id, value_type: "metered", unit: Some(unit), reset, merge, given }
}

use Value::{Bool, Enum, Int, Unlimited, Unstated};

static FEATURES: [Feature; 14] = [
    on("ads_free", &[given(FREE, &[first(Bool(false))]), given(PAID, &[first(Bool(true))])]),
    on("offline", &[given(FREE, &[first(Bool(false))]), given(PAID, &[first(Bool(true))])]),
    on(
        "lossless",
        &[
            given(FREE, &[first(Bool(false))]),
            given(MID, &[first(Bool(false))]),
            given(PREMIUM, &[first(Bool(false)), for_all(Bool(true), midnight(2025, 9, 10), midnight(2025, 10, 1))]),
            given(HIFI, &[first(Bool(true))]),
        ],
    ),
    on(
        "group_session",
        &[given(PREMIUM, &[first(Bool(true))]), given(MID, &[new_only(Bool(true), midnight(2026, 5, 4))])],
    ),
    on(
        "family_controls",
        &[
            Given { role: "manager", ..given(SHARED, &[first(Bool(true))]) },
            Given { role: "member", ..given(SHARED, &[first(Bool(false))]) },
        ],
    ),
    word(
        "audio_quality",
        "override",
        &[
            given(FREE, &[first(Enum("normal"))]),
            given(MID, &[first(Enum("high"))]),
            given(
                PREMIUM,
                &[first(Enum("high")), for_all(Enum("very_high"), midnight(2024, 4, 2), midnight(2024, 5, 1))],
            ),
            given(HIFI, &[first(Enum("lossless"))]),
        ],
    ),
    word(
        "support_level",
        "max",
        &[
            given(FREE, &[first(Enum("community"))]),
            given(MID, &[first(Enum("email"))]),
            given(PREMIUM, &[first(Enum("priority"))]),
        ],
    ),
    number(
        "max_devices",
        "devices",
        "max",
        &[
            given(FREE, &[first(Int(1))]),
            given(MID, &[first(Int(3))]),
            given(SINGLE, &[first(Int(5)), new_only(Int(6), midnight(2026, 11, 3))]),
            given(SHARED, &[first(Int(5))]),
            Given { role: "manager", ..given(SHARED, &[first(Int(8))]) },
        ],
    ),
    number(
        "offline_devices",
        "devices",
        "sum",
        &[
            given(MID, &[first(Int(1)), for_all(Int(2), midnight(2025, 2, 15), midnight(2025, 3, 15))]),
            given(PREMIUM, &[first(Int(5))]),
            given(&["devices-plus"], &[first(Int(2))]),
        ],
    ),
    number(
        "playlists",
        "playlists",
        "max",
        &[
            given(FREE, &[first(Int(100))]),
            given(MID, &[first(Int(1_000))]),
            given(PREMIUM, &[first(Int(10_000)), for_all(Unlimited, midnight(2026, 9, 1), midnight(2026, 10, 15))]),
        ],
    ),
    metered(
        AUDIOBOOK_HOURS,
        "hours",
        "billing",
        "sum",
        &[
            given(PREMIUM, &[first(Int(0))]),
            books(
                SINGLE,
                "*",
                BOOKS_FIRST,
                &[
                    new_only(Int(12), midnight(2023, 10, 3)),
                    for_all(Int(15), midnight(2025, 10, 1), midnight(2025, 11, 1)),
                ],
            ),
            books(SINGLE, "*", BOOKS_SECOND, &[for_all(Int(12), midnight(2024, 10, 9), midnight(2024, 11, 9))]),
            books(SINGLE, "*", BOOKS_NORTH, &[for_all(Int(12), midnight(2026, 10, 6), midnight(2026, 11, 5))]),
            books(SINGLE, "*", BOOKS_SOUTH, &[new_only(Int(10), midnight(2026, 11, 12))]),
            books(SHARED, "manager", BOOKS_FIRST, &[for_all(Int(15), midnight(2023, 10, 3), midnight(2023, 11, 1))]),
            books(SHARED, "member", BOOKS_FIRST, &[for_all(Int(0), midnight(2023, 10, 3), midnight(2023, 11, 1))]),
            books(SHARED, "manager", BOOKS_SECOND, &[for_all(Int(12), midnight(2024, 10, 9), midnight(2024, 11, 9))]),
            // The product that some plans include is for who pays; the pack is for who buys it.
            Given {
                role: "manager",
                ..given(&["audiobooks"], &[first(Int(3)), new_only(Int(5), midnight(2026, 2, 1))])
            },
            Given { role: "member", ..given(&["audiobooks"], &[first(Int(0))]) },
            given(&["audiobooks-plus"], &[first(Int(10))]),
        ],
    ),
    metered(
        SKIPS,
        "skips",
        "day",
        "max",
        &[
            given(FREE, &[first(Int(30))]),
            Given { markets: &["IN", "ID", "PH"], ..given(FREE, &[first(Int(40))]) },
            Given {
                markets: &["CL", "PE"],
                ..given(FREE, &[first(Int(30)), new_only(Int(24), midnight(2026, 11, 9))])
            },
            given(PAID, &[first(Unlimited)]),
        ],
    ),
    metered(
        AI_REQUESTS,
        "requests",
        "calendar_month",
        "max",
        &[
            given(FREE, &[new_only(Int(10), midnight(2024, 6, 1))]),
            given(MID, &[for_all(Int(50), midnight(2024, 6, 1), midnight(2024, 6, 15))]),
            given(
                &["premium", "premium-family", "duo"],
                &[
                    for_all(Int(200), midnight(2024, 6, 1), midnight(2024, 6, 15)),
                    for_all(Int(300), midnight(2026, 4, 1), midnight(2026, 5, 1)),
                ],
            ),
            given(&["premium-student"], &[for_all(Unstated, midnight(2024, 6, 1), midnight(2024, 6, 15))]),
            given(&["premium-plus"], &[first(Unlimited)]),
        ],
    ),
    metered(
        STUDIO_SESSIONS,
        "sessions",
        "none",
        "max",
        &[given(FREE, &[first(Int(3))]), given(MID, &[first(Int(3))]), given(PREMIUM, &[first(Unlimited)])],
    ),
];

const fn books(
    products: &'static [&'static str],
    role: &'static str,
    markets: &'static [&'static str],
    changes: &'static [Change<Value>],
) -> Given {
    Given { products, markets, role, changes }
}
