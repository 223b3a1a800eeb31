//! Columns: what the table there has, what the contract wants, and the two merged as a patch may merge them.

use super::sql::{alter_type, drop_column, sql_type};
use super::{Difference, Effect, Remedy};
use crate::publish::bigquery::resource::{FieldSchema, Mode, TableResource};

/// Merges columns in the order of the table that is there, new ones last: that is how BigQuery adds them.
pub(super) struct ColumnMerge<'a> {
    wanted: &'a TableResource,
    live: &'a TableResource,
    pub differences: Vec<Difference>,
}

impl<'a> ColumnMerge<'a> {
    pub fn new(wanted: &'a TableResource, live: &'a TableResource) -> Self {
        ColumnMerge { wanted, live, differences: Vec::new() }
    }

    /// `path` is empty for columns, and ends in a dot for fields of a record.
    pub fn fields(&mut self, path: &str, live: &[FieldSchema], wanted: &[FieldSchema]) -> Vec<FieldSchema> {
        let mut merged = Vec::with_capacity(live.len().max(wanted.len()));
        for field in live {
            match wanted.iter().find(|other| same_name(other, field)) {
                Some(other) => merged.push(self.field(path, field, other)),
                None => {
                    self.gone(path, field);
                    merged.push(field.clone());
                }
            }
        }
        for field in wanted.iter().filter(|field| !live.iter().any(|other| same_name(other, field))) {
            self.new_field(path, field);
            merged.push(field.clone());
        }
        merged
    }

    fn gone(&mut self, path: &str, field: &FieldSchema) {
        let what = format!("the contract has no column `{path}{}`", field.name);
        let remedy = match path {
            "" => Remedy::Statement(drop_column(self.live, &field.name)),
            _ => Remedy::Copy,
        };
        self.refuse(what, remedy);
    }

    fn new_field(&mut self, path: &str, field: &FieldSchema) {
        let what = format!("the column `{path}{}` {} is new", field.name, sql_type(field));
        match field.mode {
            Mode::Required => {
                self.refuse(format!("{what} and required, and the rows there have no value"), Remedy::Copy)
            }
            _ => self.add(what),
        }
    }

    fn field(&mut self, path: &str, live: &FieldSchema, wanted: &FieldSchema) -> FieldSchema {
        let name = format!("{path}{}", live.name);
        let mut merged = live.clone();
        let is_record = |field: &FieldSchema| !field.fields.is_empty();
        if is_record(live) && is_record(wanted) {
            merged.fields = self.fields(&format!("{name}."), &live.fields, &wanted.fields);
        } else if sql_type(&scalar(live)) != sql_type(&scalar(wanted)) {
            let what = format!(
                "the column `{name}` is {} and shall be {}",
                sql_type(&scalar(live)),
                sql_type(&scalar(wanted))
            );
            let statement = path.is_empty().then(|| alter_type(self.live, self.wanted, live, wanted)).flatten();
            self.refuse(what, statement.map_or(Remedy::Copy, Remedy::Statement));
        }
        merged.mode = self.mode(&name, live.mode, wanted.mode);
        if wanted.description.is_some() && live.description != wanted.description {
            self.add(format!("the description of `{name}`"));
            merged.description = wanted.description.clone();
        }
        if wanted.policy_tags.is_some() && live.policy_tags != wanted.policy_tags {
            self.add(format!("the policy tag of `{name}`"));
            merged.policy_tags = wanted.policy_tags.clone();
        }
        merged
    }

    fn mode(&mut self, name: &str, live: Mode, wanted: Mode) -> Mode {
        match (live, wanted) {
            (live, wanted) if live == wanted => {}
            (Mode::Required, Mode::Nullable) => {
                self.add(format!("the column `{name}` need not have a value any more"));
                return wanted;
            }
            (Mode::Nullable, Mode::Required) => {
                self.refuse(format!("the column `{name}` may be null and shall be required"), Remedy::Copy);
            }
            (_, Mode::Repeated) => {
                self.refuse(format!("the column `{name}` holds one value and shall be an array"), Remedy::Copy)
            }
            (_, _) => self.refuse(format!("the column `{name}` is an array and shall hold one value"), Remedy::Copy),
        }
        live
    }

    fn add(&mut self, what: String) {
        self.differences.push(Difference { what, effect: Effect::Additive });
    }

    fn refuse(&mut self, what: String, remedy: Remedy) {
        self.differences.push(Difference { what, effect: Effect::Refused(remedy) });
    }
}

/// BigQuery tells columns apart without regard to case.
pub(super) fn same_name(one: &FieldSchema, other: &FieldSchema) -> bool {
    one.name.eq_ignore_ascii_case(&other.name)
}

/// The field without its being an array, which [`ColumnMerge::mode`] speaks of.
fn scalar(field: &FieldSchema) -> FieldSchema {
    FieldSchema { mode: Mode::Nullable, ..field.clone() }
}
