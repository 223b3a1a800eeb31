//! The tables of the catalog: what is sold, what it gives, what it costs.

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Decimal128Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::super::calendar::{Instant, source_seq};
use super::super::catalog::{Phase, PlanVersion};
use super::super::feature::{FeatureRow, Value};
use super::super::offer::Offer;
use super::super::price::PriceRow;
use super::{Arc, Column, Table, Takes, TextList};

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
    FeatureTable, "product_feature", unrepeated [], {
        product_id: StringBuilder,
        feature_id: StringBuilder,
        market: StringBuilder,
        role: StringBuilder,
        value_type: StringBuilder,
        v_bool: BooleanBuilder as nullable,
        v_int: Int64Builder as nullable,
        v_enum: StringBuilder as nullable,
        unlimited: BooleanBuilder,
        unit: StringBuilder as nullable,
        reset: StringBuilder,
        merge: StringBuilder,
        effective_from: TimestampMicrosecondBuilder,
        effective_to: TimestampMicrosecondBuilder as nullable,
        existing_from: TimestampMicrosecondBuilder as nullable,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<FeatureRow> for FeatureTable {
    fn append(&mut self, row: &FeatureRow) {
        let (feature, dated) = (row.feature, &row.dated);
        self.product_id.append_value(row.product_id);
        self.feature_id.append_value(feature.id);
        self.market.append_value(row.market);
        self.role.append_value(row.role);
        self.value_type.append_value(feature.value_type);
        self.v_bool.append_option(dated.value.as_bool());
        self.v_int.append_option(dated.value.as_int());
        self.v_enum.append_option(dated.value.as_enum());
        self.unlimited.append_value(dated.value == Value::Unlimited);
        self.unit.append_option(feature.unit);
        self.reset.append_value(feature.reset);
        self.merge.append_value(feature.merge);
        self.effective_from.append_value(dated.from);
        self.effective_to.append_option(dated.to);
        self.existing_from.append_option(dated.existing_from);
        self.source_seq.append_value(source_seq(dated.updated_at));
        self.updated_at.append_value(dated.updated_at);
    }
}

table!(
    PriceTable, "price", unrepeated [], {
        plan_id: StringBuilder,
        plan_version: Int64Builder,
        phase_seq: Int64Builder,
        market: StringBuilder,
        cohort: StringBuilder,
        currency: StringBuilder,
        amount: Decimal128Builder,
        tax_inclusive: BooleanBuilder,
        effective_from: TimestampMicrosecondBuilder,
        effective_to: TimestampMicrosecondBuilder as nullable,
        existing_from: TimestampMicrosecondBuilder as nullable,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<PriceRow> for PriceTable {
    fn append(&mut self, row: &PriceRow) {
        let dated = &row.dated;
        self.plan_id.append_value(row.version.plan_id);
        self.plan_version.append_value(row.version.version);
        self.phase_seq.append_value(row.phase_seq);
        self.market.append_value(row.place.market);
        self.cohort.append_value(row.cohort);
        self.currency.append_value(row.place.currency.code);
        self.amount.append_value(dated.value);
        self.tax_inclusive.append_value(row.place.tax_inclusive());
        self.effective_from.append_value(dated.from);
        self.effective_to.append_option(dated.to);
        self.existing_from.append_option(dated.existing_from);
        self.source_seq.append_value(source_seq(dated.updated_at));
        self.updated_at.append_value(dated.updated_at);
    }
}

table!(
    OfferTable, "offer", unrepeated [], {
        offer_id: StringBuilder,
        kind: StringBuilder,
        discount_type: StringBuilder,
        value: Decimal128Builder,
        currency: StringBuilder as nullable,
        frequency: StringBuilder,
        cycles: Int64Builder as nullable,
        plan_ids: TextList,
        markets: TextList,
        starts_at: TimestampMicrosecondBuilder,
        redeem_by: TimestampMicrosecondBuilder as nullable,
        max_redemptions: Int64Builder as nullable,
        stackable: BooleanBuilder,
        priority: Int64Builder,
        source_seq: Int64Builder,
        updated_at: TimestampMicrosecondBuilder,
    }
);

impl Takes<Offer> for OfferTable {
    fn append(&mut self, offer: &Offer) {
        self.offer_id.append_value(offer.id);
        self.kind.append_value(offer.kind);
        self.discount_type.append_value(offer.discount.kind());
        self.value.append_value(offer.discount.value());
        self.currency.append_option(offer.discount.currency());
        self.frequency.append_value(offer.frequency.as_str());
        self.cycles.append_option(offer.frequency.cycles());
        self.plan_ids.append_value(offer.plan_ids.iter().map(Some));
        self.markets.append_value(offer.markets.iter().map(Some));
        self.starts_at.append_value(offer.starts_at);
        self.redeem_by.append_option(offer.redeem_by);
        self.max_redemptions.append_option(offer.max_redemptions);
        self.stackable.append_value(offer.stackable);
        self.priority.append_value(offer.priority);
        self.source_seq.append_value(source_seq(offer.announced_at()));
        self.updated_at.append_value(offer.announced_at());
    }
}
