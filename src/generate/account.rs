//! An account's life: when it signed up, what it changed, whether it was disabled or closed or asked to be erased.

use super::calendar::{DAY, FULL, GROWN, HOUR, Instant, OPENING, day_number, midnight, source_seq};
use super::draw::Draw;
use super::email::Email;
use super::ids::{AccountId, RequestId};
use super::market::Market;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    Disabled,
    Closing,
    Closed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Disabled => "disabled",
            Status::Closing => "closing",
            Status::Closed => "closed",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct AccountLife {
    pub id: AccountId,
    pub created_at: Instant,
    pub market: &'static Market,
    moved: Option<(Instant, &'static Market)>,
    /// What the status becomes, and when; it is active before.
    statuses: [Option<(Instant, Status)>; 2],
    birth_date: Option<i32>,
    email: Option<Email>,
    verified_at: Option<Instant>,
    locale: Option<&'static str>,
    marketing_opt_in: Option<bool>,
    /// When the choice on marketing was turned into the opposite.
    opt_turned_at: Option<Instant>,
    erasure: Option<Erasure>,
    /// When the source removed the account's rows after an erasure, and when they were back, if ever.
    gone: Option<(Instant, Option<Instant>)>,
}

/// A request to be erased: when it stands in the snapshots, and from when it holds.
#[derive(Debug, Clone, Copy)]
struct Erasure {
    filed_at: Instant,
    requested_at: Instant,
}

/// One row of `account`. No id: a planted row of nobody.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccountRow {
    pub id: Option<AccountId>,
    pub status: Status,
    pub status_changed_at: Option<Instant>,
    pub created_at: Instant,
    pub country: &'static str,
    pub birth_date: Option<i32>,
    pub email: Option<Email>,
    pub email_verified: bool,
    pub locale: Option<&'static str>,
    pub marketing_opt_in: Option<bool>,
    pub source_seq: i64,
    pub updated_at: Instant,
}

/// One row of `erasure_request`. It never changes, and every later snapshot holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasureRow {
    pub id: RequestId,
    pub account: AccountId,
    pub requested_at: Instant,
    /// Days since 1970: thirty days after the request.
    pub deadline: i32,
    pub updated_at: Instant,
    pub source_seq: i64,
}

const ERASURE_DAYS: i64 = 30;

impl AccountLife {
    pub fn draw(draw: &mut Draw, id: AccountId) -> Self {
        let created_at = if draw.one_in(25) { draw.between(GROWN, FULL) } else { draw.between(OPENING, GROWN) };
        let market = Market::draw(draw);
        let erasure_at = draw.one_in(150).then(|| draw.between(created_at + 10 * DAY, created_at + 1_500 * DAY));
        AccountLife {
            id,
            created_at,
            market,
            moved: draw.one_in(100).then(|| (sometime_after(draw, created_at), Market::draw(draw))),
            statuses: draw_statuses(draw, created_at, erasure_at),
            birth_date: draw_birth_date(draw),
            email: (!draw.one_in(100)).then(|| Email::draw(draw, id)),
            verified_at: draw_verified_at(draw, created_at),
            locale: draw_locale(draw, market),
            marketing_opt_in: draw.weighted(&[(None, 15), (Some(true), 40), (Some(false), 45)]),
            opt_turned_at: draw.one_in(10).then(|| sometime_after(draw, created_at)),
            erasure: erasure_at.map(|at| Erasure { filed_at: at, requested_at: at }),
            gone: None,
        }
    }

    pub fn asks_to_be_erased(&self) -> bool {
        self.erasure.is_some()
    }

    /// Asks to be erased while the source goes on as if nothing were: the status stays what it is.
    pub fn ask_for_erasure(&mut self, requested_at: Instant) {
        self.erasure = Some(Erasure { filed_at: requested_at, requested_at });
    }

    /// What else becomes of an erasure. Some are asked for ahead of time; some accounts are removed by their source, and
    /// some of those come back by mistake.
    pub fn draw_erasure_fate(&mut self, draw: &mut Draw, shares_plan: bool) {
        let (ahead, stays, returns) = (draw.one_in(2), draw.one_in(3), draw.one_in(2));
        let (notice, away) = (draw.between(HOUR, 400 * DAY), draw.between(5 * DAY, 30 * DAY));
        let Some(erasure) = &mut self.erasure else { return };
        if ahead {
            erasure.filed_at = (erasure.requested_at - notice).max(self.created_at);
        }
        if !stays && !shares_plan {
            let from = erasure.requested_at + ERASURE_DAYS * DAY;
            self.gone = Some((from, returns.then_some(from + away)));
        }
    }

    /// Whether the source has removed the account, and with it all that hangs on it.
    pub fn is_gone(&self, as_of: Instant) -> bool {
        self.gone.is_some_and(|(from, back)| from <= as_of && back.is_none_or(|back| as_of < back))
    }

    /// From this instant on it buys nothing, and what it has runs out.
    pub fn leaves_at(&self) -> Option<Instant> {
        self.statuses.iter().flatten().find(|(_, status)| *status == Status::Closing).map(|(at, _)| *at)
    }

    /// `None` before it signed up, and while its source has removed it.
    pub fn row(&self, as_of: Instant) -> Option<AccountRow> {
        if as_of < self.created_at || self.is_gone(as_of) {
            return None;
        }
        let happened = |at: Option<Instant>| at.filter(|at| *at <= as_of);
        let status = self.statuses.iter().flatten().rfind(|(at, _)| *at <= as_of);
        let moved = self.moved.filter(|(at, _)| *at <= as_of);
        let verified_at = happened(self.verified_at);
        let turned_at = happened(self.opt_turned_at.filter(|_| self.marketing_opt_in.is_some()));
        let changes = [status.map(|s| s.0), moved.map(|m| m.0), verified_at, turned_at];
        let updated_at = changes.into_iter().flatten().fold(self.created_at, Instant::max);
        Some(AccountRow {
            id: Some(self.id),
            status: status.map_or(Status::Active, |s| s.1),
            status_changed_at: status.map(|s| s.0),
            created_at: self.created_at,
            country: moved.map_or(self.market, |m| m.1).country,
            birth_date: self.birth_date,
            email: self.email,
            email_verified: verified_at.is_some(),
            locale: self.locale,
            marketing_opt_in: self.marketing_opt_in.map(|opted| opted != turned_at.is_some()),
            source_seq: source_seq(updated_at),
            updated_at,
        })
    }

    /// The erasure request, once it was filed.
    pub fn erasure(&self, as_of: Instant) -> Option<ErasureRow> {
        let Erasure { filed_at, requested_at } = self.erasure.filter(|erasure| erasure.filed_at <= as_of)?;
        Some(ErasureRow {
            id: RequestId::new(self.id),
            account: self.id,
            requested_at,
            deadline: day_number(requested_at + ERASURE_DAYS * DAY),
            updated_at: filed_at,
            source_seq: source_seq(filed_at),
        })
    }
}

fn sometime_after(draw: &mut Draw, from: Instant) -> Instant {
    draw.between(from + DAY, from + 1_500 * DAY)
}

/// Who asks to be erased is closing from then on, and closed before the deadline.
fn draw_statuses(draw: &mut Draw, created_at: Instant, erasure_at: Option<Instant>) -> [Option<(Instant, Status)>; 2] {
    let fate = draw.below(1_000);
    let at = erasure_at.unwrap_or_else(|| sometime_after(draw, created_at));
    let until = draw.between(at + DAY, at + 25 * DAY);
    match fate {
        _ if erasure_at.is_some() => [Some((at, Status::Closing)), Some((until, Status::Closed))],
        0..20 => [Some((at, Status::Closing)), Some((until, Status::Closed))],
        20..28 => [Some((at, Status::Disabled)), Some((until, Status::Active))],
        28..36 => [Some((at, Status::Disabled)), None],
        _ => [None, None],
    }
}

fn draw_birth_date(draw: &mut Draw) -> Option<i32> {
    if draw.per_mille(60) {
        return None;
    }
    if draw.one_in(300) {
        let year = 1960 + 4 * draw.below(13) as i32;
        return Some(day_number(midnight(year, 2, 29)));
    }
    let (youngest, oldest) = draw.weighted(&[
        ((8, 13), 1),
        ((13, 18), 16),
        ((18, 25), 54),
        ((25, 35), 60),
        ((35, 45), 34),
        ((45, 55), 20),
        ((55, 65), 10),
        ((65, 85), 5),
    ]);
    let age_days = youngest * 365 + draw.below((oldest - youngest) * 365);
    Some(day_number(midnight(2024, 1, 1)) - age_days as i32)
}

fn draw_verified_at(draw: &mut Draw, created_at: Instant) -> Option<Instant> {
    match draw.below(100) {
        0..92 => Some(draw.between(created_at, created_at + 2 * HOUR)),
        92..95 => Some(draw.between(created_at + 2 * HOUR, created_at + 200 * DAY)),
        _ => None,
    }
}

fn draw_locale(draw: &mut Draw, market: &Market) -> Option<&'static str> {
    match draw.below(100) {
        0..3 => None,
        3..11 => Some("en-US"),
        _ => Some(market.locale),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(seed: u64) -> AccountLife {
        AccountLife::draw(&mut Draw::household(seed, 0), AccountId(0))
    }

    proptest! {
        /// The sequence number tells changed rows from unchanged ones, and no change lies in the future.
        #[test]
        fn a_row_changes_exactly_when_its_source_seq_grows(seed: u64, day in 0..2_500_i64, gap in 1..300_i64) {
            let life = life(seed);
            let (early, late) = (OPENING + day * DAY, OPENING + (day + gap) * DAY);
            let (Some(before), Some(after)) = (life.row(early), life.row(late)) else {
                prop_assert!(life.row(early).is_none());
                return Ok(());
            };
            prop_assert!(life.created_at <= before.updated_at && before.updated_at <= early);
            prop_assert!(before.source_seq <= after.source_seq);
            prop_assert_eq!(before.source_seq == after.source_seq, before == after);
        }

        #[test]
        fn who_asks_to_be_erased_is_gone_by_the_deadline(seed: u64) {
            // One account in 150 asks; the search is for one of those.
            let mut draw = Draw::household(seed, 0);
            let lives = std::iter::repeat_with(|| AccountLife::draw(&mut draw, AccountId(0)));
            let Some((life, requested_at)) = lives.take(50_000).find_map(|life| Some((life, life.erasure?.requested_at))) else {
                return Err(TestCaseError::fail("nobody asks"));
            };
            prop_assert_eq!(life.erasure(requested_at - 1), None);
            prop_assert_eq!(life.row(requested_at).map(|row| row.status), Some(Status::Closing));
            let row = life.row(requested_at + ERASURE_DAYS * DAY).map(|row| row.status);
            prop_assert_eq!(row, Some(Status::Closed));
        }
    }
}
