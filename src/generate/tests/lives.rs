//! What every household's lives promise, whatever the seed.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::super::calendar::{DAY, Instant, OPENING};
use super::super::catalog::CATALOG;
use super::super::household::{self, HOUSEHOLD, Household};
use super::super::timeline::State;

pub fn household(seed: u64, number: u64) -> Household {
    let mut household = Household::default();
    household.draw(seed, number);
    household
}

proptest! {
    #[test]
    fn lives_are_in_order(seed: u64, number in 0..1_000_000_u64) {
        let household = household(seed, number);
        let owner = |id: u64| &household.accounts[(id % HOUSEHOLD) as usize];
        let ids: HashSet<_> = household.subscriptions.iter().map(|life| life.id.to_string()).collect();
        prop_assert_eq!(ids.len(), household.subscriptions.len());
        for life in &household.subscriptions {
            let (steps, timeline) = (life.timeline.steps(), &life.timeline);
            prop_assert!(steps.windows(2).all(|pair| pair[0].at <= pair[1].at), "{steps:?}");
            prop_assert!(owner(life.owner.0).created_at <= timeline.ordered_at());
            prop_assert!(timeline.ordered_at() <= life.billing.started_at);
            prop_assert!(timeline.end().is_none_or(|end| life.billing.started_at <= end));
            prop_assert!(life.billing.trial_end_at.is_none_or(|end| life.billing.started_at < end));
            prop_assert!(life.plan.effective_from <= life.billing.started_at);
            prop_assert!(life.plan.retired_at.is_none_or(|end| life.billing.started_at < end));
        }
        for member in &household.members {
            prop_assert!(owner(member.account.0).created_at <= member.joined_at);
        }
    }

    /// What a row says of its state, its limits say too.
    #[test]
    fn states_agree_with_their_limits(seed: u64, number in 0..1_000_000_u64, day in 0..1_800_i64, gap in 1..90_i64) {
        let household = household(seed, number);
        let (as_of, later) = (OPENING + day * DAY - 1, OPENING + (day + gap) * DAY - 1);
        for life in &household.subscriptions {
            let Some(row) = life.row(as_of) else { continue };
            let moment = row.moment;
            let ahead = |limit: Option<Instant>| limit.is_some_and(|at| as_of < at);
            let behind = |limit: Option<Instant>| limit.is_some_and(|at| at <= as_of);
            let good = match moment.state {
                State::Pending => as_of < life.billing.started_at && moment.paid_through_at.is_none(),
                State::Active | State::Cancelled => ahead(moment.paid_through_at),
                State::Grace => ahead(moment.grace_until) && behind(moment.paid_through_at),
                State::OnHold => behind(moment.grace_until) && behind(moment.paid_through_at),
                State::Paused => behind(moment.paid_through_at),
                State::Expired => behind(moment.ends_at),
            };
            prop_assert!(good, "{:?} at {as_of}: {life:?}", moment);
            prop_assert_eq!(moment.ends_at.is_some(), moment.state == State::Expired);
            prop_assert!(moment.updated_at <= as_of);
            let Some(after) = life.row(later) else { return Err(TestCaseError::fail("a row vanished")) };
            prop_assert!(row.source_seq <= after.source_seq);
            prop_assert_eq!(row.source_seq == after.source_seq, moment == after.moment);
        }
    }

    #[test]
    fn nobody_shares_beyond_a_plans_places(seed: u64, number in 0..1_000_000_u64, day in 0..1_800_i64) {
        let household = household(seed, number);
        let as_of = OPENING + day * DAY;
        let live = |row: &household::MemberRow<'_>| row.left_at.is_none();
        for life in &household.subscriptions {
            let members = household.members.iter().filter(|member| member.subscription == life.id);
            let sharing = members.filter_map(|member| member.row(as_of)).filter(live).count() as i64;
            prop_assert!(sharing <= life.plan.max_members, "{}", life.plan.plan_id);
            let ended = life.timeline.end().is_some_and(|end| end <= as_of);
            prop_assert!(!ended || sharing == 0);
        }
    }
}

#[test]
fn every_plan_on_sale_has_subscribers() {
    let mut plans: BTreeSet<(&str, i64)> = BTreeSet::new();
    for number in 0..600 {
        plans.extend(household(7, number).subscriptions.iter().map(|life| (life.plan.plan_id, life.plan.version)));
    }
    let catalog: BTreeSet<_> = CATALOG.iter().map(|version| (version.plan_id, version.version)).collect();
    assert_eq!(catalog.difference(&plans).collect::<Vec<_>>(), [&("premium-plus", 1)]);
}
