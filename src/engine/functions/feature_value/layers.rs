//! The layers of a feature's value, rules R6 and R7, on plain values: the product's row, then add-ons, then grants.
//!
//! Null is no value: it takes no part in a merge. Null, 0 and unlimited are three different things.

use std::cmp::Reverse;
use std::iter::once;

/// What a row or a grant states. The number is the cap where the feature is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Value<'a> {
    pub flag: Option<bool>,
    pub number: Option<i64>,
    pub choice: Option<&'a str>,
    pub unlimited: bool,
}

impl Value<'_> {
    /// The more generous of both: true over false, larger over smaller, unlimited over all. Of two choices neither is more
    /// generous, and the first stays. To what is unlimited already, a number adds nothing.
    fn or_more(self, other: Self) -> Self {
        Value {
            // `None` is the least in both orders.
            flag: self.flag.max(other.flag),
            number: if self.unlimited { self.number } else { self.number.max(other.number) },
            choice: self.choice.or(other.choice),
            unlimited: self.unlimited || other.unlimited,
        }
    }
}

/// The last layer that set or changed the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Product,
    Addon,
    Override,
    Grant,
    Topup,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Product => "product",
            Source::Addon => "addon",
            Source::Override => "override",
            Source::Grant => "grant",
            Source::Topup => "topup",
        }
    }
}

/// A feature that the user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Feature<'a> {
    pub value: Value<'a>,
    pub source: Source,
}

impl<'a> Feature<'a> {
    /// The feature with a value of a later layer, which is its source only where it differs.
    fn changed_to(self, value: Value<'a>, source: Source) -> Self {
        if value == self.value { self } else { Feature { value, source } }
    }
}

/// How add-ons join the product's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// `or` and `max`: the more generous value.
    MoreGenerous,
    /// Numbers are added, times the quantity of the add-on; the rest is as above.
    Sum,
    /// The first add-on in the order, as it is.
    Override,
}

impl Merge {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "or" | "max" => Some(Merge::MoreGenerous),
            "sum" => Some(Merge::Sum),
            "override" => Some(Merge::Override),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addon<'a> {
    pub value: Value<'a>,
    pub quantity: i64,
    /// Which of several counts first, the smallest.
    pub place: i64,
}

/// The product's row, if it has one, with the add-ons in their order.
pub(super) fn with_addons<'a>(base: Option<Value<'a>>, merge: Merge, addons: &[Addon<'a>]) -> Option<Feature<'a>> {
    let merged = match (merge, addons) {
        (_, []) => base,
        (Merge::Override, [first, ..]) => Some(first.value),
        (Merge::MoreGenerous, _) => more_generous(base, addons),
        (Merge::Sum, _) if base.is_some_and(|base| base.unlimited) => more_generous(base, addons),
        (Merge::Sum, _) => more_generous(base, addons).map(|value| Value { number: sum(base, addons), ..value }),
    };
    match base {
        Some(value) => {
            let feature = Feature { value, source: Source::Product };
            merged.map(|merged| feature.changed_to(merged, Source::Addon))
        }
        None => merged.map(|value| Feature { value, source: Source::Addon }),
    }
}

fn more_generous<'a>(base: Option<Value<'a>>, addons: &[Addon<'a>]) -> Option<Value<'a>> {
    base.into_iter().chain(addons.iter().map(|addon| addon.value)).reduce(Value::or_more)
}

/// The sum of the numbers that there are, at most what an INT64 holds.
fn sum(base: Option<Value>, addons: &[Addon]) -> Option<i64> {
    let of_addons = addons.iter().map(|addon| Some(i128::from(addon.value.number?) * i128::from(addon.quantity)));
    saturating_sum(once(base.and_then(|base| base.number).map(i128::from)).chain(of_addons))
}

/// `None` without any number. Products of two INT64 are summed in 128 bits, and cut only in the end.
fn saturating_sum(numbers: impl Iterator<Item = Option<i128>>) -> Option<i64> {
    let sum = numbers.flatten().reduce(i128::saturating_add)?;
    Some(sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantKind {
    Grant,
    Override,
    Removal,
    Topup,
}

impl GrantKind {
    /// `None` for a kind that is no layer, as redeemed offers are.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "grant" => Some(GrantKind::Grant),
            "override" => Some(GrantKind::Override),
            "removal" => Some(GrantKind::Removal),
            "topup" => Some(GrantKind::Topup),
            _ => None,
        }
    }
}

/// A live grant of the user on the feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant<'a> {
    pub kind: GrantKind,
    pub value: Value<'a>,
    pub priority: i64,
    pub effective_from: i64,
    pub id: &'a str,
}

/// The feature after all live grants, which this puts into their order.
pub(super) fn with_grants<'a>(
    mut feature: Option<Feature<'a>>,
    grants: &mut [Grant<'a>],
    takes_topups: bool,
) -> Option<Feature<'a>> {
    grants.sort_unstable_by_key(|grant| (grant.priority, Reverse(grant.effective_from), grant.id));
    let of = |kind| grants.iter().filter(move |grant| grant.kind == kind).map(|grant| grant.value);
    if of(GrantKind::Removal).next().is_some() {
        return None;
    }
    if let Some(value) = of(GrantKind::Override).next() {
        feature = Some(Feature { value, source: Source::Override });
    }
    if let Some(granted) = of(GrantKind::Grant).reduce(Value::or_more) {
        feature = Some(match feature {
            Some(feature) => feature.changed_to(feature.value.or_more(granted), Source::Grant),
            None => Feature { value: granted, source: Source::Grant },
        });
    }
    feature.map(|feature| if takes_topups { with_topups(feature, of(GrantKind::Topup)) } else { feature })
}

/// Top-ups add to a cap: where there is none, or no limit, they count for nothing.
fn with_topups<'a>(feature: Feature<'a>, mut topups: impl Iterator<Item = Value<'a>> + Clone) -> Feature<'a> {
    let Value { number: Some(cap), unlimited: false, .. } = feature.value else { return feature };
    let numbers = topups.clone().map(|topup| topup.number.map(i128::from));
    let number = saturating_sum(once(Some(cap.into())).chain(numbers));
    let unlimited = topups.any(|topup| topup.unlimited);
    feature.changed_to(Value { number, unlimited, ..feature.value }, Source::Topup)
}

#[cfg(test)]
mod tests;
