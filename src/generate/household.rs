//! Eight accounts in a row and all that hangs on them: the unit that is drawn at once, and drawn alone.
//!
//! A household's life depends on the seed and its number only. How many accounts are asked for cuts the last household
//! short when rows are written, never while it is drawn, so that a larger sample contains a smaller one.

use super::account::AccountLife;
use super::calendar::{DAY, HOUR, Instant, source_seq};
use super::catalog;
use super::draw::Draw;
use super::grant::{GrantLife, draw_grants};
use super::ids::{AccountId, SubscriptionId};
use super::subscription::{Stay, SubscriptionLife, draw_plan, unknown_subscription};
use super::usage::{Habit, draw_habits};

pub const HOUSEHOLD: u64 = 8;

/// The lives of one household. Drawn again and again in the same buffers.
#[derive(Debug, Default)]
pub struct Household {
    pub accounts: Vec<AccountLife>,
    pub subscriptions: Vec<SubscriptionLife>,
    pub members: Vec<MemberLife>,
    pub grants: Vec<GrantLife>,
    pub habits: Vec<Habit>,
}

/// A place in a shared plan.
#[derive(Debug, Clone, Copy)]
pub struct MemberLife {
    pub subscription: SubscriptionId,
    pub account: AccountId,
    /// Of the subscription; not a column.
    pub owner: AccountId,
    pub role: Role,
    pub joined_at: Instant,
    left_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Manager,
    Member,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Manager => "manager",
            Role::Member => "member",
        }
    }
}

/// One row of `plan_member`.
#[derive(Debug, Clone, Copy)]
pub struct MemberRow<'a> {
    pub life: &'a MemberLife,
    pub left_at: Option<Instant>,
    pub updated_at: Instant,
    pub source_seq: i64,
}

impl MemberLife {
    /// `None` before joining.
    pub fn row(&self, as_of: Instant) -> Option<MemberRow<'_>> {
        if as_of < self.joined_at {
            return None;
        }
        let left_at = self.left_at.filter(|at| *at <= as_of);
        let updated_at = left_at.unwrap_or(self.joined_at);
        Some(MemberRow { life: self, left_at, updated_at, source_seq: source_seq(updated_at) })
    }

    fn is_live(&self, at: Instant) -> bool {
        self.joined_at <= at && self.left_at.is_none_or(|left| at < left)
    }

    /// A planted member of a subscription that never existed.
    pub fn of_unknown_subscription(account: &AccountLife) -> Self {
        MemberLife {
            subscription: unknown_subscription(account.id),
            account: account.id,
            owner: account.id,
            role: Role::Member,
            joined_at: account.created_at,
            left_at: None,
        }
    }
}

/// Who shares whose plan, by position in the household.
#[derive(Clone, Copy)]
struct Sharing {
    plan_id: &'static str,
    owner: usize,
    members: usize,
}

impl Sharing {
    fn draw(draw: &mut Draw) -> Option<Self> {
        let plan_id = match draw.below(100) {
            0..10 => catalog::PREMIUM_FAMILY,
            10..18 => catalog::DUO,
            _ => return None,
        };
        let owner = draw.below(HOUSEHOLD as u32) as usize;
        let members = if plan_id == catalog::DUO { 1 } else { 1 + draw.below(5) as usize };
        Some(Sharing { plan_id, owner, members })
    }

    /// The members sit behind the owner, round the table.
    fn seats(self) -> impl Iterator<Item = usize> {
        (1..=self.members).map(move |seat| (self.owner + seat) % HOUSEHOLD as usize)
    }
}

impl Household {
    pub fn draw(&mut self, seed: u64, number: u64) {
        let mut draw = Draw::household(seed, number);
        let first = number * HOUSEHOLD;
        self.accounts.clear();
        self.subscriptions.clear();
        self.members.clear();
        self.grants.clear();
        self.habits.clear();
        self.accounts.extend((first..first + HOUSEHOLD).map(|index| AccountLife::draw(&mut draw, AccountId(index))));
        let sharing = Sharing::draw(&mut draw);
        for position in 0..self.accounts.len() {
            let account = self.accounts[position];
            let shared_plan = sharing.filter(|sharing| sharing.owner == position).map(|sharing| sharing.plan_id);
            let is_member = sharing.is_some_and(|sharing| sharing.seats().any(|seat| seat == position));
            let shared = self.draw_chain(&mut draw, &account, shared_plan, is_member);
            if let (Some(sharing), Some(shared)) = (sharing, shared) {
                self.draw_members(&mut draw, sharing, &shared);
            }
        }
        self.draw_extras(&mut Draw::extras(seed, number));
    }

    /// What hangs on the lives: erasures, grants and what is used.
    fn draw_extras(&mut self, draw: &mut Draw) {
        if let Some(member) = self.members.last().filter(|_| draw.one_in(15)) {
            // The owner of a shared plan or the last to join it, which the source does not close.
            let asks = if draw.one_in(2) { member.owner } else { member.account };
            let at = draw.between(member.joined_at + DAY, member.joined_at + 600 * DAY);
            self.accounts[seat_of(asks)].ask_for_erasure(at);
        }
        for seat in 0..self.accounts.len() {
            let id = self.accounts[seat].id;
            if self.accounts[seat].asks_to_be_erased() {
                let shares_plan = self.members.iter().any(|member| member.account == id);
                self.accounts[seat].draw_erasure_fate(draw, shares_plan);
            }
            let first = self.subscriptions.partition_point(|life| life.owner.0 < id.0);
            let end = self.subscriptions.partition_point(|life| life.owner.0 <= id.0);
            draw_grants(draw, &self.accounts[seat], &self.subscriptions[first..end], &mut self.grants);
            draw_habits(draw, &self.accounts[seat], &mut self.habits);
        }
    }

    pub fn account(&self, id: AccountId) -> &AccountLife {
        &self.accounts[seat_of(id)]
    }

    /// Whether an account has a plan at an instant, its own or a shared one.
    pub fn has_plan(&self, account: AccountId, at: Instant) -> bool {
        let shares = |id| {
            let mut members = self.members.iter().filter(|member| member.account == account);
            members.any(|member| member.subscription == id && member.is_live(at))
        };
        self.subscriptions.iter().any(|life| life.gives_plan(at) && (life.owner == account || shares(life.id)))
    }

    /// One base subscription after the other, with add-ons, until the account leaves; the last one may be shared, and
    /// is returned.
    fn draw_chain(
        &mut self,
        draw: &mut Draw,
        account: &AccountLife,
        shared_plan: Option<&'static str>,
        is_member: bool,
    ) -> Option<SubscriptionLife> {
        let count = draw_count(draw, shared_plan.is_some(), is_member);
        let mut ordered_at = account.created_at + draw_first_wait(draw);
        let mut ordinal = 0;
        for left in (0..count).rev() {
            if account.leaves_at().is_some_and(|at| at <= ordered_at) {
                return None;
            }
            let shared_plan = shared_plan.filter(|_| left == 0);
            let plan_id = shared_plan.unwrap_or_else(|| draw_plan(draw, ordered_at));
            let stay = draw_stay(draw, left);
            let mut base = SubscriptionLife::draw(draw, account, ordinal, plan_id, ordered_at, stay);
            if let Some(at) = account.leaves_at() {
                base.timeline.stop(at, &base.billing);
            }
            self.subscriptions.push(base);
            if draw.per_mille(200) {
                self.subscriptions.extend(addon(draw, account, ordinal + 1, &base));
            }
            if shared_plan.is_some() {
                return Some(base);
            }
            ordinal += 2;
            ordered_at = draw_next_order(draw, &base);
        }
        None
    }

    fn draw_members(&mut self, draw: &mut Draw, sharing: Sharing, shared: &SubscriptionLife) {
        let started_at = shared.billing.started_at;
        let end = shared.timeline.end();
        self.members.push(MemberLife {
            subscription: shared.id,
            account: shared.owner,
            owner: shared.owner,
            role: Role::Manager,
            joined_at: started_at,
            left_at: end,
        });
        for seat in sharing.seats() {
            let account = &self.accounts[seat];
            let earliest = account.created_at.max(started_at);
            let joined_at = draw.between(earliest + HOUR, earliest + 60 * DAY);
            let quits_at = draw.per_mille(120).then(|| draw.between(joined_at + 20 * DAY, joined_at + 400 * DAY));
            let left_at = [quits_at, end, account.leaves_at()].into_iter().flatten().min();
            if left_at.is_none_or(|at| joined_at < at) {
                self.members.push(MemberLife {
                    subscription: shared.id,
                    account: account.id,
                    owner: shared.owner,
                    role: Role::Member,
                    joined_at,
                    left_at,
                });
            }
        }
    }
}

/// The place of an account in its household.
fn seat_of(account: AccountId) -> usize {
    (account.0 % HOUSEHOLD) as usize
}

/// How many base subscriptions an account has in its life.
fn draw_count(draw: &mut Draw, owns_shared: bool, is_member: bool) -> u32 {
    let none = draw.below(1_000) < if is_member { 650 } else { 300 };
    let count = draw.weighted(&[(1, 45), (2, 30), (3, 17), (4, 8)]);
    if none && !owns_shared { 0 } else { count }
}

fn draw_first_wait(draw: &mut Draw) -> i64 {
    let longest = if draw.per_mille(600) { 20 * DAY } else { 1_300 * DAY };
    draw.between(HOUR, longest)
}

/// All but the last subscription end within a year; one in three of the last ones ends too.
fn draw_stay(draw: &mut Draw, left: u32) -> Stay {
    let (short, long) = (1 + i64::from(draw.below(9)), 1 + i64::from(draw.below(36)));
    let ends = draw.one_in(3);
    if left > 0 { Some(short) } else { ends.then_some(long) }
}

/// In the hour in which the one before has ended, as with a change of plan, or up to a year after it; now and then beside
/// it, as with a promotion.
fn draw_next_order(draw: &mut Draw, before: &SubscriptionLife) -> Instant {
    let beside = draw.one_in(40);
    let changes_plan = draw.per_mille(350);
    let started_at = before.billing.started_at;
    match before.timeline.end().filter(|_| !beside) {
        Some(end) if changes_plan => draw.between(end, end + HOUR),
        end => {
            let from = end.unwrap_or(started_at);
            draw.between(from + 3 * DAY, from + 400 * DAY)
        }
    }
}

fn addon(draw: &mut Draw, account: &AccountLife, ordinal: u64, base: &SubscriptionLife) -> Option<SubscriptionLife> {
    let mut addon = SubscriptionLife::draw_addon(draw, account, ordinal, base)?;
    if let Some(at) = account.leaves_at() {
        if at <= addon.timeline.ordered_at() {
            return None;
        }
        addon.timeline.stop(at, &addon.billing);
    }
    Some(addon)
}
