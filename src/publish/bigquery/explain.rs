//! What a failure of Google Cloud means to the person who reads it: which promise is broken, and what to do.

use crate::error::{Error, ErrorKind};
use crate::publish::retry::{Cause, Failure};

/// Words of a service's message that say more than its reason does, in the order of asking; with what to do about it.
const WORDS: &[(&[&str], &str)] = &[
    (
        &["iat and exp", "reasonable timeframe", "used too early", "used too late", "clock skew"],
        "the clock of this machine seems wrong: set it (NTP), then run again",
    ),
    (
        &["invalid_grant", "expired or revoked", "Invalid JWT Signature", "account not found", "invalid_rapt"],
        "the credentials have expired or were revoked: run 'gcloud auth application-default login', or name a key file that is in force",
    ),
    (
        &["not found in location", "different locations", "different regions", "in the same region", "not in location"],
        "a job, its datasets and its bucket must be in one location: see 'location' under [env.NAME.bigquery]",
    ),
    (
        &["vpcServiceControls", "organization's policy"],
        "a VPC Service Controls perimeter stands between: run inside it, or ask for an access level",
    ),
    (
        &[
            "Not found: Project",
            "Invalid project",
            "project does not exist",
            "has not enabled BigQuery",
            "Unknown project",
        ],
        "see 'project' under [env.NAME.bigquery]; it must exist and have the BigQuery API enabled",
    ),
    (
        &["bucket does not exist"],
        "see 'staging' under [env.NAME.bigquery], and make the bucket in the location of the datasets",
    ),
    (&["bytes billed", "bytesBilledLimitExceeded"], "raise max_scan of the environment, or verify = \"count\""),
];

/// `doing` names the act and its object: "load into users.user_daily".
pub fn explain(failure: Failure, doing: &str) -> Error {
    let (kind, hint) = (kind_of(&failure), hint_of(&failure));
    let message = format!("cannot {doing}: {failure}");
    match failure.source.map(|source| source.downcast::<Error>()) {
        // Our credentials have said it better than anyone who only uses them.
        Some(Ok(ours)) => match hint {
            Some(hint) => ours.with("while", doing).hint(hint),
            None => ours.with("while", doing),
        },
        Some(Err(source)) => Error::new(kind, message).hint(hint.unwrap_or(otherwise(kind))).source(source),
        None => Error::new(kind, message).hint(hint.unwrap_or(otherwise(kind))),
    }
}

fn kind_of(failure: &Failure) -> ErrorKind {
    if failure.passes() {
        return ErrorKind::Publish;
    }
    match (&failure.cause, failure.status(), failure.reason()) {
        // Another run may have changed the table meanwhile, or somebody has cancelled the job: the next run starts afresh.
        (_, Some(412), _) | (_, _, Some("stopped" | "resourcesExceeded")) => ErrorKind::Publish,
        (Cause::Refused { .. } | Cause::Job { .. } | Cause::NoToken, ..) => ErrorKind::Project,
        _ => ErrorKind::Publish,
    }
}

fn hint_of(failure: &Failure) -> Option<String> {
    if let Some((_, hint)) = WORDS.iter().find(|(words, _)| words.iter().any(|word| says(failure, word))) {
        return Some((*hint).to_owned());
    }
    let hint = match (failure.status(), failure.reason()) {
        (_, Some("quotaExceeded")) => {
            "a quota is used up; it refills within a day: run again later, or ask for more of it"
        }
        (_, Some("accessDenied" | "forbidden")) | (Some(403), None) => {
            return Some(match permission(&failure.message) {
                Some(permission) => format!("grant {permission} to the account that runs this"),
                None => "the account that runs this lacks a permission; ask who owns the project".to_owned(),
            });
        }
        (_, Some("billingNotEnabled")) => "enable billing for the project",
        (Some(401), _) => "the credentials were refused: are they of this project, and still in force?",
        (Some(412), _) => "somebody changed it at the same time: run again",
        (_, Some("stopped")) => "somebody cancelled the job: run again when it may run",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn otherwise(kind: ErrorKind) -> String {
    let hint = match kind {
        ErrorKind::Publish => "run again: what was done is found, and not done twice",
        _ => "mend what the service names; analysts still see what they saw before",
    };
    hint.to_owned()
}

/// The message, the reason and all causes: a credentials error hides what the identity service said deep down.
fn says(failure: &Failure, word: &str) -> bool {
    let mut next: Option<&dyn std::error::Error> = Some(failure);
    while let Some(error) = next {
        if error.to_string().contains(word) {
            return true;
        }
        next = error.source();
    }
    false
}

/// `bigquery.tables.create` in a sentence that has it.
fn permission(message: &str) -> Option<&str> {
    message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).map(|word| word.trim_end_matches('.')).find(
        |word| {
            ["bigquery.", "storage.", "cloudkms.", "datacatalog."].iter().any(|service| word.starts_with(service))
                && word.split('.').count() == 3
        },
    )
}

#[cfg(test)]
mod tests;
