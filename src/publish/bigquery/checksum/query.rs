//! The same checksums in one GoogleSQL query.

use super::{Checksums, ColumnSum, Sum};
use crate::contract::{Column, ColumnType};
use crate::error::{Error, ErrorKind, Result};

/// The pieces of a fingerprint that are added up on their own: from which bit, and how many bits.
const PIECES: [(u32, u32); 3] = [(0, 22), (22, 22), (44, 20)];

/// One row: the count, for each column its nulls and its sum, and the sum of whole rows. `table` is quoted, as
/// `` `project.dataset.table` ``.
///
/// A fingerprint is added up in three pieces of 22, 22 and 20 bits, each as INT64, which overflows after 2^41 rows only;
/// a NUMERIC would after 10^10 equal values, and is slower.
pub fn query(table: &str, columns: &[Column]) -> String {
    let prints: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            format!("{} AS f{place}", fingerprint(&format!("t.`{}`", column.name), &column.column_type, 0))
        })
        .collect();
    let columns_sums: Vec<String> = (0..columns.len())
        .map(|place| {
            format!("COUNTIF(f{place} IS NULL) AS n{place}, {}", sums(&format!("f{place}"), &place.to_string()))
        })
        .collect();
    let row = joined((0..columns.len()).map(|place| format!("f{place}")));
    format!(
        "SELECT COUNT(*) AS row_count,\n  {},\n  {}\nFROM (\n  SELECT *, FARM_FINGERPRINT(CONCAT({row})) AS f\n  FROM (\n    SELECT\n      {}\n    FROM {table} AS t\n  )\n)",
        columns_sums.join(",\n  "),
        sums("f", ""),
        prints.join(",\n      "),
    )
}

/// Reads the row that [`query`] answers.
///
/// # Errors
/// `Publish`: it is no such row.
pub fn read_row(columns: &[Column], row: &[Option<String>]) -> Result<Checksums> {
    if row.len() != 1 + (1 + PIECES.len()) * columns.len() + PIECES.len() {
        return Err(Error::new(ErrorKind::Publish, "the answer to the query of checksums has other columns")
            .with("columns", row.len()));
    }
    let (head, rest) = row.split_at(1);
    let (sums, row_sum) = rest.split_at((1 + PIECES.len()) * columns.len());
    let columns = columns.iter().zip(sums.chunks_exact(1 + PIECES.len())).map(|(column, cells)| {
        Ok((column.name.clone(), ColumnSum { nulls: count(&cells[0])?, sum: read_sum(&cells[1..])? }))
    });
    Ok(Checksums { rows: count(&head[0])?, columns: columns.collect::<Result<_>>()?, row_sum: read_sum(row_sum)? })
}

fn count(cell: &Option<String>) -> Result<u64> {
    let text = cell.as_deref().unwrap_or_default();
    text.parse().map_err(|error| unreadable(text).source(error))
}

/// The sum of the pieces, each at its place. The sum of no values is null.
fn read_sum(cells: &[Option<String>]) -> Result<Sum> {
    let pieces = cells.iter().zip(PIECES).map(|(cell, (shift, _))| {
        let Some(text) = cell.as_deref() else { return Ok(0) };
        let piece: u128 = text.parse().map_err(|error| unreadable(text).source(error))?;
        Ok(piece << shift)
    });
    pieces.sum::<Result<u128>>().map(Sum)
}

fn unreadable(text: &str) -> Error {
    Error::new(ErrorKind::Publish, format!("'{text}' is no number, and a checksum is one"))
}

fn sums(of: &str, name: &str) -> String {
    let pieces = PIECES
        .iter()
        .map(|(shift, bits)| format!("SUM(({of} >> {shift}) & {}) AS s{name}_{shift}", (1u64 << bits) - 1));
    pieces.collect::<Vec<_>>().join(", ")
}

/// Fingerprints one after the other, as the arguments of CONCAT.
fn joined(prints: impl Iterator<Item = String>) -> String {
    prints.map(|print| format!("IFNULL(CAST({print} AS STRING), 'n')")).collect::<Vec<_>>().join(", ',', ")
}

/// An INT64, null where the value is. `depth` tells the names of arrays within arrays apart.
fn fingerprint(value: &str, column_type: &ColumnType, depth: usize) -> String {
    match column_type {
        ColumnType::Array(item) => {
            let (name, place) = (format!("e{depth}"), format!("o{depth}"));
            let print = joined(std::iter::once(fingerprint(&name, item, depth + 1)));
            format!(
                "FARM_FINGERPRINT(CONCAT('[', IFNULL((SELECT STRING_AGG({print}, ',' ORDER BY {place}) \
                 FROM UNNEST({value}) AS {name} WITH OFFSET AS {place}), ''), ']'))"
            )
        }
        ColumnType::Struct(fields) => {
            let prints = fields.iter().map(|(name, kind)| fingerprint(&format!("{value}.`{name}`"), kind, depth));
            format!("IF({value} IS NULL, NULL, FARM_FINGERPRINT(CONCAT('{{', {}, '}}')))", joined(prints))
        }
        scalar => format!("FARM_FINGERPRINT({})", text(value, scalar)),
    }
}

/// The canonical text of a value that holds no others.
fn text(value: &str, column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::String => value.to_owned(),
        ColumnType::Bytes => format!("TO_HEX({value})"),
        ColumnType::Date => format!("CAST(UNIX_DATE({value}) AS STRING)"),
        ColumnType::Timestamp => format!("CAST(UNIX_MICROS({value}) AS STRING)"),
        ColumnType::Datetime => {
            format!("CAST(DATETIME_DIFF({value}, DATETIME '1970-01-01 00:00:00', MICROSECOND) AS STRING)")
        }
        ColumnType::Numeric { .. } | ColumnType::Bignumeric { .. } => {
            let digits = format!("CAST({value} AS STRING)");
            format!("IF(STRPOS({digits}, '.') > 0, RTRIM(RTRIM({digits}, '0'), '.'), {digits})")
        }
        ColumnType::Float64 => format!(
            "CASE WHEN {value} IS NULL THEN NULL WHEN IS_NAN({value}) THEN 'nan' WHEN {value} = 0 THEN '0' \
             ELSE FORMAT('%.16e', {value}) END"
        ),
        ColumnType::Int64 | ColumnType::Bool | ColumnType::Array(_) | ColumnType::Struct(_) => {
            format!("CAST({value} AS STRING)")
        }
    }
}
