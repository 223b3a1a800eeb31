//! Failures that cross the wire. Ballista carries them as text, so an error of ours travels inside of it, and comes out with
//! its kind: a value that cannot be computed ends a run with the same exit code wherever it is met.

use arrow::error::ArrowError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use datafusion::common::DataFusionError;
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

use super::token::WANTS_A_TOKEN;
use crate::engine::model::{ENGINE, engine_error, of_store, own_error};
use crate::engine::place::ClusterAddress;
use crate::error::{Error, ErrorKind};

const BEGINS: &str = "gatefold-error[";
const ENDS: char = ']';
/// The context under which an error names the cluster.
pub const CLUSTER: &str = "cluster";

#[derive(Serialize, Deserialize)]
struct Sent {
    kind: String,
    message: String,
    context: Vec<String>,
    hint: Option<String>,
}

/// An error of ours in a form that comes through.
pub fn sent(error: &Error) -> DataFusionError {
    let context = error.context().iter().map(|(key, value)| format!("{key}: {value}"));
    let sent = Sent {
        kind: error.kind().as_str().to_owned(),
        message: error.message().to_owned(),
        context: context.collect(),
        hint: error.hint_text().map(str::to_owned),
    };
    let text = serde_json::to_vec(&sent).unwrap_or_default();
    DataFusionError::Execution(format!("{BEGINS}{}{ENDS}", URL_SAFE_NO_PAD.encode(text)))
}

/// What an executor says of a failed task: the rows' doing in words that come through, the rest as it is, so that Ballista
/// still knows what it may try again elsewhere.
pub fn told_by_executor(error: DataFusionError) -> DataFusionError {
    if !is_ours_or_the_rows(&error) {
        return error;
    }
    let told = engine_error(error);
    match told.kind() {
        ErrorKind::OutOfMemory => {
            sent(&Error::project("the memory of an executor is too small for a part of this query").hint(
                "start executors with more --memory or fewer --threads, or cut finer: ballista://…?partitions=64",
            ))
        }
        _ => sent(&told),
    }
}

fn is_ours_or_the_rows(error: &DataFusionError) -> bool {
    if of_store(error).is_some() {
        return true;
    }
    match error.find_root() {
        DataFusionError::External(inner) => inner.is::<Error>(),
        DataFusionError::ResourcesExhausted(_) => true,
        // Others wrap what Ballista looks at itself: a peer that is gone.
        DataFusionError::ParquetError(cause) => !matches!(**cause, ParquetError::External(_)),
        DataFusionError::ArrowError(cause, _) => matches!(
            **cause,
            ArrowError::CastError(_)
                | ArrowError::ParseError(_)
                | ArrowError::ArithmeticOverflow(_)
                | ArrowError::DivideByZero
                | ArrowError::ComputeError(_)
                | ArrowError::ParquetError(_)
        ),
        _ => false,
    }
}

/// What the caller makes of a query that the cluster did not carry out.
pub fn told_to_caller(error: DataFusionError, address: &ClusterAddress) -> Error {
    let error = match own_error(error) {
        Ok(ours) => return ours,
        Err(theirs) => theirs,
    };
    let text = error.to_string();
    if let Some(sent) = received(&text) {
        return sent.with(CLUSTER, address);
    }
    if text.contains("Unauthenticated") || text.contains(WANTS_A_TOKEN) {
        return Error::project("the cluster has another token")
            .with(CLUSTER, address)
            .hint("give the GATEFOLD_CLUSTER_TOKEN that its scheduler and executors have");
    }
    // A plan that cannot be read or run fails the same way every time.
    let kind = if ["runtime execution error", "serialize", "NotImplemented", "not implemented"]
        .iter()
        .any(|words| text.contains(words))
    {
        ErrorKind::Internal
    } else {
        ErrorKind::Publish
    };
    let error = Error::new(kind, "the cluster did not finish the query")
        .with(CLUSTER, address)
        .with(ENGINE, text.lines().next().unwrap_or_default());
    match kind {
        ErrorKind::Publish => error.hint("see that scheduler and executors run, then run the same command again"),
        _ => error.hint("run without --engine, on this machine"),
    }
}

/// A query that an executor took with it when it died may be asked again.
pub fn is_lost(error: &Error) -> bool {
    error.kind() == ErrorKind::Publish && error.context().iter().any(|(key, _)| *key == CLUSTER)
}

fn received(text: &str) -> Option<Error> {
    let (_, rest) = text.split_once(BEGINS)?;
    let (encoded, _) = rest.split_once(ENDS)?;
    let sent: Sent = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
    let kind = ErrorKind::ALL.into_iter().find(|kind| kind.as_str() == sent.kind)?;
    let mut error = Error::new(kind, sent.message);
    if !sent.context.is_empty() {
        error = error.with("on an executor", sent.context.join("; "));
    }
    Some(match sent.hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> ClusterAddress {
        match "ballista://host".parse() {
            Ok(crate::engine::EnginePlace::Cluster(address)) => address,
            other => panic!("{other:?}"),
        }
    }

    /// As Ballista tells of a task: the error's debug text inside of words of its own.
    fn through_ballista(error: DataFusionError) -> Error {
        let text = format!("Job x failed: Task failed due to runtime execution error: {:?}", error);
        told_to_caller(DataFusionError::Execution(text), &address())
    }

    #[test]
    fn an_error_of_ours_comes_through_with_its_kind() {
        let error = Error::new(ErrorKind::InputBroken, "a \"value\" is wrong").with("column", "tier").hint("mend it");
        let told = through_ballista(told_by_executor(DataFusionError::External(Box::new(error))));
        assert_eq!(told.kind(), ErrorKind::InputBroken);
        assert_eq!(told.message(), "a \"value\" is wrong");
        assert_eq!(told.hint_text(), Some("mend it"));
        assert!(told.to_string().contains("column: tier") && told.to_string().contains("ballista://host"));
    }

    #[test]
    fn what_the_rows_did_is_told_as_on_one_machine() {
        let told = through_ballista(told_by_executor(ArrowError::DivideByZero.into()));
        assert_eq!(told.kind(), ErrorKind::InputBroken);
        let full = DataFusionError::ResourcesExhausted("no room".to_owned());
        assert_eq!(through_ballista(told_by_executor(full)).kind(), ErrorKind::Project);
    }

    #[test]
    fn a_peer_that_is_gone_is_left_to_ballista() {
        let gone = ArrowError::ExternalError("fetch failed".into());
        assert!(matches!(told_by_executor(gone.into()), DataFusionError::ArrowError(..)));
        let store = ParquetError::External("no answer".into());
        assert!(matches!(told_by_executor(store.into()), DataFusionError::ParquetError(_)));
    }

    #[test]
    fn a_store_that_does_not_answer_an_executor_is_asked_again() {
        let store = || object_store::Error::Generic { store: "GCS", source: "503 Service Unavailable".into() };
        for error in [
            DataFusionError::ObjectStore(Box::new(store())),
            ParquetError::External(Box::new(store())).into(),
            ArrowError::ExternalError(Box::new(ParquetError::External(Box::new(store())))).into(),
        ] {
            let told = through_ballista(told_by_executor(error));
            assert_eq!(told.kind(), ErrorKind::Publish);
            assert!(is_lost(&told) && told.to_string().contains("503"), "{told}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let lost = told_to_caller(DataFusionError::Execution("Stream closed".to_owned()), &address());
        assert!(is_lost(&lost) && lost.kind().retryable());
        let wrong = through_ballista(DataFusionError::Internal("no such node".to_owned()));
        assert_eq!(wrong.kind(), ErrorKind::Internal);
        assert!(!is_lost(&wrong));
        let token = DataFusionError::Execution("Status { code: Unauthenticated }".to_owned());
        assert_eq!(told_to_caller(token, &address()).kind(), ErrorKind::Project);
    }
}
