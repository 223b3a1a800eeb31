//! How an upload failed, in the words of the one policy.

use google_cloud_storage::Error;
use google_cloud_storage::error::WriteError;
use reqwest::StatusCode;

use super::http::{refused, retry_after};
use crate::publish::retry::{Cause, Failure};

/// Whoever knows the id of a resumable upload may write to it, so it is no more to be told than a token.
const SECRET: &str = "upload_id=";

pub fn failure_of(error: &Error) -> Failure {
    let message = without_upload_ids(&chain(error));
    if let Some(status) = error.http_status_code().and_then(|code| StatusCode::from_u16(code).ok()) {
        let waits = error.http_headers().and_then(retry_after);
        return match error.http_payload() {
            Some(payload) => Failure { retry_after: waits, ..refused(status, payload) },
            None => {
                let cause = Cause::Refused { status: status.as_u16(), reason: None };
                let message = error.status().map_or(message, |status| status.message.clone());
                Failure { retry_after: waits, ..Failure::new(cause, message) }
            }
        };
    }
    Failure::new(cause_of(error), message)
}

fn cause_of(error: &Error) -> Cause {
    if is_mismatch(error) {
        Cause::Damaged
    } else if error.is_authentication() {
        Cause::NoToken
    } else if error.is_timeout() {
        Cause::Silence
    } else if error.is_deserialization() {
        Cause::Unreadable
    } else if error.is_serialization() {
        Cause::Source
    } else {
        Cause::Connection
    }
}

/// The client found that other bytes were stored than it had sent, or that the service forgot some.
fn is_mismatch(error: &Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if source.is::<WriteError>() {
            return true;
        }
        next = source.source();
    }
    false
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

fn without_upload_ids(text: &str) -> String {
    let mut parts = text.split(SECRET);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| {
        let rest = part.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '%' | '.' | '~')));
        format!("{told}{SECRET}...{}", rest.map_or("", |at| &part[at..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_upload_is_not_told() {
        let told = without_upload_ids("error for url (http://h/o?upload_id=ADPyc-d_%2F9&x=1): twice ?upload_id=b");
        assert_eq!(told, "error for url (http://h/o?upload_id=...&x=1): twice ?upload_id=...");
        assert_eq!(without_upload_ids("no id"), "no id");
    }

    #[test]
    fn a_refusal_keeps_its_status_and_reason() {
        let body = br#"{"error": {"message": "no", "errors": [{"reason": "forbidden"}]}}"#;
        let error = Error::http(403, Default::default(), body.as_slice().into());
        let failure = failure_of(&error);
        assert_eq!((failure.status(), failure.reason()), (Some(403), Some("forbidden")));
        assert!(!failure.passes());
        assert!(failure_of(&Error::http(503, Default::default(), "<html>".into())).passes());
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        for (error, cause) in [
            (Error::io("reset"), Cause::Connection),
            (Error::timeout("late"), Cause::Silence),
            (Error::ser(std::io::Error::other("gone")), Cause::Source),
            (Error::ser(WriteError::TooMuchProgress { sent: 1, persisted: 2 }), Cause::Damaged),
            (Error::deser("half"), Cause::Unreadable),
        ] {
            assert_eq!(failure_of(&error).cause, cause, "{error}");
        }
    }
}
