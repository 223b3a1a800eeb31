//! A subscription: what was bought, on which terms, and its timeline.

use super::account::AccountLife;
use super::billing::Billing;
use super::calendar::{DAY, HOUR, Instant, day_of_month, source_seq};
use super::catalog::{self, LEGACY_SALE_ENDS, PlanVersion, Unit};
use super::draw::Draw;
use super::ids::{AccountId, SUBSCRIPTIONS_AN_ACCOUNT, SubscriptionId, nobody};
use super::market::Currency;
use super::price::{EMPLOYEE, FOUNDERS, FOUNDERS_END, STANDARD};
use super::timeline::{Moment, State, Timeline};

#[derive(Debug, Clone, Copy)]
pub struct SubscriptionLife {
    pub id: SubscriptionId,
    pub owner: AccountId,
    /// The subscription that an add-on hangs on; a base subscription has none.
    pub base: Option<SubscriptionId>,
    pub plan: &'static PlanVersion,
    pub quantity: i64,
    pub billing: Billing,
    /// Whether the row states the anchor; without it the day of `started_at` counts (rule R5).
    anchor_stated: bool,
    pub price_cohort: Option<&'static str>,
    /// NUMERIC with nine decimals, in `currency`.
    pub locked_price: Option<i128>,
    pub currency: &'static Currency,
    pub store: &'static str,
    pub is_sandbox: bool,
    pub timeline: Timeline,
}

/// One row of `subscription`. No id: a planted row of nothing.
#[derive(Debug, Clone, Copy)]
pub struct SubscriptionRow<'a> {
    pub id: Option<SubscriptionId>,
    pub life: &'a SubscriptionLife,
    pub moment: Moment,
    pub source_seq: i64,
}

/// How long a subscriber means to stay, in months; `None` is for good.
pub type Stay = Option<i64>;

impl SubscriptionLife {
    pub fn draw(
        draw: &mut Draw,
        owner: &AccountLife,
        ordinal: u64,
        plan_id: &str,
        ordered_at: Instant,
        stay: Stay,
    ) -> Self {
        let started_at = draw_start(draw, ordered_at);
        let plan = catalog::on_sale(plan_id, started_at);
        let trial_end_at = plan.trial_end(started_at);
        let anchor_day = draw_anchor_day(draw, started_at, trial_end_at);
        let billing = Billing { started_at, anchor_day, unit: plan.billing_unit(), trial_end_at };
        let last_period = stay.map(|months| periods(months, billing.unit));
        let timeline = Timeline::draw(draw, ordered_at, &billing, last_period);
        let currency = owner.market.currency;
        SubscriptionLife {
            id: SubscriptionId::new(owner.id, ordinal),
            owner: owner.id,
            base: None,
            plan,
            quantity: 1,
            billing,
            anchor_stated: anchor_day != day_of_month(started_at) || !draw.one_in(10),
            price_cohort: draw_cohort(draw, started_at),
            locked_price: draw.one_in(20).then(|| currency.amount(plan.usd_cents * LOCKED_PERCENT / 100)),
            currency,
            store: draw.weighted(&[("app_store", 35), ("play_store", 35), ("web", 25), ("partner", 5)]),
            is_sandbox: draw.one_in(500),
            timeline,
        }
    }

    /// An add-on to `base`, bought while it runs; half of them end with it, the others are left behind.
    pub fn draw_addon(draw: &mut Draw, owner: &AccountLife, ordinal: u64, base: &SubscriptionLife) -> Option<Self> {
        let plan_id =
            draw.weighted(&[(catalog::AUDIOBOOKS_PLUS, 45), (catalog::HIFI, 25), (catalog::DEVICES_PLUS, 30)]);
        let ordered_at = draw.between(base.billing.started_at + HOUR, base.billing.started_at + 300 * DAY);
        let stay = draw.one_in(3).then(|| 1 + i64::from(draw.below(12)));
        let mut addon = SubscriptionLife::draw(draw, owner, ordinal, plan_id, ordered_at, stay);
        addon.base = Some(base.id);
        addon.quantity = draw.weighted(&[(1, 85), (2, 10), (3, 5)]);
        let ends_with_base = draw.one_in(2);
        if base.timeline.end().is_some_and(|end| end <= ordered_at) {
            return None;
        }
        if let Some(end) = base.timeline.end().filter(|_| ends_with_base) {
            addon.timeline.stop(end, &addon.billing);
        }
        Some(addon)
    }

    /// A planted subscription of an account that never existed.
    pub fn of_unknown_account(beside: &AccountLife) -> Self {
        let id = SubscriptionId::new(beside.id, SUBSCRIPTIONS_AN_ACCOUNT - 1);
        SubscriptionLife { owner: nobody(beside.id), ..Self::plain(id, beside, catalog::MID_WEEKLY) }
    }

    /// A planted add-on whose base subscription never existed.
    pub fn of_unknown_base(owner: &AccountLife) -> Self {
        let id = SubscriptionId::new(owner.id, SUBSCRIPTIONS_AN_ACCOUNT - 2);
        SubscriptionLife { base: Some(unknown_subscription(owner.id)), ..Self::plain(id, owner, catalog::HIFI) }
    }

    /// Bought with the account and active for ever, on the usual terms.
    fn plain(id: SubscriptionId, owner: &AccountLife, plan_id: &str) -> Self {
        let started_at = owner.created_at;
        let plan = catalog::on_sale(plan_id, started_at);
        let anchor_day = day_of_month(started_at);
        SubscriptionLife {
            id,
            owner: owner.id,
            base: None,
            plan,
            quantity: 1,
            billing: Billing { started_at, anchor_day, unit: plan.billing_unit(), trial_end_at: None },
            anchor_stated: true,
            price_cohort: None,
            locked_price: None,
            currency: owner.market.currency,
            store: "web",
            is_sandbox: false,
            timeline: Timeline::steady(started_at, started_at),
        }
    }

    pub fn category(&self) -> &'static str {
        if self.base.is_some() { "addon" } else { "base" }
    }

    pub fn anchor_day(&self) -> Option<i64> {
        self.anchor_stated.then_some(i64::from(self.billing.anchor_day))
    }

    /// `None` before it was ordered.
    pub fn row(&self, as_of: Instant) -> Option<SubscriptionRow<'_>> {
        let moment = self.timeline.at(as_of, &self.billing)?;
        Some(SubscriptionRow { id: Some(self.id), life: self, moment, source_seq: source_seq(moment.updated_at) })
    }

    /// Whether a base subscription gives its owner the plan at an instant, as far as billing says.
    pub fn gives_plan(&self, at: Instant) -> bool {
        let state = self.timeline.state(at);
        self.base.is_none() && matches!(state, Some(State::Active | State::Grace | State::Cancelled))
    }
}

/// The id of a subscription that never existed, for what is planted beside an account.
pub fn unknown_subscription(beside: AccountId) -> SubscriptionId {
    SubscriptionId::new(nobody(beside), 0)
}

/// What a person who buys for one buys; the retired plan only while it was sold.
pub fn draw_plan(draw: &mut Draw, ordered_at: Instant) -> &'static str {
    let plan_id = draw.weighted(&[
        (catalog::PREMIUM_INDIVIDUAL, 38),
        (catalog::MID_MONTHLY, 30),
        (catalog::PREMIUM_ANNUAL, 9),
        (catalog::PREMIUM_STUDENT, 9),
        (catalog::PREMIUM_LEGACY, 8),
        (catalog::MID_WEEKLY, 6),
    ]);
    // The longest wait for the first payment must not lead beyond the end of the sale.
    let sold = plan_id != catalog::PREMIUM_LEGACY || ordered_at + LONGEST_PENDING < LEGACY_SALE_ENDS;
    if sold { plan_id } else { catalog::PREMIUM_INDIVIDUAL }
}

const LONGEST_PENDING: i64 = 5 * DAY;

/// A price that was promised lies a little below the first one of the plan.
const LOCKED_PERCENT: i64 = 90;

/// Most orders are paid within minutes; the others are pending in a snapshot or two.
fn draw_start(draw: &mut Draw, ordered_at: Instant) -> Instant {
    if draw.per_mille(150) {
        draw.between(ordered_at + 6 * HOUR, ordered_at + LONGEST_PENDING)
    } else {
        draw.between(ordered_at, ordered_at + HOUR / 6)
    }
}

/// The day it started, unless it was moved to another: then boundaries come before a trial would have ended, so
/// subscriptions with a trial are never moved.
fn draw_anchor_day(draw: &mut Draw, started_at: Instant, trial_end_at: Option<Instant>) -> u32 {
    let moved = draw.one_in(50);
    let day = 1 + draw.below(31);
    if moved && trial_end_at.is_none() { day } else { day_of_month(started_at) }
}

fn draw_cohort(draw: &mut Draw, started_at: Instant) -> Option<&'static str> {
    let founders = started_at < FOUNDERS_END;
    match draw.below(100) {
        0..5 => Some(STANDARD),
        5..25 if founders => Some(FOUNDERS),
        25..27 => Some(EMPLOYEE),
        _ => None,
    }
}

fn periods(months: i64, unit: Unit) -> i64 {
    match unit {
        Unit::Day => months * 30,
        Unit::Week => months * 4,
        Unit::Month => months,
        Unit::Year => (months / 12).max(1),
    }
}
