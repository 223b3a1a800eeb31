//! A partition on its way to BigQuery: the files of the lake that hold it, and the names of what is made of them.

use gcp_bigquery_client::model::table_reference::TableReference;

use super::resource::TableResource;
use crate::digest::digest;
use crate::job::TableSpec;
use crate::names::{Partition, TableName};
use crate::publish::{LakeFile, LakeTable, slice_of};

/// Digits of the content's hash in the name of a staging table.
const NAME_DIGITS: usize = 12;

pub struct Part<'a> {
    pub spec: &'a TableSpec,
    /// The table as its contract wants it.
    pub wanted: TableResource,
    /// Of BigQuery's table: a day, or the whole.
    pub partition: Partition,
    pub files: Vec<&'a LakeFile>,
    /// Of the files: a file of the lake never changes, so their names say what is in them.
    pub content: String,
}

impl<'a> Part<'a> {
    /// The visible files of a partition; of a history and of a table that is replaced, all of them.
    pub fn of(spec: &'a TableSpec, wanted: TableResource, table: &'a LakeTable, partition: Partition) -> Self {
        let partition = partition.leased();
        let (files, content) = content_of(spec, table, &partition);
        Part { spec, wanted, partition, files, content }
    }

    pub fn table(&self) -> &TableName {
        &self.spec.name
    }

    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.meta.size).sum()
    }

    /// The table, or the partition of it that is replaced: `user_daily$20261120`.
    pub fn target(&self) -> TableReference {
        self.reference(&format!("{}{}", self.table().table, self.decorator()))
    }

    /// The staging table stands in the dataset of its target, so that what is restricted stays so.
    pub fn staging_name(&self) -> String {
        let digits = &self.content[..NAME_DIGITS.min(self.content.len())];
        format!("gatefold_staging_{}_{}_{digits}", self.table().table, self.compact())
    }

    /// What of the staging table is copied.
    pub fn staged(&self) -> TableReference {
        self.reference(&format!("{}{}", self.staging_name(), self.decorator()))
    }

    pub fn reference(&self, table: &str) -> TableReference {
        TableReference::new(&self.wanted.table.table_reference.project_id, &self.table().dataset, table)
    }

    fn decorator(&self) -> String {
        match self.partition {
            Partition::Day(_) => format!("${}", self.compact()),
            Partition::Change(_) | Partition::Whole => String::new(),
        }
    }

    fn compact(&self) -> String {
        self.partition.to_string().replace('-', "")
    }
}

/// The visible files of a partition of BigQuery's table, and what names them together.
pub(super) fn content_of<'a>(
    spec: &TableSpec,
    table: &'a LakeTable,
    partition: &Partition,
) -> (Vec<&'a LakeFile>, String) {
    let mut files = table.files_of(&slice_of(spec, partition));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let content = digest(files.iter().map(|file| file.path.as_str()));
    (files, content)
}
