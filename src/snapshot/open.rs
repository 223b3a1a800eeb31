//! Brings a day's files, whatever their format, to Parquet files whose footers are read and whose columns are compared
//! with the contract. Parquet stays where it is; text and Avro are converted row for row into the run's work folder.

use std::fs::File;
use std::ops::Range;
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;

use super::drift;
use super::find::FoundSnapshot;
use super::parse::{BadCell, Reader};
use crate::contract::{Format, SnapshotContract};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Storage, Work};

/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 8;
/// More bad values than this are not a dirty day but the wrong file.
const BAD_CELL_LIMIT: usize = 1_000_000;

pub(super) struct OpenedFile {
    /// The Parquet file: the source's own, or the one made from it.
    pub meta: ObjectMeta,
    pub footer: Arc<ParquetMetaData>,
    /// The source's file, for messages.
    pub name: String,
    /// Values that did not parse; their rows are there with a null in the place.
    pub bad: Vec<BadCell>,
    pub ignored: Vec<String>,
}

impl OpenedFile {
    pub fn rows(&self) -> u64 {
        self.footer.file_metadata().num_rows().max(0) as u64
    }
}

/// Opens every file. `work` takes what is converted. Errors (exit 11) name the file.
pub(super) async fn open(
    contract: &SnapshotContract,
    found: &FoundSnapshot,
    snapshots: &Storage,
    work: &Work,
) -> Result<Vec<OpenedFile>> {
    let open_one = async |index: usize, meta: ObjectMeta| match contract.format {
        Format::Parquet => open_parquet(contract, snapshots, meta).await,
        _ => convert(contract, snapshots, work, index, meta).await,
    };
    futures::stream::iter(found.files.iter().cloned().enumerate().map(|(index, meta)| open_one(index, meta)))
        .buffered(FOOTERS_AT_ONCE)
        .try_collect()
        .await
}

async fn open_parquet(contract: &SnapshotContract, storage: &Storage, meta: ObjectMeta) -> Result<OpenedFile> {
    let name = storage.describe(&meta.location);
    let footer = read_footer(storage, &meta).await.map_err(|error| {
        Error::new(ErrorKind::InputBroken, "the file is not whole Parquet: its footer cannot be read")
            .with("file", &name)
            .source(error)
            .hint("the file is truncated or of another format; ask the source to deliver the day again")
    })?;
    let mapping = drift::compare(contract, footer.schema(), &name)?;
    Ok(OpenedFile { meta, footer: Arc::clone(footer.metadata()), name, bad: Vec::new(), ignored: mapping.ignored })
}

/// What a Parquet file says of itself.
pub(crate) async fn read_footer(storage: &Storage, meta: &ObjectMeta) -> parquet::errors::Result<ArrowReaderMetadata> {
    let object = Object { storage, location: &meta.location };
    let footer = ParquetMetaDataReader::new().load_and_finish(object, meta.size).await?;
    ArrowReaderMetadata::try_new(Arc::new(footer), ArrowReaderOptions::new())
}

struct Object<'a> {
    storage: &'a Storage,
    location: &'a object_store::path::Path,
}

impl MetadataFetch for Object<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let got = self.storage.store().get_range(self.location, range);
        got.map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }
}

async fn convert(
    contract: &SnapshotContract,
    snapshots: &Storage,
    work: &Work,
    index: usize,
    meta: ObjectMeta,
) -> Result<OpenedFile> {
    let name = snapshots.describe(&meta.location);
    let stem = format!("{}-{index:05}", contract.name);
    let source = local_copy(snapshots, work, &stem, &meta).await?;
    let target = object_store::path::Path::from(format!("{stem}.parquet"));
    let target_file = work.folder().join(target.as_ref());
    let (bad, ignored) = {
        let (contract, name) = (contract.clone(), name.clone());
        tokio::task::spawn_blocking(move || convert_file(&contract, source, &name, &target_file)).await.map_err(
            |error| Error::internal("a conversion ended abruptly").with("file", &meta.location).source(error),
        )??
    };
    let made = work.storage().head(&target).await?;
    let footer = read_footer(work.storage(), &made)
        .await
        .map_err(|error| Error::internal("failed to read back a converted file").with("file", &name).source(error))?;
    Ok(OpenedFile { meta: made, footer: Arc::clone(footer.metadata()), name, bad, ignored })
}

/// The readers of text want a file; what lies in a bucket is brought here first, and removed once it is converted.
async fn local_copy(snapshots: &Storage, work: &Work, name: &str, meta: &ObjectMeta) -> Result<File> {
    let unread = |path: &FsPath, error| {
        Error::new(ErrorKind::Publish, "failed to read").with("path", path.display()).source(error)
    };
    if let Some(folder) = snapshots.folder() {
        let path = folder.join(meta.location.as_ref());
        return File::open(&path).map_err(|error| unread(&path, error));
    }
    let path = work.folder().join(format!("{name}.source"));
    snapshots.download(meta, &path).await?;
    let file = File::open(&path).map_err(|error| unread(&path, error))?;
    // The open file stays readable, and the disk holds the copy no longer than it is read.
    std::fs::remove_file(&path).map_err(|error| unread(&path, error))?;
    Ok(file)
}

fn convert_file(
    contract: &SnapshotContract,
    source: File,
    name: &str,
    target: &FsPath,
) -> Result<(Vec<BadCell>, Vec<String>)> {
    let mut reader = Reader::open(contract, source, name)?;
    let file = File::create(target).map_err(|error| write_failed(target, error))?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let broken = |error: parquet::errors::ParquetError| {
        Error::new(ErrorKind::Publish, "failed to write a converted snapshot")
            .with("path", target.display())
            .source(error)
    };
    let mut writer = ArrowWriter::try_new(file, drift::read_schema(contract), Some(properties)).map_err(broken)?;
    let mut bad = Vec::new();
    for parsed in reader.by_ref() {
        let parsed = parsed?;
        writer.write(&parsed.batch).map_err(broken)?;
        bad.extend(parsed.bad);
        if bad.len() > BAD_CELL_LIMIT {
            return Err(Error::new(ErrorKind::InputBroken, format!("over {BAD_CELL_LIMIT} values do not parse"))
                .with("file", name)
                .hint("this is not the file that the contract describes; compare its columns and its format"));
        }
    }
    writer.close().map_err(broken)?;
    Ok((bad, reader.ignored().to_vec()))
}

fn write_failed(path: &FsPath, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Publish, "failed to write").with("path", path.display()).source(error)
}
