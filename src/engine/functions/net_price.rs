//! `net_price(list_price, currency, offers)`: a price under the offers that count, rule R9; null without a price and in a
//! currency without a minor unit.
//!
//! An offer is `STRUCT<discount_type, value, currency, stackable>`, whatever other fields it has (`priority` orders percents
//! that commute). `fixed` and `replace` in another currency, or in none, are left out here. [`crate::money`] does the sums.

use arrow::array::{Array, AsArray, BooleanArray, Decimal128Array, ListArray, StructArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, Column, Texts, boolean, expect_count, list, numeric, returns, text};
use super::records::{RecordField, field, record, text_field};
use super::round_money::{NUMERIC, amount_of, numeric_column, too_large};
use crate::error::{Error, ErrorKind};
use crate::money::{self, Discount, Offer, minor_unit};

const USAGE: &str = "net_price(list_price, currency, offers ARRAY<STRUCT<discount_type, value, currency, stackable>>)";

const OFFER: [RecordField; 4] =
    [("discount_type", text), ("value", numeric), ("currency", text), ("stackable", boolean)];

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NetPrice {
    signature: Signature,
}

impl Default for NetPrice {
    fn default() -> Self {
        NetPrice { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NetPrice {
    fn name(&self) -> &str {
        "net_price"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<3>(USAGE, given)?;
        Ok(vec![
            numeric(USAGE, "list_price", &given[0])?,
            text(USAGE, "currency", &given[1])?,
            list(USAGE, "offers", &given[2], |offer| record(USAGE, "an offer", offer, &OFFER))?,
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(NUMERIC)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), NUMERIC, true)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let (list_price, currency) = (args.column::<Decimal128Array>(0)?, args.text(1)?);
        let lists = OfferLists::of(args.column(2)?)?;
        let mut offers = Vec::new();
        let at_row = |row: usize| -> Result<Option<i128>> {
            let (Some(units), Some(currency)) = (list_price.value(row), currency.value(row)) else { return Ok(None) };
            let Some(digits) = minor_unit(currency) else { return Ok(None) };
            lists.read(row, currency, &mut offers)?;
            let list_price = amount_of(list_price.array, units);
            money::net_price(list_price, &offers, digits).map(Some).ok_or_else(|| too_large(list_price))
        };
        numeric_column((0..args.rows).map(at_row))
    }
}

struct OfferLists<'a> {
    lists: Column<'a, ListArray>,
    offers: &'a StructArray,
    discount_type: Texts<'a>,
    value: &'a Decimal128Array,
    currency: Texts<'a>,
    stackable: &'a BooleanArray,
}

impl<'a> OfferLists<'a> {
    fn of(lists: Column<'a, ListArray>) -> Result<Self> {
        let offers = lists.array.values().as_struct();
        Ok(OfferLists {
            discount_type: text_field(offers, "discount_type")?,
            value: field(offers, "value")?,
            currency: text_field(offers, "currency")?,
            stackable: field(offers, "stackable")?,
            offers,
            lists,
        })
    }

    /// The offers of a row that count in a currency. A null among them, and one without a value, is no offer.
    fn read(&self, row: usize, currency: &str, offers: &mut Vec<Offer>) -> Result<()> {
        offers.clear();
        for at in self.lists.elements(row).unwrap_or_default() {
            if self.offers.is_null(at) || self.value.is_null(at) {
                continue;
            }
            let discount = self.discount(at)?;
            if discount == Discount::Percent || self.currency.value(at) == Some(currency) {
                offers.push(Offer {
                    discount,
                    value: amount_of(self.value, self.value.value(at)),
                    stackable: self.stackable.is_valid(at) && self.stackable.value(at),
                });
            }
        }
        Ok(())
    }

    fn discount(&self, at: usize) -> Result<Discount> {
        let name = self.discount_type.value(at).unwrap_or("null");
        Discount::from_name(name).ok_or_else(|| {
            let error = Error::new(ErrorKind::InputBroken, format!("'{name}' is not a discount type"))
                .hint("net_price takes percent, fixed and replace");
            DataFusionError::External(Box::new(error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, plan_error, run_error, values};
    use crate::error::ErrorKind;

    fn offer(discount_type: &str, value: &str, currency: &str, stackable: bool) -> String {
        format!(
            "named_struct('stackable', {stackable}, 'offer_id', 7, 'value', CAST('{value}' AS DECIMAL(20, 3)), \
             'discount_type', '{discount_type}', 'currency', {currency}, 'priority', 1)"
        )
    }

    fn call(list_price: &str, currency: &str, offers: &str) -> String {
        format!("SELECT net_price(CAST('{list_price}' AS DECIMAL(38, 9)), '{currency}', {offers})")
    }

    async fn price(list_price: &str, currency: &str, offers: &[String]) -> String {
        values(&context(), &call(list_price, currency, &format!("[{}]", offers.join(", ")))).await.remove(0)
    }

    /// Case 21 of the domain.
    #[tokio::test]
    async fn percents_come_before_fixed_amounts_and_nothing_is_below_zero() {
        let sixty = offer("percent", "60", "NULL", true);
        let five = offer("fixed", "5.00", "'EUR'", true);
        assert_eq!(price("99.90", "EUR", &[five.clone(), sixty.clone(), sixty.clone()]).await, "10.980000000");
        assert_eq!(price("9.99", "EUR", &[five, sixty.clone(), sixty.clone()]).await, "0.000000000");
        assert_eq!(price("1001.5", "JPY", std::slice::from_ref(&sixty)).await, "401.000000000");
        assert_eq!(price("1.2345", "KWD", &[]).await, "1.234000000");
        assert_eq!(price("1.2345", "KWD", &[sixty]).await, "0.494000000");
    }

    /// Case 20 of the domain.
    #[tokio::test]
    async fn amounts_of_another_currency_or_of_none_do_not_count() {
        for currency in ["'EUR'", "NULL"] {
            let (fixed, replace) = (offer("fixed", "5", currency, true), offer("replace", "1", currency, false));
            assert_eq!(price("9.995", "USD", &[fixed, replace]).await, "10.000000000", "{currency}");
        }
        assert_eq!(price("9.995", "USD", &[offer("fixed", "5", "'USD'", false)]).await, "5.000000000");
        assert_eq!(price("9.99", "USD", &[offer("replace", "1", "'USD'", false)]).await, "1.000000000");
    }

    #[tokio::test]
    async fn without_offers_it_is_the_rounded_list_price_and_without_a_price_null() {
        for none in ["NULL", "[]", "[NULL]"] {
            assert_eq!(values(&context(), &call("9.995", "EUR", none)).await, ["10.000000000"], "{none}");
        }
        for sql in [
            "net_price(NULL, NULL, NULL)",
            "net_price(NULL, 'EUR', NULL)",
            "net_price(1, NULL, NULL)",
            "net_price(1, 'XAU', NULL)",
        ] {
            assert_eq!(values(&context(), &format!("SELECT {sql}")).await, ["NULL"], "{sql}");
        }
    }

    /// What `array_agg` over a join gives: also for the subscription whose side of the join is empty.
    #[tokio::test]
    async fn aggregated_offers_are_taken() {
        let sql = "WITH offer(subscription_id, discount_type, value, currency, stackable, priority) AS (VALUES \
                       ('a', arrow_cast('percent', 'Utf8View'), CAST(50 AS DECIMAL(38, 9)), arrow_cast(NULL, 'Utf8View'), true, 1), \
                       ('a', 'fixed', CAST(1 AS DECIMAL(38, 9)), 'EUR', true, 2)), \
                   counting AS (SELECT subscription_id, \
                                       array_agg(named_struct('discount_type', discount_type, 'value', value, 'currency', currency, \
                                                              'stackable', stackable, 'priority', priority) ORDER BY priority) AS offers \
                                FROM offer GROUP BY subscription_id) \
                   SELECT net_price(CAST(10 AS DECIMAL(12, 2)), 'EUR', c.offers) \
                   FROM (VALUES ('a'), ('b')) AS s(subscription_id) \
                   LEFT JOIN counting AS c ON c.subscription_id = s.subscription_id ORDER BY s.subscription_id";
        assert_eq!(values(&context(), sql).await, ["4.000000000", "10.000000000"]);
        let sql = sql.replace("c.offers", "arrow_cast(c.offers, 'LargeList(Struct(\"discount_type\": Utf8View, \"value\": Decimal128(38, 9), \"currency\": Utf8View, \"stackable\": Boolean, \"priority\": Int64))')");
        assert_eq!(values(&context(), &sql).await, ["4.000000000", "10.000000000"]);
    }

    #[tokio::test]
    async fn what_cannot_be_right_is_said() {
        let (kind, message) = run_error(&call("1", "EUR", &format!("[{}]", offer("gift", "1", "NULL", true)))).await;
        assert_eq!(kind, ErrorKind::InputBroken);
        assert!(message.contains("'gift' is not a discount type"), "{message}");
        let error = plan_error(&call("1", "EUR", "[named_struct('discount_type', 'fixed', 'value', 1)]")).await;
        assert!(error.contains("an offer has no field 'currency'; its fields are discount_type, value"), "{error}");
        let wrong = "[named_struct('discount_type', 'fixed', 'value', 1.5, 'currency', 'EUR', 'stackable', true)]";
        let error = plan_error(&call("1", "EUR", wrong)).await;
        assert!(error.contains("an offer.value must be a NUMERIC, not Float64"), "{error}");
        assert!(plan_error(&call("1", "EUR", "['x']")).await.contains("an offer must be a STRUCT, not Utf8"));
        assert!(plan_error("SELECT net_price(1.5, 'EUR', NULL)").await.contains("list_price must be a NUMERIC"));
    }
}
