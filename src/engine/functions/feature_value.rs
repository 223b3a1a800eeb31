//! `feature_value(value_type, base, addons, grants, above_free)`: what a user has of a feature, rules R6 and R7.
//!
//! | argument | is |
//! |---|---|
//! | `value_type` | the feature's; null for a feature that no product has, which nothing gives |
//! | `base` | the product's row: `STRUCT<v_bool, v_int, v_enum, unlimited, merge>`, null where it has none |
//! | `addons` | rows of the add-ons: the same fields, `quantity`, and `place`, the smallest first |
//! | `grants` | the live grants: `STRUCT<kind, v_bool, v_int, v_enum, unlimited, priority, effective_from, grant_id>` |
//! | `above_free` | whether the effective tier is above free, without which top-ups do not count |
//!
//! The result is `STRUCT<v_bool, v_int, v_enum, unlimited, source>`, null where the user does not have the feature. A `base` of
//! nulls is a row without a value, which makes the feature present: where a join finds no row, the argument must be null itself.
//!
//! [`layers`] is the rule, [`columns`] reads the arguments. Nearly every row has neither add-ons nor grants and is its product's row.

mod columns;
mod layers;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use self::columns::{ADDON, AddonLists, BASE, Bases, Features, GRANT, GrantLists, feature_type};
use self::layers::{Addon, Feature, Grant, Merge, Source, with_addons, with_grants};
use super::arguments::{Arguments, Column, TextColumn, boolean, expect_count, list, returns, text};
use super::records::record;
use crate::error::{Error, ErrorKind};

const USAGE: &str = "feature_value(value_type, base, addons, grants, above_free)";

/// The only value type that has a cap.
const METERED: &str = "metered";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FeatureValue {
    signature: Signature,
}

impl Default for FeatureValue {
    fn default() -> Self {
        FeatureValue { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FeatureValue {
    fn name(&self) -> &str {
        "feature_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<5>(USAGE, given)?;
        Ok(vec![
            text(USAGE, "value_type", &given[0])?,
            record(USAGE, "base", &given[1], &BASE)?,
            list(USAGE, "addons", &given[2], |addon| record(USAGE, "an addon", addon, &ADDON))?,
            list(USAGE, "grants", &given[3], |grant| record(USAGE, "a grant", grant, &GRANT))?,
            boolean(USAGE, "above_free", &given[4])?,
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(feature_type())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), feature_type(), true)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let columns = Columns::of(&args)?;
        let (mut addons, mut grants) = (Vec::new(), Vec::new());
        let mut features = Features::with_capacity(args.rows);
        for row in 0..args.rows {
            features.append(columns.feature(row, &mut addons, &mut grants)?);
        }
        Ok(ColumnarValue::Array(Arc::new(features.finish())))
    }
}

struct Columns<'a> {
    value_type: TextColumn<'a>,
    bases: Bases<'a>,
    addons: AddonLists<'a>,
    grants: GrantLists<'a>,
    above_free: Column<'a, BooleanArray>,
}

impl<'a> Columns<'a> {
    fn of(args: &'a Arguments) -> Result<Self> {
        Ok(Columns {
            value_type: args.text(0)?,
            bases: Bases::of(args.column(1)?)?,
            addons: AddonLists::of(args.column(2)?)?,
            grants: GrantLists::of(args.column(3)?)?,
            above_free: args.column(4)?,
        })
    }

    /// The feature of a row. `addons` and `grants` are room to read into, kept from row to row.
    fn feature(
        &self,
        row: usize,
        addons: &mut Vec<Addon<'a>>,
        grants: &mut Vec<Grant<'a>>,
    ) -> Result<Option<Feature<'a>>> {
        let Some(value_type) = self.value_type.value(row) else { return Ok(None) };
        let base = self.bases.value(row);
        let merge_of_addons = self.addons.read(row, addons);
        let feature = if addons.is_empty() {
            base.map(|value| Feature { value, source: Source::Product })
        } else {
            let name = if base.is_some() { self.bases.merge(row) } else { merge_of_addons };
            with_addons(base, merge_of(name)?, addons)
        };
        self.grants.read(row, grants);
        if grants.is_empty() {
            return Ok(feature);
        }
        let is_above_free = self.above_free.index(row).is_some_and(|at| self.above_free.array.value(at));
        Ok(with_grants(feature, grants, value_type == METERED && is_above_free))
    }
}

fn merge_of(name: Option<&str>) -> Result<Merge> {
    let name = name.unwrap_or("null");
    Merge::from_name(name).ok_or_else(|| {
        let error = Error::new(ErrorKind::InputBroken, format!("'{name}' is not a way to merge"))
            .hint("feature_value takes or, max, sum and override");
        DataFusionError::External(Box::new(error))
    })
}
