//! Avro: the schema in the file is held against the contract, the rows are cast to its types without loss.

use std::fs::File;
use std::io::BufReader;

use arrow::compute::BatchCoalescer;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow_avro::reader::ReaderBuilder;

use super::container::{Block, Container};
use super::{BATCH_ROWS, Parsed, Source, broken, range};
use crate::contract::SnapshotContract;
use crate::error::{Error, Result};
use crate::snapshot::drift::{self, Mapping};

pub struct Avro {
    container: Container<BufReader<File>>,
    name: String,
    contract: SnapshotContract,
    mapping: Mapping,
    /// Blocks are of any size; batches are not.
    rows: BatchCoalescer,
    next_row: u64,
}

impl Avro {
    pub fn open(contract: &SnapshotContract, file: File, name: &str) -> Result<Avro> {
        let container = Container::open(BufReader::new(file)).map_err(|error| damaged(error, name))?;
        let decoder = ReaderBuilder::new().build(container.empty_file()).map_err(|error| damaged(error, name))?;
        let mapping = drift::compare(contract, &decoder.schema(), name)?;
        drop(decoder);
        Ok(Avro {
            container,
            name: name.to_owned(),
            contract: contract.clone(),
            mapping,
            rows: BatchCoalescer::new(drift::read_schema(contract), BATCH_ROWS),
            next_row: 0,
        })
    }

    /// Reads blocks until a batch is full or the file ends.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while !self.rows.has_completed_batch() {
            let Some(block) = self.container.next_block().map_err(|error| damaged(error, &self.name))? else {
                self.rows.finish_buffered_batch().map_err(not_joined)?;
                break;
            };
            if block.rows == 0 {
                continue;
            }
            let batch = self.decode(&block)?;
            let batch = drift::conform(&batch, &self.mapping, &self.contract)
                .map_err(|error| error.with("file", &self.name))?;
            self.rows.push_batch(batch).map_err(not_joined)?;
        }
        Ok(self.rows.next_completed_batch())
    }

    /// The rows of a block, exactly as many as it declares and no byte more.
    fn decode(&self, block: &Block) -> Result<RecordBatch> {
        let decode = || -> std::result::Result<Option<RecordBatch>, ArrowError> {
            let file = self.container.file_of(block);
            let mut decoder = ReaderBuilder::new().with_batch_size(block.rows).build(file)?;
            let batch = decoder.next().transpose()?.filter(|batch| batch.num_rows() == block.rows);
            Ok(batch.filter(|_| decoder.next().is_none()))
        };
        let batch = decode().map_err(|error| damaged(error, &self.name))?;
        batch.ok_or_else(|| damaged("a block holds other rows than it declares", &self.name))
    }
}

fn damaged(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>, name: &str) -> Error {
    broken("the Avro file is damaged", name).source(cause).hint("have the source write the file again")
}

fn not_joined(error: ArrowError) -> Error {
    Error::internal("batches of one schema cannot be joined").source(error)
}

impl Source for Avro {
    fn read(&mut self) -> Result<Option<Parsed>> {
        let Some(batch) = self.next_batch()? else { return Ok(None) };
        let first_row = self.next_row;
        self.next_row += batch.num_rows() as u64;
        range::screen(batch, first_row).map(Some)
    }

    fn ignored(&self) -> &[String] {
        &self.mapping.ignored
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int32Array, ListArray, StringArray, TimestampMillisecondArray};
    use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
    use arrow_avro::compression::CompressionCodec;
    use arrow_avro::writer::{WriterBuilder, format::AvroOcfFormat};

    use super::super::tests::{bad, context, read, reader};
    use super::*;
    use crate::contract::{ColumnType, Drift, Format};
    use crate::error::ErrorKind;
    use crate::snapshot::drift::tests::contract as contract_of;

    fn contract() -> SnapshotContract {
        let columns = [
            ("id", ColumnType::String),
            ("quantity", ColumnType::Int64),
            ("at", ColumnType::Timestamp),
            ("numbers", ColumnType::Array(Box::new(ColumnType::Int64))),
        ];
        contract_of(Format::Avro, &columns)
    }

    fn batch(rows: i32) -> RecordBatch {
        let millis = (0..rows).map(|row| if row == 1 { i64::MAX } else { i64::from(row) });
        let lists = (0..rows).map(|row| Some(vec![Some(row); row as usize % 3]));
        let columns: [(&str, ArrayRef); 4] = [
            ("quantity", Arc::new(Int32Array::from_iter_values(0..rows))),
            ("id", Arc::new(StringArray::from_iter((0..rows).map(|row| (row % 2 == 0).then(|| format!("é{row}")))))),
            ("numbers", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
            ("at", Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone("+00:00"))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, name == "id"))).unwrap()
    }

    /// A container with a block a batch.
    fn file(batches: &[RecordBatch], codec: Option<CompressionCodec>) -> Vec<u8> {
        let schema = batch(0).schema().as_ref().clone();
        let builder = WriterBuilder::new(schema).with_compression(codec);
        let mut writer = builder.build::<_, AvroOcfFormat>(Vec::new()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        writer.into_inner()
    }

    #[test]
    fn rows_come_by_name_in_the_types_of_the_contract() {
        for codec in
            [None, Some(CompressionCodec::Deflate), Some(CompressionCodec::Snappy), Some(CompressionCodec::ZStandard)]
        {
            let (found, faults, ignored) = read(&contract(), &file(&[batch(3)], codec)).unwrap();
            assert_eq!(found.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("é0"), None, Some("é2")]);
            assert_eq!(found.column(1).as_primitive::<Int64Type>().values(), &[0, 1, 2]);
            let times: Vec<_> = found.column(2).as_primitive::<TimestampMicrosecondType>().iter().collect();
            assert_eq!(times, [Some(0), None, Some(2000)]);
            assert_eq!(found.column(3).as_list::<i32>().value(2).as_primitive::<Int64Type>().values(), &[2, 2]);
            let text = "microsecond 9223372036854775807 since 1970-01-01";
            assert_eq!(faults, [bad(1, 2, "outside 0001-01-01 to 9999-12-31", text)]);
            assert!(ignored.is_empty());
        }
    }

    #[test]
    fn blocks_are_joined_and_split_into_batches() {
        let blocks = [batch(5000), batch(5000), batch(1), batch(20_000)];
        let parsed: Vec<_> = reader(&contract(), &file(&blocks, None)).unwrap().collect::<Result<_>>().unwrap();
        let rows: Vec<_> = parsed.iter().map(|parsed| parsed.batch.num_rows()).collect();
        assert_eq!(rows, [8192, 8192, 8192, 5425]);
        let bad: Vec<_> = parsed.iter().flat_map(|parsed| &parsed.bad).map(|bad| bad.row).collect();
        assert_eq!(bad, [1, 5001, 10_002]);
        assert_eq!(read(&contract(), &file(&[batch(0)], None)).unwrap().0.num_rows(), 0);
    }

    #[test]
    fn drift_is_told_before_a_row_is_read() {
        let mut contract = contract();
        contract.columns.truncate(2);
        let bytes = file(&[batch(3)], None);
        let error = reader(&contract, &bytes).err().unwrap();
        assert_eq!(error.message(), "column 'numbers' is not in the contract");
        contract.drift = Drift::Additive;
        assert_eq!(read(&contract, &bytes).unwrap().2, ["numbers", "at"]);
        contract.columns[1].column.column_type = ColumnType::Date;
        let error = reader(&contract, &bytes).err().unwrap();
        assert_eq!(error.message(), "column 'quantity' is INT64 where the contract says DATE");
    }

    #[test]
    fn a_cut_file_is_never_taken_for_whole() {
        let bytes = file(&[batch(3), batch(2)], None);
        let whole: Vec<_> = (0..bytes.len()).filter(|end| read(&contract(), &bytes[..*end]).is_ok()).collect();
        // The frame cannot tell a file that was cut exactly between its blocks, or after its header.
        let header = file(&[], None).len();
        assert_eq!(whole, [header, file(&[batch(3)], None).len()]);
        let error = read(&contract(), &bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!((error.kind(), context(&error, "file").as_deref()), (ErrorKind::InputBroken, Some("part-0")));
    }

    #[test]
    fn a_wrong_row_count_or_sync_marker_is_found() {
        let bytes = file(&[batch(3)], None);
        let count = file(&[], None).len();
        assert_eq!(bytes[count], 3 << 1);
        for wrong in [0, 2, 4, 60] {
            let mut bytes = bytes.clone();
            bytes[count] = wrong << 1;
            let error = read(&contract(), &bytes).unwrap_err();
            assert_eq!(error.message(), "the Avro file is damaged", "{wrong} rows");
        }
        let mut bytes = bytes;
        *bytes.last_mut().unwrap() ^= 1;
        assert!(read(&contract(), &bytes).is_err(), "a wrong sync marker");
    }

    #[test]
    fn no_changed_byte_makes_it_panic_or_hang() {
        for codec in
            [None, Some(CompressionCodec::Deflate), Some(CompressionCodec::Snappy), Some(CompressionCodec::ZStandard)]
        {
            let bytes = file(&[batch(4)], codec);
            for at in 0..bytes.len() {
                for change in [0x02, 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= change;
                    if let Err(error) = read(&contract(), &bytes) {
                        assert_eq!(error.kind(), ErrorKind::InputBroken, "byte {at}: {error}");
                    }
                }
            }
        }
    }
}
