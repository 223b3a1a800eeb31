//! What a failed call on a store means for the one who has to mend it.
//!
//! A missing bucket, missing rights and bad credentials are a person's to mend (exit 2); a service that cannot be reached or
//! does not manage is tried again (exit 13), by the client for half a minute and then by whoever called us.

use std::error::Error as StdError;

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

use crate::config::BucketPlace;
use crate::error::{Error, ErrorKind};

/// How `object_store` words a refusal before its status. It keeps the status of a failed list to itself, so the words are read;
/// the tests of the bucket would see them change.
const STATUS_WORDS: &str = "Server returned non-2xx status code: ";
/// The code in Cloud Storage's answer by which a missing bucket differs from a missing object.
const NO_BUCKET: &str = "NoSuchBucket";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    NoBucket,
    Forbidden,
    Unauthenticated,
    Unreachable,
    /// Ours: a call that the store does not have.
    NotImplemented,
    Other,
}

/// The error for a person. `path` is described already; `place` is that of the bucket, if it is one.
pub(super) fn told(action: &str, path: &str, place: Option<&BucketPlace>, error: StoreError) -> Error {
    let error = match own(error) {
        Ok(ours) => return ours.with("path", path),
        Err(theirs) => theirs,
    };
    let trouble = trouble(&error);
    let Some(place) = place.filter(|_| trouble != Trouble::Other) else {
        let kind = if trouble == Trouble::NotImplemented { ErrorKind::Internal } else { ErrorKind::Publish };
        return Error::new(kind, format!("failed to {action}")).with("path", path).source(error);
    };
    let bucket = &place.bucket;
    let (kind, message, hint) = match trouble {
        Trouble::NoBucket => (
            ErrorKind::Project,
            format!("there is no bucket '{bucket}'"),
            format!("check its name in gatefold.toml, or make it: gcloud storage buckets create gs://{bucket}"),
        ),
        Trouble::Forbidden => (
            ErrorKind::Project,
            format!("no permission to {action} in the bucket '{bucket}'"),
            format!("give the account of the credentials the role roles/storage.objectUser on gs://{bucket}"),
        ),
        Trouble::Unauthenticated => (
            ErrorKind::Project,
            "Cloud Storage does not accept the credentials".to_owned(),
            "they have expired, were withdrawn or are of another place: renew them, or name others in \
             [env.NAME.google] credentials"
                .to_owned(),
        ),
        Trouble::Unreachable => (
            ErrorKind::Publish,
            "Cloud Storage cannot be reached".to_owned(),
            "see that this machine has a way to it and that storage_endpoint is right, then run the same command again"
                .to_owned(),
        ),
        Trouble::NotImplemented | Trouble::Other => {
            (ErrorKind::Internal, format!("failed to {action}"), "this is a fault of gatefold; report it".to_owned())
        }
    };
    Error::new(kind, message).with("path", path).source(error).hint(hint)
}

/// Whether a person has to mend it, so that the same call will not pass by itself.
pub(crate) fn is_for_a_person(error: &StoreError) -> bool {
    let ours = chain(error).find_map(|cause| cause.downcast_ref::<Error>());
    match ours {
        Some(ours) => !ours.kind().retryable(),
        None => matches!(trouble(error), Trouble::NoBucket | Trouble::Forbidden | Trouble::Unauthenticated),
    }
}

/// An error of our own that travelled inside a store's: the credentials' one.
fn own(error: StoreError) -> Result<Error, StoreError> {
    match error {
        StoreError::Generic { store, source } => match source.downcast::<Error>() {
            Ok(ours) => Ok(*ours),
            Err(source) => Err(StoreError::Generic { store, source }),
        },
        other => Err(other),
    }
}

fn trouble(error: &StoreError) -> Trouble {
    match error {
        StoreError::NotImplemented { .. } => Trouble::NotImplemented,
        StoreError::PermissionDenied { .. } => Trouble::Forbidden,
        StoreError::Unauthenticated { .. } => Trouble::Unauthenticated,
        StoreError::NotFound { source, .. } if source.to_string().contains(NO_BUCKET) => Trouble::NoBucket,
        StoreError::Generic { .. } => chain(error).find_map(of_answer).unwrap_or(Trouble::Other),
        _ => Trouble::Other,
    }
}

fn of_answer(cause: &(dyn StdError + 'static)) -> Option<Trouble> {
    if let Some(error) = cause.downcast_ref::<HttpError>() {
        let unreachable = matches!(error.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout);
        return Some(if unreachable { Trouble::Unreachable } else { Trouble::Other });
    }
    let text = cause.to_string();
    let answer = text.strip_prefix(STATUS_WORDS)?;
    match answer.get(..3)? {
        "401" => Some(Trouble::Unauthenticated),
        "403" => Some(Trouble::Forbidden),
        "404" if answer.contains(NO_BUCKET) => Some(Trouble::NoBucket),
        _ => Some(Trouble::Other),
    }
}

fn chain(error: &StoreError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| StdError::source(*cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> BucketPlace {
        BucketPlace::parse("gs://acme-lake/shop").unwrap()
    }

    fn answered(status: &str, body: &str) -> StoreError {
        StoreError::Generic { store: "GCS", source: format!("{STATUS_WORDS}{status}: {body}").into() }
    }

    fn unreachable() -> StoreError {
        let refused = HttpError::new(HttpErrorKind::Connect, std::io::Error::other("refused"));
        StoreError::Generic { store: "GCS", source: Box::new(refused) }
    }

    #[test]
    fn each_trouble_has_its_message_and_its_exit_code() {
        let denied = || StoreError::PermissionDenied { path: "p".into(), source: "no".into() };
        let expired = || StoreError::Unauthenticated { path: "p".into(), source: "no".into() };
        let ours = || StoreError::Generic { store: "GCS", source: Box::new(Error::project("none are found")) };
        let no_bucket = "<Error><Code>NoSuchBucket</Code></Error>";
        for (error, kind, expected) in [
            (answered("404 Not Found", no_bucket), ErrorKind::Project, "there is no bucket 'acme-lake'"),
            (answered("403 Forbidden", ""), ErrorKind::Project, "no permission to list in the bucket 'acme-lake'"),
            (answered("401 Unauthorized", ""), ErrorKind::Project, "does not accept the credentials"),
            (answered("503 Unavailable", ""), ErrorKind::Publish, "failed to list"),
            (denied(), ErrorKind::Project, "roles/storage.objectUser"),
            (expired(), ErrorKind::Project, "does not accept the credentials"),
            (unreachable(), ErrorKind::Publish, "cannot be reached"),
            (ours(), ErrorKind::Project, "none are found; path: gs://acme-lake/shop/x"),
        ] {
            let for_a_person = is_for_a_person(&error);
            let told = told("list", "gs://acme-lake/shop/x", Some(&place()), error);
            assert_eq!(told.kind(), kind, "{told}");
            assert_eq!(for_a_person, kind == ErrorKind::Project, "{told}");
            assert!(told.to_string().contains(expected), "{expected}: {told}");
        }
    }

    #[test]
    fn a_folder_that_fails_may_be_tried_again() {
        let denied = StoreError::PermissionDenied { path: "p".into(), source: "no".into() };
        let told = told("read", "/data/x", None, denied);
        assert_eq!((told.kind(), told.to_string().as_str()), (ErrorKind::Publish, "failed to read; path: /data/x"));
    }
}
