use super::*;

fn refused(status: u16, reason: &str, message: &str) -> Failure {
    Failure::new(Cause::Refused { status, reason: Some(reason.to_owned()) }, message)
}

#[test]
fn what_bigquery_says_becomes_an_exit_code_and_an_advice() {
    let job = |reason: &str, message: &str| Failure::new(Cause::Job { reason: reason.to_owned() }, message);
    for (failure, code, advice) in [
        (
            refused(
                403,
                "accessDenied",
                "Access Denied: Project acme: User does not have bigquery.jobs.create permission in project acme.",
            ),
            2,
            "grant bigquery.jobs.create ",
        ),
        (
            refused(
                403,
                "accessDenied",
                "Access Denied: Table acme:users.t: Permission bigquery.tables.get denied on table acme:users.t (or it may not exist).",
            ),
            2,
            "grant bigquery.tables.get ",
        ),
        (
            refused(
                403,
                "forbidden",
                "run@acme.example does not have storage.objects.create access to the Google Cloud Storage object.",
            ),
            2,
            "grant storage.objects.create ",
        ),
        (refused(403, "accessDenied", "Access Denied: Dataset acme:users"), 2, "lacks a permission"),
        (refused(404, "notFound", "Not found: Project acme"), 2, "'project'"),
        (refused(404, "notFound", "Not found: Dataset acme:users was not found in location EU"), 2, "'location'"),
        (
            refused(400, "invalid", "Cannot read and write in different locations: source: EU, destination: US"),
            2,
            "'location'",
        ),
        (refused(404, "notFound", "The specified bucket does not exist."), 2, "'staging'"),
        (refused(403, "billingNotEnabled", "Billing has not been enabled for this project."), 2, "billing"),
        (refused(400, "invalidQuery", "Unrecognized name: teir at [1:8]"), 2, "mend"),
        (
            job(
                "bytesBilledLimitExceeded",
                "Query exceeded limit for bytes billed: 10485760. 20971520 or higher required.",
            ),
            2,
            "max_scan",
        ),
        (refused(403, "quotaExceeded", "Quota exceeded: Your table exceeded quota for imports per table"), 13, "quota"),
        (refused(403, "rateLimitExceeded", "Exceeded rate limits"), 13, "run again"),
        (refused(503, "backendError", "try later"), 13, "run again"),
        (refused(412, "conditionNotMet", "Precondition check failed."), 13, "same time"),
        (refused(401, "authError", "Invalid Credentials"), 2, "refused"),
        (job("stopped", "Job execution was cancelled: User requested cancellation"), 13, "cancelled"),
        (Failure::new(Cause::Silence, "no answer within the time"), 13, "run again"),
        (Failure::new(Cause::Source, "the file cannot be read"), 13, "run again"),
    ] {
        let message = failure.message.clone();
        let error = explain(failure, "load into users.t");
        assert_eq!(error.kind().exit_code(), code, "{message}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains(advice)), "{message}: {error}");
        assert!(
            error.message().starts_with("cannot load into users.t: ") && error.message().contains(&message),
            "{error}"
        );
    }
}

/// What the identity service says lies below our own credentials' error, whose advice stands unless the cause is plain.
#[test]
fn credentials_that_are_refused_explain_themselves() {
    let no_token = |cause: &str| {
        let ours = Error::project("Google Cloud refuses the credentials").hint("name a file").source(cause.to_owned());
        explain(Failure::new(Cause::NoToken, "no access token").source(ours), "load into users.t")
    };
    let error = no_token("something else");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Project, "Google Cloud refuses the credentials"));
    assert_eq!(error.hint_text(), Some("name a file"));
    assert!(error.context().contains(&("while", "load into users.t".to_owned())));

    for (cause, advice) in [
        (
            "body=<{\"error\": \"invalid_grant\", \"error_description\": \"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.\"}>",
            "clock",
        ),
        ("invalid_grant: Token has been expired or revoked.", "revoked"),
        ("Token used too early", "clock"),
    ] {
        assert!(no_token(cause).hint_text().is_some_and(|hint| hint.contains(advice)), "{cause}");
    }
}
