//! The tables of what accounts are given and what they use.

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Date32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::super::feature::Value;
use super::super::grant::GrantRow;
use super::super::usage::UsageRow;
use super::{Arc, Column, Table, Takes, print, print_option};

table!(
    /// Some rows are planted without a key.
    GrantTable, "account_grant",
    unrepeated ["grant_id", "account_id", "subscription_id", "effective_from", "source_seq", "updated_at"], {
        grant_id: StringBuilder as nullable,
        account_id: StringBuilder,
        kind: StringBuilder,
        feature_id: StringBuilder as nullable,
        offer_id: StringBuilder as nullable,
        subscription_id: StringBuilder as nullable,
        v_bool: BooleanBuilder as nullable,
        v_int: Int64Builder as nullable,
        v_enum: StringBuilder as nullable,
        unlimited: BooleanBuilder,
        priority: Int64Builder,
        effective_from: TimestampMicrosecondBuilder,
        expires_at: TimestampMicrosecondBuilder as nullable,
        voided_at: TimestampMicrosecondBuilder as nullable,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<GrantRow<'_>> for GrantTable {
    fn append(&mut self, row: &GrantRow<'_>) {
        let life = row.life;
        print_option(&mut self.grant_id, row.id);
        print(&mut self.account_id, life.account);
        self.kind.append_value(life.kind.as_str());
        self.feature_id.append_option(life.feature_id);
        self.offer_id.append_option(life.offer_id);
        print_option(&mut self.subscription_id, life.subscription);
        self.v_bool.append_option(life.value.as_bool());
        self.v_int.append_option(life.value.as_int());
        self.v_enum.append_option(life.value.as_enum());
        self.unlimited.append_value(life.value == Value::Unlimited);
        self.priority.append_value(row.priority);
        self.effective_from.append_value(life.effective_from);
        self.expires_at.append_option(life.expires_at);
        self.voided_at.append_option(row.voided_at);
        self.source_seq.append_value(row.source_seq);
        self.updated_at.append_value(row.updated_at);
    }
}

table!(
    /// Some rows are planted without a key.
    UsageTable, "feature_usage", unrepeated ["source_seq", "updated_at"], {
        account_id: StringBuilder as nullable,
        feature_id: StringBuilder,
        usage_date: Date32Builder,
        consumed: Int64Builder,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<UsageRow> for UsageTable {
    fn append(&mut self, row: &UsageRow) {
        print_option(&mut self.account_id, row.account);
        self.feature_id.append_value(row.feature_id);
        self.usage_date.append_value(row.usage_date);
        self.consumed.append_value(row.consumed);
        self.source_seq.append_value(row.source_seq);
        self.updated_at.append_value(row.updated_at);
    }
}
