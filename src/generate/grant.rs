//! What accounts are given and what is taken from them: features, top-ups, redeemed offers.

use super::account::AccountLife;
use super::calendar::{DAY, HOUR, Instant, source_seq};
use super::draw::Draw;
use super::feature::{AI_REQUESTS, AUDIOBOOK_HOURS, UNKNOWN_FEATURE, Value};
use super::ids::{AccountId, GRANTS_AN_ACCOUNT, GrantId, SubscriptionId};
use super::offer::{OFFERS, Offer};
use super::subscription::SubscriptionLife;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Grant,
    Override,
    Removal,
    Topup,
    OfferRedemption,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Grant => "grant",
            Kind::Override => "override",
            Kind::Removal => "removal",
            Kind::Topup => "topup",
            Kind::OfferRedemption => "offer_redemption",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct GrantLife {
    pub id: GrantId,
    pub account: AccountId,
    pub kind: Kind,
    pub feature_id: Option<&'static str>,
    pub offer_id: Option<&'static str>,
    pub subscription: Option<SubscriptionId>,
    pub value: Value,
    pub priority: i64,
    /// When it was decided; some hold from later on.
    given_at: Instant,
    pub effective_from: Instant,
    pub expires_at: Option<Instant>,
    voided_at: Option<Instant>,
}

/// One row of `account_grant`. No id: a planted row of nothing.
#[derive(Debug, Clone, Copy)]
pub struct GrantRow<'a> {
    pub id: Option<GrantId>,
    pub life: &'a GrantLife,
    pub voided_at: Option<Instant>,
    pub priority: i64,
    pub updated_at: Instant,
    pub source_seq: i64,
}

impl GrantLife {
    /// `None` before it was given.
    pub fn row(&self, as_of: Instant) -> Option<GrantRow<'_>> {
        if as_of < self.given_at {
            return None;
        }
        let voided_at = self.voided_at.filter(|at| *at <= as_of);
        let updated_at = voided_at.unwrap_or(self.given_at);
        let (id, priority) = (Some(self.id), self.priority);
        Some(GrantRow { id, life: self, voided_at, priority, updated_at, source_seq: source_seq(updated_at) })
    }

    /// A planted grant of a feature that no product has.
    pub fn of_unknown_feature(account: &AccountLife) -> Self {
        GrantLife {
            id: GrantId::new(account.id, GRANTS_AN_ACCOUNT - 1),
            feature_id: Some(UNKNOWN_FEATURE),
            ..feature_grant(account.id, 0, Kind::Grant, UNKNOWN_FEATURE, Value::Bool(true), account.created_at + HOUR)
        }
    }
}

/// All grants of an account, whose subscriptions are `owned`.
pub fn draw_grants(draw: &mut Draw, account: &AccountLife, owned: &[SubscriptionLife], into: &mut Vec<GrantLife>) {
    let before = into.len();
    if draw.per_mille(70) {
        for _ in 0..draw.weighted(&[(1, 70), (2, 20), (3, 10)]) {
            let ordinal = (into.len() - before) as u64;
            into.push(draw_feature_grant(draw, account, ordinal));
        }
    }
    for subscription in owned {
        if subscription.base.is_none() && draw.per_mille(50) {
            let ordinal = (into.len() - before) as u64;
            into.push(draw_topup(draw, subscription, ordinal));
        }
        draw_redemptions(draw, account, subscription, before, into);
    }
}

/// Values that are more than a plan gives, less, and none at all.
const GRANTS: [(Kind, &str, Value); 12] = [
    (Kind::Grant, "lossless", Value::Bool(true)),
    (Kind::Grant, "ads_free", Value::Bool(true)),
    (Kind::Grant, "offline_devices", Value::Int(10)),
    (Kind::Grant, AI_REQUESTS, Value::Int(100)),
    (Kind::Grant, AI_REQUESTS, Value::Unlimited),
    (Kind::Grant, "audio_quality", Value::Enum("very_high")),
    (Kind::Override, "max_devices", Value::Int(99)),
    (Kind::Override, "playlists", Value::Int(20)),
    (Kind::Override, "support_level", Value::Enum("priority")),
    (Kind::Override, AUDIOBOOK_HOURS, Value::Int(40)),
    (Kind::Removal, AI_REQUESTS, Value::Unstated),
    (Kind::Removal, "group_session", Value::Unstated),
];

fn draw_feature_grant(draw: &mut Draw, account: &AccountLife, ordinal: u64) -> GrantLife {
    let (kind, feature_id, value) = draw.pick(&GRANTS);
    let given_at = draw.between(account.created_at + HOUR, account.created_at + 1_200 * DAY);
    let mut grant = feature_grant(account.id, ordinal, kind, feature_id, value, given_at);
    grant.priority = 10 * (1 + i64::from(draw.below(5)));
    if draw.one_in(10) {
        grant.effective_from = draw.between(given_at, given_at + 20 * DAY);
    }
    let lasts = draw.pick(&[30, 90, 365]) * DAY;
    grant.expires_at = draw.per_mille(600).then_some(grant.effective_from + lasts);
    grant.voided_at = draw_voiding(draw, grant.effective_from);
    grant
}

/// More of a metered feature, bought while the subscription ran, for a year or a quarter.
fn draw_topup(draw: &mut Draw, subscription: &SubscriptionLife, ordinal: u64) -> GrantLife {
    let (feature_id, more, days) = draw.weighted(&[((AUDIOBOOK_HOURS, 10, 365), 7), ((AI_REQUESTS, 100, 90), 3)]);
    let started_at = subscription.billing.started_at;
    let given_at = draw.between(started_at + HOUR, started_at + 500 * DAY);
    let given_at = subscription.timeline.end().filter(|end| *end < given_at).unwrap_or(given_at);
    let value = Value::Int(more);
    GrantLife {
        expires_at: Some(given_at + days * DAY),
        voided_at: draw_voiding(draw, given_at),
        ..feature_grant(subscription.owner, ordinal, Kind::Topup, feature_id, value, given_at)
    }
}

/// One offer on one subscription in six, mostly when it begins, and now and then a second.
fn draw_redemptions(
    draw: &mut Draw,
    account: &AccountLife,
    subscription: &SubscriptionLife,
    before: usize,
    into: &mut Vec<GrantLife>,
) {
    let count = draw.weighted(&[(0, 82), (1, 14), (2, 4)]);
    for _ in 0..count {
        let started_at = subscription.billing.started_at;
        let wait = if draw.per_mille(600) { HOUR } else { 400 * DAY };
        let at = draw.between(started_at, started_at + wait);
        let ordinal = (into.len() - before) as u64;
        let Some(offer) = draw_offer(draw, account, subscription, at) else { continue };
        let redeemed = into[before..].iter();
        if redeemed.clone().any(|g| g.subscription == Some(subscription.id) && g.offer_id == Some(offer.id)) {
            continue;
        }
        let lasts = draw.pick(&[60, 200, 700]) * DAY;
        into.push(GrantLife {
            id: GrantId::new(account.id, ordinal),
            account: account.id,
            kind: Kind::OfferRedemption,
            feature_id: None,
            offer_id: Some(offer.id),
            subscription: Some(subscription.id),
            value: Value::Unstated,
            priority: offer.priority,
            given_at: at,
            effective_from: at,
            expires_at: draw.one_in(4).then_some(at + lasts),
            voided_at: draw_voiding(draw, at),
        });
    }
}

fn draw_offer(
    draw: &mut Draw,
    account: &AccountLife,
    subscription: &SubscriptionLife,
    at: Instant,
) -> Option<&'static Offer> {
    if subscription.timeline.end().is_some_and(|end| end <= at) {
        return None;
    }
    let (plan_id, market) = (subscription.plan.plan_id, account.market.country);
    let open = || OFFERS.iter().filter(move |offer| offer.redeemable(account.id, plan_id, market, at));
    let count = open().count();
    let chosen = draw.below(count.max(1) as u32) as usize;
    open().nth(chosen)
}

fn draw_voiding(draw: &mut Draw, from: Instant) -> Option<Instant> {
    let at = draw.between(from + HOUR, from + 120 * DAY);
    draw.per_mille(60).then_some(at)
}

fn feature_grant(
    account: AccountId,
    ordinal: u64,
    kind: Kind,
    feature_id: &'static str,
    value: Value,
    given_at: Instant,
) -> GrantLife {
    GrantLife {
        id: GrantId::new(account, ordinal),
        account,
        kind,
        feature_id: Some(feature_id),
        offer_id: None,
        subscription: None,
        value,
        priority: 10,
        given_at,
        effective_from: given_at,
        expires_at: None,
        voided_at: None,
    }
}
