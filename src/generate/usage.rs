//! What accounts use of metered features, day by day.
//!
//! An account's habits are drawn once. Whether and how much was used on a day follows from a habit and the day alone, so a
//! day's row is the same in each of the sixty-two snapshots that hold it. One row in a hundred is corrected some days later.

use super::account::AccountLife;
use super::calendar::{DAY, HOUR, Instant, MILLISECOND, day_number, source_seq};
use super::draw::Draw;
use super::feature::{AI_REQUESTS, AUDIOBOOK_HOURS, SKIPS, STUDIO_SESSIONS};
use super::ids::{AccountId, nobody};

/// The days that a snapshot holds, its own among them.
pub const WINDOW_DAYS: i32 = 62;

/// How often and how much an account uses one feature.
#[derive(Debug, Clone, Copy)]
pub struct Habit {
    pub account: AccountId,
    pub feature_id: &'static str,
    /// Of a thousand days, on how many.
    days_per_mille: u32,
    /// On such a day, from 1 up to this.
    most: u32,
    /// Only while the account has a plan, its own or a shared one.
    pub needs_plan: bool,
    first_day: i32,
    /// Exclusive.
    end_day: Option<i32>,
    key: u64,
}

/// One row of `feature_usage`. No account: a planted row of nobody.
#[derive(Debug, Clone, Copy)]
pub struct UsageRow {
    pub account: Option<AccountId>,
    pub feature_id: &'static str,
    /// Days since 1970.
    pub usage_date: i32,
    pub consumed: i64,
    pub updated_at: Instant,
    pub source_seq: i64,
}

/// A feature, how many of a thousand accounts use it, and how they do: most a little, one in six up to the cap.
struct Custom {
    feature_id: &'static str,
    accounts_per_mille: u32,
    needs_plan: bool,
    /// Days of a thousand, and the most of a day.
    light: (u32, u32),
    heavy: (u32, u32),
}

const CUSTOMS: [Custom; 4] = [
    Custom { feature_id: AI_REQUESTS, accounts_per_mille: 110, needs_plan: false, light: (120, 3), heavy: (600, 30) },
    Custom { feature_id: AUDIOBOOK_HOURS, accounts_per_mille: 110, needs_plan: true, light: (150, 2), heavy: (650, 4) },
    Custom { feature_id: SKIPS, accounts_per_mille: 180, needs_plan: false, light: (200, 25), heavy: (500, 60) },
    Custom { feature_id: STUDIO_SESSIONS, accounts_per_mille: 50, needs_plan: false, light: (12, 1), heavy: (80, 1) },
];

pub fn draw_habits(draw: &mut Draw, account: &AccountLife, into: &mut Vec<Habit>) {
    for custom in &CUSTOMS {
        if !draw.per_mille(custom.accounts_per_mille) {
            continue;
        }
        let (days_per_mille, most) = if draw.one_in(6) { custom.heavy } else { custom.light };
        into.push(Habit {
            account: account.id,
            feature_id: custom.feature_id,
            days_per_mille,
            most,
            needs_plan: custom.needs_plan,
            first_day: day_number(account.created_at) + 1,
            end_day: account.leaves_at().map(day_number),
            key: draw.word(),
        });
    }
}

impl Habit {
    /// The rows of a snapshot, the oldest first.
    pub fn rows(&self, as_of: Instant) -> impl Iterator<Item = UsageRow> {
        let today = day_number(as_of);
        let first = self.first_day.max(today - WINDOW_DAYS + 1);
        let end = self.end_day.map_or(today + 1, |end| end.min(today + 1));
        (first..end).filter_map(move |day| self.row(day, today))
    }

    /// What was used on a day, as it is known at the end of `today`.
    fn row(&self, day: i32, today: i32) -> Option<UsageRow> {
        let chance = mix(self.key.wrapping_add(day as u64));
        if chance % 1_000 >= u64::from(self.days_per_mille) {
            return None;
        }
        let consumed = 1 + ((chance >> 10) & 0xffff) as i64 * i64::from(self.most) / 0x1_0000;
        // Reported in the last minutes of the day, and not to the same moment.
        let reported_at = i64::from(day) * DAY + 23 * HOUR + ((chance >> 26) & 0x1f_ffff) as i64 * MILLISECOND;
        let corrected_on = day + 2 + ((chance >> 47) & 3) as i32;
        let corrected = (chance >> 49).is_multiple_of(100) && corrected_on <= today;
        let updated_at = if corrected { i64::from(corrected_on) * DAY + 6 * HOUR } else { reported_at };
        Some(UsageRow {
            account: Some(self.account),
            feature_id: self.feature_id,
            usage_date: day,
            consumed: consumed + i64::from(corrected),
            updated_at,
            source_seq: source_seq(updated_at),
        })
    }
}

/// A planted row of an account that never existed, on a day that stays in the window until the row moves on.
pub fn of_unknown_account(beside: AccountId, as_of: Instant) -> UsageRow {
    let today = day_number(as_of);
    let usage_date = today - today.rem_euclid(WINDOW_DAYS);
    let updated_at = i64::from(usage_date) * DAY + 23 * HOUR;
    UsageRow {
        account: Some(nobody(beside)),
        feature_id: SKIPS,
        usage_date,
        consumed: 5,
        updated_at,
        source_seq: source_seq(updated_at),
    }
}

/// The finalizer of SplitMix64: a word for each day, as good as drawn and much cheaper than a cipher.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
