//! The states that a subscription goes through, and when: pending, active, perhaps grace, on hold or paused, then
//! cancelled and expired. What a snapshot shows is read off this list of steps and the billing calendar.

use super::billing::Billing;
use super::calendar::{DAY, HOUR, Instant};
use super::draw::Draw;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Active,
    Grace,
    OnHold,
    Paused,
    Cancelled,
    Expired,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Active => "active",
            State::Grace => "grace",
            State::OnHold => "on_hold",
            State::Paused => "paused",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub at: Instant,
    pub state: State,
}

/// The longest life: pending, active, grace, on hold, active, paused, active, cancelled, expired.
const MAX_STEPS: usize = 9;

/// Steps in the order of their instants, the first `Pending`. Held in place: a life costs no allocation.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    steps: [Step; MAX_STEPS],
    len: usize,
    grace_until: Option<Instant>,
}

/// What a timeline says at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub state: State,
    pub paid_through_at: Option<Instant>,
    pub grace_until: Option<Instant>,
    pub ends_at: Option<Instant>,
    /// The last change: a step, or a renewal while active.
    pub updated_at: Instant,
}

impl Timeline {
    /// Ordered and started, and nothing else ever happens.
    pub fn steady(ordered_at: Instant, started_at: Instant) -> Self {
        let pending = Step { at: ordered_at, state: State::Pending };
        let mut timeline = Timeline { steps: [pending; MAX_STEPS], len: 1, grace_until: None };
        timeline.push(started_at, State::Active);
        timeline
    }

    /// A whole life. It ends in the period before boundary `last_period`, or soon after a trouble that outlasts it;
    /// with `None` it goes on for ever.
    pub fn draw(draw: &mut Draw, ordered_at: Instant, billing: &Billing, last_period: Option<i64>) -> Self {
        let mut timeline = Timeline::steady(ordered_at, billing.started_at);
        if draw.one_in(150) {
            // The first payment was refused: ended the instant it would have started.
            timeline.len = 1;
            timeline.push(billing.started_at, State::Expired);
            return timeline;
        }
        let room = |k: i64| last_period.is_none_or(|last| k < last);
        if draw.per_mille(500) {
            let k = 1 + i64::from(draw.below(36));
            if room(k) {
                timeline.fail_payment(draw, billing.boundary(k));
            }
        }
        if draw.per_mille(80) {
            let k = billing.index_after(timeline.last().at) + i64::from(draw.below(12));
            if room(k) && timeline.last().state == State::Active {
                let from = billing.boundary(k);
                timeline.push(from, State::Paused);
                timeline.push(draw.between(from + 14 * DAY, from + 90 * DAY), State::Active);
            }
        }
        if let Some(last_period) = last_period {
            timeline.leave(draw, billing, last_period);
        }
        timeline
    }

    /// A payment fails at a boundary: most recover in the grace period, some while on hold, the others are lost.
    fn fail_payment(&mut self, draw: &mut Draw, failed_at: Instant) {
        let grace_until = failed_at + draw.pick(&[3, 7, 16]) * DAY;
        self.grace_until = Some(grace_until);
        self.push(failed_at, State::Grace);
        let outcome = draw.below(100);
        if outcome < 60 {
            self.push(draw.between(failed_at + HOUR, grace_until), State::Active);
            return;
        }
        self.push(grace_until, State::OnHold);
        if outcome < 85 {
            self.push(draw.between(grace_until + HOUR, grace_until + 30 * DAY), State::Active);
        } else {
            self.push(grace_until + 30 * DAY, State::Expired);
        }
    }

    /// Cancelled in its last period and used to the end of what is paid; one in ten is refunded and ends at once.
    fn leave(&mut self, draw: &mut Draw, billing: &Billing, last_period: i64) {
        let last = self.last();
        if last.state != State::Active {
            return;
        }
        let period = last_period.max(billing.index_after(last.at));
        let from = billing.boundary(period - 1).max(last.at);
        let at = draw.between(from, billing.boundary(period));
        if draw.one_in(10) {
            self.push(at, State::Expired);
        } else {
            self.cancel(at, billing);
        }
    }

    fn cancel(&mut self, at: Instant, billing: &Billing) {
        self.push(at, State::Cancelled);
        self.push(billing.next_due(at), State::Expired);
    }

    /// Cuts the life short, because its account or its base subscription ends: what is paid is still used. For an
    /// instant after the order.
    pub fn stop(&mut self, at: Instant, billing: &Billing) {
        if self.end().is_some_and(|end| end <= at) {
            return;
        }
        self.len = self.steps().iter().take_while(|step| step.at < at).count().max(1);
        match self.last().state {
            State::Active => self.cancel(at, billing),
            State::Cancelled => self.push(billing.next_due(self.last().at), State::Expired),
            State::Pending => self.push(at.max(billing.started_at), State::Expired),
            State::Grace | State::OnHold | State::Paused => self.push(at, State::Expired),
            State::Expired => {}
        }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps[..self.len]
    }

    pub fn ordered_at(&self) -> Instant {
        self.steps[0].at
    }

    /// The instant at which it has expired; `None` for a life that goes on.
    pub fn end(&self) -> Option<Instant> {
        let last = self.last();
        (last.state == State::Expired).then_some(last.at)
    }

    /// `None` before the order.
    pub fn state(&self, at: Instant) -> Option<State> {
        self.steps().iter().rfind(|step| step.at <= at).map(|step| step.state)
    }

    /// `None` before the order.
    pub fn at(&self, as_of: Instant, billing: &Billing) -> Option<Moment> {
        let index = self.steps().iter().rposition(|step| step.at <= as_of)?;
        let Step { at, state } = self.steps[index];
        Some(Moment {
            state,
            paid_through_at: self.paid_through(index, as_of, billing),
            grace_until: self.grace_until_at(index),
            ends_at: (state == State::Expired).then_some(at),
            updated_at: if state == State::Active { at.max(billing.last_due(as_of)) } else { at },
        })
    }

    /// While active the next due date; afterwards the last one that was paid for, even where the refund of a
    /// subscription that ended early leaves it in the future.
    fn paid_through(&self, index: usize, as_of: Instant, billing: &Billing) -> Option<Instant> {
        let Step { at, state } = self.steps[index];
        match state {
            State::Pending => None,
            State::Active => Some(billing.next_due(as_of)),
            State::Grace | State::Paused => Some(at),
            State::Cancelled => Some(billing.next_due(at)),
            State::OnHold | State::Expired => self.paid_through(index.checked_sub(1)?, at, billing),
        }
    }

    fn grace_until_at(&self, index: usize) -> Option<Instant> {
        match self.steps[index].state {
            State::Grace | State::OnHold => self.grace_until,
            State::Expired => self.grace_until_at(index.checked_sub(1)?),
            State::Pending | State::Active | State::Paused | State::Cancelled => None,
        }
    }

    fn last(&self) -> Step {
        self.steps[self.len - 1]
    }

    fn push(&mut self, at: Instant, state: State) {
        debug_assert!(self.last().at <= at, "steps are in order");
        self.steps[self.len] = Step { at, state };
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::midnight;
    use super::super::catalog::Unit;
    use super::*;

    const START: Instant = midnight(2025, 1, 31);

    fn billing() -> Billing {
        Billing { started_at: START, anchor_day: 31, unit: Unit::Month, trial_end_at: None }
    }

    fn life(steps: &[(Instant, State)], grace_until: Option<Instant>) -> Timeline {
        let mut timeline = Timeline::steady(START - DAY, START);
        steps.iter().for_each(|(at, state)| timeline.push(*at, *state));
        Timeline { grace_until, ..timeline }
    }

    #[test]
    fn an_active_subscription_renews() {
        let (steady, billing) = (life(&[], None), billing());
        assert_eq!(steady.at(START - 2 * DAY, &billing), None);
        let moment = steady.at(midnight(2025, 3, 5), &billing).unwrap();
        assert_eq!(moment.paid_through_at, Some(midnight(2025, 3, 31)));
        assert_eq!(moment.updated_at, midnight(2025, 2, 28));
    }

    #[test]
    fn a_refund_leaves_a_stale_paid_through() {
        let ended = life(&[(START + 10 * DAY, State::Expired)], None);
        let moment = ended.at(START + 11 * DAY, &billing()).unwrap();
        assert_eq!((moment.state, moment.ends_at), (State::Expired, Some(START + 10 * DAY)));
        assert_eq!(moment.paid_through_at, Some(midnight(2025, 2, 28)));
    }

    #[test]
    fn what_was_paid_stays_through_a_failed_payment() {
        let (failed, grace_until) = (midnight(2025, 2, 28), midnight(2025, 3, 7));
        let steps = [(failed, State::Grace), (grace_until, State::OnHold), (grace_until + 30 * DAY, State::Expired)];
        let lost = life(&steps, Some(grace_until));
        for day in [1, 10, 60] {
            let moment = lost.at(failed + day * DAY, &billing()).unwrap();
            assert_eq!((moment.paid_through_at, moment.grace_until), (Some(failed), Some(grace_until)), "day {day}");
        }
    }

    #[test]
    fn stopping_lets_what_is_paid_run_out() {
        let billing = billing();
        let stopped = |steps: &[(Instant, State)], at| {
            let mut timeline = life(steps, None);
            timeline.stop(at, &billing);
            timeline
        };
        let active = stopped(&[], midnight(2025, 4, 10));
        assert_eq!(active.end(), Some(midnight(2025, 4, 30)));
        let paused = stopped(&[(midnight(2025, 3, 31), State::Paused)], midnight(2025, 4, 10));
        assert_eq!(paused.end(), Some(midnight(2025, 4, 10)));
        let pending = stopped(&[], START - HOUR);
        assert_eq!(pending.end(), Some(START));
        let over = stopped(&[(midnight(2025, 2, 1), State::Expired)], midnight(2025, 4, 10));
        assert_eq!(over.end(), Some(midnight(2025, 2, 1)));
        let cancelled = [(midnight(2025, 2, 1), State::Cancelled), (midnight(2025, 2, 28), State::Expired)];
        assert_eq!(stopped(&cancelled, midnight(2025, 2, 10)).end(), Some(midnight(2025, 2, 28)));
    }
}
