//! The five tables in Arrow: column builders that are filled row by row, with the types that the contracts name.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::account::{AccountRow, ErasureRow};
use super::calendar::{Instant, source_seq};
use super::catalog::{Phase, PlanVersion};
use super::household::MemberRow;
use super::subscription::SubscriptionRow;

/// The columns of one table, being filled.
pub trait Table: Default {
    /// The snapshot that the table is.
    const NAME: &'static str;
    /// Columns whose values hardly repeat, for which a dictionary would only be built and thrown away.
    const UNREPEATED: &'static [&'static str];

    fn schema() -> SchemaRef;
    fn len(&self) -> usize;
    /// The columns as filled so far, in the schema's order; the builders start anew.
    fn take(&mut self) -> Vec<ArrayRef>;
}

/// A builder that knows the Arrow type it builds.
trait Column: ArrayBuilder {
    fn empty() -> Self;
    fn data_type() -> DataType;
}

macro_rules! column {
    ($builder:ty, $data_type:expr, $empty:expr) => {
        impl Column for $builder {
            fn empty() -> Self {
                $empty
            }

            fn data_type() -> DataType {
                $data_type
            }
        }
    };
}

type TextList = ListBuilder<StringBuilder>;

column!(StringBuilder, DataType::Utf8, StringBuilder::new());
column!(Int64Builder, DataType::Int64, Int64Builder::new());
column!(BooleanBuilder, DataType::Boolean, BooleanBuilder::new());
column!(Date32Builder, DataType::Date32, Date32Builder::new());
column!(
    TimestampMicrosecondBuilder,
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
);
column!(
    Decimal128Builder,
    DataType::Decimal128(38, 9),
    Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 9))
);
column!(
    TextList,
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
    ListBuilder::new(StringBuilder::new())
);

macro_rules! table {
    ($(#[$doc:meta])* $table:ident, $name:literal, unrepeated $unrepeated:expr,
     { $($column:ident: $builder:ty $(as $nullable:ident)?,)* }) => {
        $(#[$doc])*
        pub struct $table {
            $($column: $builder,)*
        }

        impl Default for $table {
            fn default() -> Self {
                $table { $($column: <$builder as Column>::empty(),)* }
            }
        }

        impl Table for $table {
            const NAME: &'static str = $name;
            const UNREPEATED: &'static [&'static str] = &$unrepeated;

            fn schema() -> SchemaRef {
                Arc::new(Schema::new(vec![
                    $(Field::new(
                        stringify!($column),
                        <$builder as Column>::data_type(),
                        !concat!($(stringify!($nullable))?).is_empty(),
                    ),)*
                ]))
            }

            fn len(&self) -> usize {
                self.source_seq.len()
            }

            fn take(&mut self) -> Vec<ArrayRef> {
                vec![$(ArrayBuilder::finish(&mut self.$column),)*]
            }
        }
    };
}

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

impl AccountTable {
    pub fn append(&mut self, row: &AccountRow) {
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
    SubscriptionTable, "subscription",
    unrepeated ["subscription_id", "account_id", "started_at", "source_seq", "updated_at", "paid_through_at"], {
        subscription_id: StringBuilder,
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

impl SubscriptionTable {
    pub fn append(&mut self, row: &SubscriptionRow<'_>) {
        let (life, moment) = (row.life, &row.moment);
        print(&mut self.subscription_id, life.id);
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

impl MemberTable {
    pub fn append(&mut self, row: &MemberRow<'_>) {
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
    PhaseTable, "plan_phase", unrepeated [], {
        plan_id: StringBuilder,
        plan_version: Int64Builder,
        phase_seq: Int64Builder,
        product_id: StringBuilder,
        tier: StringBuilder,
        tier_rank: Int64Builder,
        status: StringBuilder,
        phase_type: StringBuilder,
        length: Int64Builder as nullable,
        length_unit: StringBuilder as nullable,
        billing_period: StringBuilder,
        max_members: Int64Builder,
        included_addons: TextList,
        effective_from: TimestampMicrosecondBuilder,
        effective_to: TimestampMicrosecondBuilder as nullable,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl PhaseTable {
    /// All phases of a plan's version, numbered from 1; none before it was announced.
    pub fn append(&mut self, version: &PlanVersion, as_of: Instant) {
        let Some((status, updated_at)) = version.status_at(as_of) else { return };
        for (phase_seq, phase) in (1..).zip(version.phases) {
            self.append_phase(version, phase_seq, phase);
            self.status.append_value(status);
            self.effective_to.append_option(version.effective_to_at(as_of));
            self.source_seq.append_value(source_seq(updated_at));
            self.updated_at.append_value(updated_at);
        }
    }

    /// What does not change with the day.
    fn append_phase(&mut self, version: &PlanVersion, phase_seq: i64, phase: &Phase) {
        self.plan_id.append_value(version.plan_id);
        self.plan_version.append_value(version.version);
        self.phase_seq.append_value(phase_seq);
        self.product_id.append_value(phase.product_id);
        self.tier.append_value(phase.tier.as_str());
        self.tier_rank.append_value(phase.tier.rank());
        self.phase_type.append_value(phase.phase_type.as_str());
        self.length.append_option(phase.length.map(|(count, _)| count));
        self.length_unit.append_option(phase.length.map(|(_, unit)| unit.as_str()));
        self.billing_period.append_value(phase.billed.map_or("none", |unit| unit.as_str()));
        self.max_members.append_value(version.max_members);
        self.included_addons.append_value(version.included_addons.iter().map(Some));
        self.effective_from.append_value(version.effective_from);
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

impl ErasureTable {
    pub fn append(&mut self, row: &ErasureRow) {
        print(&mut self.request_id, row.id);
        print(&mut self.account_id, row.account);
        self.requested_at.append_value(row.requested_at);
        self.deadline.append_value(row.deadline);
        self.source_seq.append_value(row.source_seq);
        self.updated_at.append_value(row.requested_at);
    }
}

/// Prints straight into the column's buffer. Writing to memory cannot fail.
fn print(column: &mut StringBuilder, value: impl std::fmt::Display) {
    let _ = write!(column, "{value}");
    column.append_value("");
}

fn print_option(column: &mut StringBuilder, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => print(column, value),
        None => column.append_null(),
    }
}
