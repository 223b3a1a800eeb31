//! The catalog of a day: one small file of each of its tables, the same for every number of accounts.

use std::path::Path;

use super::catalog::CATALOG;
use super::columns::{FeatureTable, OfferTable, PhaseTable, PriceTable, Table, Takes};
use super::dirt::Planted;
use super::folder::day_folder;
use super::part::{Tallies, Tally};
use super::write::PartFile;
use super::{feature, offer, price};
use crate::error::Result;
use crate::names::SnapshotDate;

/// Nothing is planted in the catalog.
pub fn write_catalog(snapshots: &Path, date: SnapshotDate) -> Result<Tallies> {
    let as_of = date.as_of().timestamp_micros();
    let phases = written::<PhaseTable>(snapshots, date, |file| {
        CATALOG.iter().for_each(|version| file.columns.append(version, as_of));
        Ok(())
    })?;
    let features = written::<FeatureTable>(snapshots, date, |file| {
        feature::rows(as_of).for_each(|row| file.columns.append(&row));
        Ok(())
    })?;
    let prices = written::<PriceTable>(snapshots, date, |file| {
        price::each_row(as_of, |row| {
            file.columns.append(&row);
            file.turn()
        })
    })?;
    let offers = written::<OfferTable>(snapshots, date, |file| {
        offer::rows(as_of).for_each(|row| file.columns.append(row));
        Ok(())
    })?;
    Ok(Tallies::from([phases, features, prices, offers]))
}

fn written<T: Table>(
    snapshots: &Path,
    date: SnapshotDate,
    fill: impl FnOnce(&mut PartFile<T>) -> Result<()>,
) -> Result<(&'static str, Tally)> {
    let mut file = PartFile::create(&day_folder(snapshots, T::NAME, date), 0)?;
    fill(&mut file)?;
    Ok((T::NAME, Tally::of(file.close()?, Planted::default())))
}
