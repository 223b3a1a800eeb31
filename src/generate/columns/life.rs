//! The tables of accounts and their subscriptions.

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::super::account::{AccountRow, ErasureRow};
use super::super::household::MemberRow;
use super::super::subscription::SubscriptionRow;
use super::{Arc, Column, Table, Takes, print, print_option};

table!(
    /// Nullable where the contract is, and `account_id` too: some rows are planted without a key.
    AccountTable, "account", unrepeated ["account_id", "email", "created_at", "source_seq", "updated_at"], {
        account_id: StringBuilder as nullable,
        status: StringBuilder,
        status_changed_at: TimestampMicrosecondBuilder as nullable,
        created_at: TimestampMicrosecondBuilder,
        country: StringBuilder,
        birth_date: Date32Builder as nullable,
        email: StringBuilder as nullable,
        email_verified: BooleanBuilder,
        locale: StringBuilder as nullable,
        marketing_opt_in: BooleanBuilder as nullable,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<AccountRow> for AccountTable {
    fn append(&mut self, row: &AccountRow) {
        print_option(&mut self.account_id, row.id);
        self.status.append_value(row.status.as_str());
        self.status_changed_at.append_option(row.status_changed_at);
        self.created_at.append_value(row.created_at);
        self.country.append_value(row.country);
        self.birth_date.append_option(row.birth_date);
        print_option(&mut self.email, row.email);
        self.email_verified.append_value(row.email_verified);
        self.locale.append_option(row.locale);
        self.marketing_opt_in.append_option(row.marketing_opt_in);
        self.source_seq.append_value(row.source_seq);
        self.updated_at.append_value(row.updated_at);
    }
}

table!(
    /// Some rows are planted without a key here too.
    SubscriptionTable, "subscription",
    unrepeated ["subscription_id", "account_id", "started_at", "source_seq", "updated_at", "paid_through_at"], {
        subscription_id: StringBuilder as nullable,
        account_id: StringBuilder,
        plan_id: StringBuilder,
        plan_version: Int64Builder,
        category: StringBuilder,
        base_subscription_id: StringBuilder as nullable,
        quantity: Int64Builder,
        state: StringBuilder,
        started_at: TimestampMicrosecondBuilder,
        paid_through_at: TimestampMicrosecondBuilder as nullable,
        grace_until: TimestampMicrosecondBuilder as nullable,
        trial_end_at: TimestampMicrosecondBuilder as nullable,
        ends_at: TimestampMicrosecondBuilder as nullable,
        anchor_day: Int64Builder as nullable,
        price_cohort: StringBuilder as nullable,
        locked_price: Decimal128Builder as nullable,
        currency: StringBuilder,
        store: StringBuilder,
        is_sandbox: BooleanBuilder,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<SubscriptionRow<'_>> for SubscriptionTable {
    fn append(&mut self, row: &SubscriptionRow<'_>) {
        let (life, moment) = (row.life, &row.moment);
        print_option(&mut self.subscription_id, row.id);
        print(&mut self.account_id, life.owner);
        self.plan_id.append_value(life.plan.plan_id);
        self.plan_version.append_value(life.plan.version);
        self.category.append_value(life.category());
        print_option(&mut self.base_subscription_id, life.base);
        self.quantity.append_value(life.quantity);
        self.state.append_value(moment.state.as_str());
        self.started_at.append_value(life.billing.started_at);
        self.paid_through_at.append_option(moment.paid_through_at);
        self.grace_until.append_option(moment.grace_until);
        self.trial_end_at.append_option(life.billing.trial_end_at);
        self.ends_at.append_option(moment.ends_at);
        self.anchor_day.append_option(life.anchor_day());
        self.price_cohort.append_option(life.price_cohort);
        self.locked_price.append_option(life.locked_price);
        self.currency.append_value(life.currency.code);
        self.store.append_value(life.store);
        self.is_sandbox.append_value(life.is_sandbox);
        self.source_seq.append_value(row.source_seq);
        self.updated_at.append_value(moment.updated_at);
    }
}

table!(
    MemberTable, "plan_member", unrepeated ["subscription_id", "account_id", "joined_at", "source_seq", "updated_at"], {
        subscription_id: StringBuilder,
        account_id: StringBuilder,
        role: StringBuilder,
        joined_at: TimestampMicrosecondBuilder,
        left_at: TimestampMicrosecondBuilder as nullable,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<MemberRow<'_>> for MemberTable {
    fn append(&mut self, row: &MemberRow<'_>) {
        print(&mut self.subscription_id, row.life.subscription);
        print(&mut self.account_id, row.life.account);
        self.role.append_value(row.life.role.as_str());
        self.joined_at.append_value(row.life.joined_at);
        self.left_at.append_option(row.left_at);
        self.source_seq.append_value(row.source_seq);
        self.updated_at.append_value(row.updated_at);
    }
}

table!(
    ErasureTable, "erasure_request", unrepeated ["request_id", "account_id", "requested_at", "source_seq", "updated_at"], {
        request_id: StringBuilder,
        account_id: StringBuilder,
        requested_at: TimestampMicrosecondBuilder,
        deadline: Date32Builder,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<ErasureRow> for ErasureTable {
    fn append(&mut self, row: &ErasureRow) {
        print(&mut self.request_id, row.id);
        print(&mut self.account_id, row.account);
        self.requested_at.append_value(row.requested_at);
        self.deadline.append_value(row.deadline);
        self.source_seq.append_value(row.source_seq);
        self.updated_at.append_value(row.updated_at);
    }
}
