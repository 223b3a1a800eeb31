//! `best(row ORDER BY …)`: of each group's rows the first in the order, or null of a group without rows.
//!
//! `first_value` says the same and holds a scalar a column and group; here a batch is compared as columns, and what stays of
//! it are the rows that lead their groups. When the input is sorted by the group, groups come and go with their batch.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_null_array};
use arrow::array::{DynComparator, make_comparator};
use arrow::compute::{SortOptions, interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Best {
    signature: Signature,
}

impl Default for Best {
    fn default() -> Self {
        Best { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Best {
    fn name(&self) -> &str {
        "best"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    /// The leading row, what it is ordered by, and whether there is one: a row may be null itself.
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let mut fields =
            vec![Arc::new(args.return_field.as_ref().clone().with_name("row").with_nullable(true)) as FieldRef];
        fields.extend(args.ordering_fields.iter().cloned());
        fields.push(Arc::new(Field::new("is_set", DataType::Boolean, true)));
        Ok(fields)
    }

    /// The order is part of the question; an input that has it already is welcome and not needed.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Beneficial
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        _beneficial_ordering: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Leaders::new(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Leaders::new(&args)?))
    }
}

/// Where a row is held.
#[derive(Debug, Clone, Copy)]
struct Place {
    batch: u32,
    row: u32,
}

const NOWHERE: Place = Place { batch: u32::MAX, row: 0 };

impl Place {
    fn is_somewhere(self) -> bool {
        self.batch != NOWHERE.batch
    }
}

/// The leading row of each group.
struct Leaders {
    /// Of the row, then of what it is ordered by.
    kinds: Vec<DataType>,
    order: Vec<SortOptions>,
    /// By group.
    places: Vec<Place>,
    /// The rows that are held and others that they have overtaken, in batches: the row, then what it is ordered by.
    held: Vec<Vec<ArrayRef>>,
    held_rows: usize,
    held_bytes: usize,
    /// By group, while a batch is looked at: its leading row there.
    leading: Vec<u32>,
}

const NONE: u32 = u32::MAX;
/// So many rows that lead nothing are not worth the work of dropping them.
const FEW_ROWS: usize = 1 << 13;
/// Gathering rows looks at every batch that is held.
const MOST_BATCHES: usize = 1 << 12;

impl Leaders {
    fn new(args: &AccumulatorArgs) -> Result<Self> {
        if args.order_bys.is_empty() {
            return plan_err!("best needs an order: best(row ORDER BY column DESC)");
        }
        let ordered_by = args.order_bys.iter().map(|order| order.expr.data_type(args.schema));
        let kinds = std::iter::once(Ok(args.return_type().clone())).chain(ordered_by);
        Ok(Leaders {
            kinds: kinds.collect::<Result<_>>()?,
            order: args.order_bys.iter().map(|order| order.options).collect(),
            places: Vec::new(),
            held: Vec::new(),
            held_rows: 0,
            held_bytes: 0,
            leading: Vec::new(),
        })
    }

    /// Takes in rows, `columns` being the row and what it is ordered by.
    fn insert(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        is_in: impl Fn(usize) -> bool,
        total: usize,
    ) -> Result<()> {
        self.places.resize(total.max(self.places.len()), NOWHERE);
        self.leading.resize(self.places.len(), NONE);
        let mut touched = self.lead_the_batch(columns, groups, is_in)?;
        self.drop_overtaken(columns, groups, &mut touched)?;
        for &row in &touched {
            self.leading[groups[row as usize]] = NONE;
        }
        self.hold(columns, groups, touched)?;
        self.compact(self.places.len().max(FEW_ROWS))
    }

    /// The row that leads each group in this batch alone, by place.
    fn lead_the_batch(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        is_in: impl Fn(usize) -> bool,
    ) -> Result<Vec<u32>> {
        let compare = comparators(&columns[1..], &columns[1..], &self.order)?;
        let mut touched = Vec::new();
        for (row, group) in groups.iter().enumerate().filter(|(row, _)| is_in(*row)) {
            let leader = &mut self.leading[*group];
            if *leader == NONE {
                touched.push(*group as u32);
                *leader = row as u32;
            } else if order(&compare, row, *leader as usize) == Ordering::Less {
                *leader = row as u32;
            }
        }
        for group in &mut touched {
            *group = self.leading[*group as usize];
        }
        Ok(touched)
    }

    /// Leaves out the rows that do not come before the one that is held of their group.
    fn drop_overtaken(&mut self, columns: &[ArrayRef], groups: &[usize], touched: &mut Vec<u32>) -> Result<()> {
        let place = |row: &u32| self.places[groups[*row as usize]];
        let rivals: Vec<u32> = touched.iter().copied().filter(|row| place(row).is_somewhere()).collect();
        if rivals.is_empty() {
            return Ok(());
        }
        let held: Vec<Place> = rivals.iter().map(place).collect();
        let new = UInt32Array::from(rivals.clone());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (index, column) in columns.iter().enumerate().skip(1) {
            before.push(gather(&self.held, index, &held)?);
            after.push(take(column, &new, None)?);
        }
        let compare = comparators(&after, &before, &self.order)?;
        let beaten = |at: usize| order(&compare, at, at) != Ordering::Less;
        let mut at = 0;
        touched.retain(|row| {
            if !place(row).is_somewhere() {
                return true;
            }
            at += 1;
            let lost = beaten(at - 1);
            if lost {
                self.leading[groups[*row as usize]] = NONE;
            }
            !lost
        });
        Ok(())
    }

    fn hold(&mut self, columns: &[ArrayRef], groups: &[usize], rows: Vec<u32>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let batch = self.held.len() as u32;
        for (at, row) in rows.iter().enumerate() {
            self.places[groups[*row as usize]] = Place { batch, row: at as u32 };
        }
        let whole = rows.len() == groups.len() && rows.iter().enumerate().all(|(at, row)| at == *row as usize);
        let rows = UInt32Array::from(rows);
        let held: Vec<ArrayRef> = match whole {
            true => columns.to_vec(),
            false => columns.iter().map(|column| take(column, &rows, None)).collect::<Result<_, _>>()?,
        };
        self.keep(held);
        Ok(())
    }

    fn keep(&mut self, columns: Vec<ArrayRef>) {
        self.held_rows += columns[0].len();
        self.held_bytes += columns.iter().map(|column| column.get_array_memory_size()).sum::<usize>();
        self.held.push(columns);
    }

    /// Drops rows that were overtaken, or whose groups have gone, when there are more of them than `few`.
    fn compact(&mut self, few: usize) -> Result<()> {
        if self.held_rows <= self.places.len() + few && self.held.len() < MOST_BATCHES {
            return Ok(());
        }
        let places: Vec<Place> = self.places.iter().copied().filter(|place| place.is_somewhere()).collect();
        let columns = (0..self.kinds.len()).map(|index| gather(&self.held, index, &places));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.forget();
        for (row, place) in self.places.iter_mut().filter(|place| place.is_somewhere()).enumerate() {
            *place = Place { batch: 0, row: row as u32 };
        }
        self.keep(columns);
        Ok(())
    }

    fn forget(&mut self) {
        self.held.clear();
        (self.held_rows, self.held_bytes) = (0, 0);
    }

    /// The places of the groups that go.
    fn take_places(&mut self, emit_to: EmitTo) -> Vec<Place> {
        let places = emit_to.take_needed(&mut self.places);
        self.leading.truncate(self.places.len());
        places
    }

    /// Gives back memory when groups have gone: in a sorted input all but the last.
    fn let_go(&mut self) -> Result<()> {
        if self.places.is_empty() {
            self.forget();
            return Ok(());
        }
        self.compact(FEW_ROWS)
    }

    /// What is held at places; null where that is nowhere.
    fn column(&self, index: usize, places: &[Place]) -> Result<ArrayRef> {
        let kind = &self.kinds[index];
        if self.held.is_empty() {
            return Ok(new_null_array(kind, places.len()));
        }
        if places.iter().all(|place| place.is_somewhere()) {
            return gather(&self.held, index, places);
        }
        // A place that is nowhere is the null at the end.
        let null = new_null_array(kind, 1);
        let nowhere = (self.held.len(), 0);
        let mut arrays: Vec<&dyn Array> = self.held.iter().map(|columns| columns[index].as_ref()).collect();
        arrays.push(null.as_ref());
        let indices = places.iter().map(|place| match place.is_somewhere() {
            true => (place.batch as usize, place.row as usize),
            false => nowhere,
        });
        Ok(interleave(&arrays, &indices.collect::<Vec<_>>())?)
    }
}

impl GroupsAccumulator for Leaders {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        match filter {
            None => self.insert(values, groups, |_| true, total),
            Some(filter) => self.insert(values, groups, |row| filter.is_valid(row) && filter.value(row), total),
        }
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        let (is_set, columns) = values.split_last().expect("a state ends with is_set");
        let is_set = is_set.as_boolean();
        self.insert(columns, groups, |row| is_set.is_valid(row) && is_set.value(row), total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let places = self.take_places(emit_to);
        let rows = self.column(0, &places)?;
        self.let_go()?;
        Ok(rows)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let places = self.take_places(emit_to);
        let columns = (0..self.kinds.len()).map(|index| self.column(index, &places));
        let mut state = columns.collect::<Result<Vec<_>>>()?;
        state.push(Arc::new(BooleanArray::from_iter(places.iter().map(|place| Some(place.is_somewhere())))));
        self.let_go()?;
        Ok(state)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut state = values.to_vec();
        let rows = values[0].len();
        state.push(match filter {
            None => Arc::new(BooleanArray::from(vec![true; rows])),
            Some(filter) => Arc::new(filter.clone()),
        });
        Ok(state)
    }

    fn size(&self) -> usize {
        self.held_bytes + self.places.capacity() * size_of::<Place>() + self.leading.capacity() * size_of::<u32>()
    }
}

/// Rows at places, of which each is somewhere.
fn gather(held: &[Vec<ArrayRef>], index: usize, places: &[Place]) -> Result<ArrayRef> {
    if let [only] = held {
        let rows = UInt32Array::from_iter_values(places.iter().map(|place| place.row));
        return Ok(take(&only[index], &rows, None)?);
    }
    let arrays: Vec<&dyn Array> = held.iter().map(|columns| columns[index].as_ref()).collect();
    let indices: Vec<(usize, usize)> = places.iter().map(|place| (place.batch as usize, place.row as usize)).collect();
    Ok(interleave(&arrays, &indices)?)
}

fn comparators(left: &[ArrayRef], right: &[ArrayRef], order: &[SortOptions]) -> Result<Vec<DynComparator>> {
    let pairs = left.iter().zip(right).zip(order);
    Ok(pairs.map(|((left, right), options)| make_comparator(left, right, *options)).collect::<Result<_, _>>()?)
}

fn order(compare: &[DynComparator], left: usize, right: usize) -> Ordering {
    compare.iter().map(|compare| compare(left, right)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The whole input as one group.
struct OneGroup(Leaders);

impl std::fmt::Debug for OneGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("best")
    }
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values, &vec![0; values[0].len()], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &vec![0; states[0].len()], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.places.resize(1, NOWHERE);
        let rows = self.0.column(0, &self.0.places)?;
        ScalarValue::try_from_array(&rows, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.places.resize(1, NOWHERE);
        let state = GroupsAccumulator::state(&mut self.0, EmitTo::All)?;
        state.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use proptest::prelude::*;

    use super::super::register;
    use super::super::testing::{context, plan_error, values};
    use super::FEW_ROWS;

    type Row = (Option<i64>, Option<i64>, bool);

    /// The rows as `t (g, a, id, keep)`, in small batches dealt out to partitions.
    fn session(rows: &[Row], batch_rows: usize, partitions: usize) -> SessionContext {
        let context = SessionContext::new_with_config(
            SessionConfig::new().with_target_partitions(partitions).with_batch_size(batch_rows.max(2)),
        );
        register(&context, None);
        let batch = |from: usize, rows: &[Row]| {
            let ids = (from..from + rows.len()).map(|id| Some(format!("{:04}", id * 7 % 1_000)));
            let columns: [(&str, ArrayRef); 4] = [
                ("g", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
                ("a", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
                ("id", Arc::new(ids.collect::<StringArray>())),
                ("keep", Arc::new(arrow::array::BooleanArray::from_iter(rows.iter().map(|row| Some(row.2))))),
            ];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let empty = batch(0, &[]);
        let mut parts = vec![vec![empty.clone()]; partitions];
        for (index, chunk) in rows.chunks(batch_rows).enumerate() {
            parts[index % partitions].push(batch(index * batch_rows, chunk));
        }
        context.register_table("t", Arc::new(MemTable::try_new(empty.schema(), parts).unwrap())).unwrap();
        context
    }

    async fn shown(context: &SessionContext, sql: &str) -> String {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    const BEST: &str = "SELECT g, b['a'] AS a, b['id'] AS id FROM (
        SELECT g, best(named_struct('a', a, 'id', id) ORDER BY a DESC NULLS LAST, id) FILTER (WHERE keep) AS b
        FROM (SELECT * FROM t {order}) GROUP BY g
    ) ORDER BY g";
    const FIRST_IN_ORDER: &str = "SELECT t.g, r.a, r.id FROM (SELECT DISTINCT g FROM t) AS t LEFT JOIN (
        SELECT *, row_number() OVER (PARTITION BY g ORDER BY a DESC NULLS LAST, id) AS place FROM t WHERE keep
    ) AS r ON (r.g IS NOT DISTINCT FROM t.g) AND r.place = 1 ORDER BY t.g";

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (prop::option::weighted(0.9, 0..12i64), prop::option::weighted(0.8, 0..3i64), any::<bool>());
        prop::collection::vec(row, 1..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn it_is_the_first_row_in_the_order(rows in rows(), batch_rows in 1..40usize, partitions in 1..4usize, sorted: bool) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let context = session(&rows, batch_rows, partitions);
                // Sorted by the group, its groups end while rows still come.
                let best = BEST.replace("{order}", if sorted { "ORDER BY g LIMIT 1000" } else { "" });
                assert_eq!(shown(&context, &best).await, shown(&context, FIRST_IN_ORDER).await);
            });
        }
    }

    #[tokio::test]
    async fn rows_that_are_overtaken_are_dropped() {
        // Every row overtakes the one before it.
        let rows: Vec<Row> = (0..3 * FEW_ROWS as i64).map(|a| (Some(a % 3), Some(a), true)).collect();
        let context = session(&rows, 100, 1);
        let last = 3 * FEW_ROWS as i64 - 3;
        let best = "SELECT best(a ORDER BY a DESC) FROM t GROUP BY g ORDER BY g";
        assert_eq!(values(&context, best).await, [last, last + 1, last + 2].map(|a| a.to_string()));
    }

    #[tokio::test]
    async fn without_groups_and_without_rows() {
        let rows = [(Some(1), Some(5), true), (Some(1), Some(7), false), (None, None, true)];
        let context = session(&rows, 1, 2);
        let value = async |sql: &str| values(&context, sql).await;
        assert_eq!(value("SELECT best(id ORDER BY a DESC NULLS LAST) FROM t").await, ["0007"]);
        assert_eq!(value("SELECT best(a ORDER BY a DESC NULLS LAST) FILTER (WHERE keep) FROM t").await, ["5"]);
        assert_eq!(value("SELECT best(a ORDER BY a) FROM t WHERE g = 9").await, ["NULL"]);
        assert!(value("SELECT best(a ORDER BY a) FROM t WHERE g = 9 GROUP BY g").await.is_empty());
    }

    #[tokio::test]
    async fn an_order_is_needed() {
        let frame = context().sql("SELECT best(a) FROM (VALUES (1)) AS t (a)").await.unwrap();
        let said = frame.collect().await.unwrap_err().to_string();
        assert!(said.contains("best needs an order"), "{said}");
        assert!(!plan_error("SELECT best()").await.is_empty());
    }
}
