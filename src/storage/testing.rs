//! Stores that fail as a bucket fails.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};

/// A store that takes the next write and says that it was refused, as when an answer was lost and the client tried again.
#[derive(Debug, Default)]
pub struct LosesAnAnswer(InMemory, AtomicBool);

impl LosesAnAnswer {
    pub fn lose_next(&self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

impl fmt::Display for LosesAnAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LosesAnAnswer")
    }
}

#[async_trait]
impl ObjectStore for LosesAnAnswer {
    async fn put_opts(&self, at: &Path, what: PutPayload, how: PutOptions) -> object_store::Result<PutResult> {
        let put = self.0.put_opts(at, what, how).await?;
        match self.1.swap(false, Ordering::SeqCst) {
            true => Err(object_store::Error::Precondition {
                path: at.to_string(),
                source: "the generation is another".into(),
            }),
            false => Ok(put),
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> object_store::Result<GetResult> {
        self.0.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
        self.0.copy_opts(from, to, how).await
    }
}
