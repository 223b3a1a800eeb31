use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const FINAL: Option<u64> = None;

/// Every row of the table in its order: a failure that shows its sign, and the seconds of its first wait.
fn rows() -> Vec<(Failure, Option<u64>)> {
    // BigQuery says most of these with a status whose own row decides otherwise.
    let said = |status, reason: &str| {
        Failure::new(Cause::Refused { status, reason: Some(reason.to_owned()) }, "the words of the service")
    };
    let job = |reason: &str| Failure::new(Cause::Job { reason: reason.to_owned() }, "the words of the job");
    let bare = |status| Failure::new(Cause::Refused { status, reason: None }, "a page of a proxy");
    let other = |cause| Failure::new(cause, "no answer at all");
    vec![
        (said(403, "rateLimitExceeded"), Some(2)),
        (said(403, "userRateLimitExceeded"), Some(2)),
        (job("jobRateLimitExceeded"), Some(2)),
        (said(403, "quotaExceeded"), Some(600)),
        (said(400, "backendError"), Some(1)),
        (said(400, "internalError"), Some(1)),
        (job("jobBackendError"), Some(1)),
        (job("jobInternalError"), Some(1)),
        (said(400, "tableUnavailable"), Some(2)),
        (said(500, "invalid"), FINAL),
        (said(503, "invalidQuery"), FINAL),
        (said(403, "accessDenied"), FINAL),
        (said(403, "billingNotEnabled"), FINAL),
        (said(503, "notFound"), FINAL),
        (said(409, "duplicate"), FINAL),
        (job("bytesBilledLimitExceeded"), FINAL),
        (job("resourcesExceeded"), FINAL),
        (job("stopped"), FINAL),
        (bare(400), FINAL),
        (bare(401), FINAL),
        (bare(403), FINAL),
        (bare(404), FINAL),
        (bare(408), Some(1)),
        (bare(409), FINAL),
        (bare(412), FINAL),
        (bare(429), Some(2)),
        (bare(500), Some(1)),
        (bare(502), Some(1)),
        (bare(503), Some(1)),
        (bare(504), Some(1)),
        (other(Cause::Silence), Some(1)),
        (other(Cause::Connection), Some(1)),
        (other(Cause::Unreadable), Some(1)),
        (other(Cause::Damaged), Some(1)),
        (other(Cause::NoTokenYet), Some(1)),
        (other(Cause::NoToken), FINAL),
        (other(Cause::Source), FINAL),
    ]
}

#[test]
fn every_row_of_the_table_decides_what_it_says() {
    let rows = rows();
    assert_eq!(rows.len(), TABLE.len());
    for ((failure, seconds), (sign, verdict)) in rows.iter().zip(TABLE) {
        assert!(sign.matches(failure), "{sign:?} is not shown by {failure}");
        assert_eq!(failure.verdict(), seconds.map_or(Verdict::Final, again), "{failure}");
        assert_eq!(failure.verdict(), *verdict, "another row than {sign:?} decides of {failure}");
    }
}

#[test]
fn what_no_row_knows_is_final() {
    assert!(!Failure::new(Cause::Refused { status: 418, reason: Some("teapot".to_owned()) }, "").passes());
    assert!(!Failure::new(Cause::Job { reason: String::new() }, "").passes());
}

fn quick(deadline_ms: u64) -> Policy {
    Policy { deadline: Duration::from_millis(deadline_ms), longest: Duration::from_secs(8), pace: 0.001 }
}

fn unavailable() -> Failure {
    Failure::new(Cause::Refused { status: 503, reason: None }, "try later")
}

#[tokio::test]
async fn a_call_is_tried_until_it_succeeds() {
    let tries = AtomicU32::new(0);
    let policy = quick(5000);
    let answer = policy.run("ask", || async {
        if tries.fetch_add(1, Ordering::Relaxed) < 3 { Err(unavailable()) } else { Ok("well") }
    });
    assert_eq!(answer.await.unwrap(), "well");
    assert_eq!(tries.into_inner(), 4);
}

#[tokio::test]
async fn a_final_failure_is_not_tried_again() {
    let tries = AtomicU32::new(0);
    let policy = quick(5000);
    let answer = policy.run("ask", || async {
        tries.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(Failure::new(Cause::Refused { status: 404, reason: None }, "gone"))
    });
    assert_eq!(answer.await.unwrap_err().status(), Some(404));
    assert_eq!(tries.into_inner(), 1);
}

#[tokio::test]
async fn the_deadline_bounds_all_tries_together() {
    let (started, tries) = (Instant::now(), AtomicU32::new(0));
    let policy = quick(60);
    let answer = policy.run("ask", || async {
        tries.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(unavailable())
    });
    assert_eq!(answer.await.unwrap_err().status(), Some(503));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!((4..60).contains(&tries.load(Ordering::Relaxed)), "the waits grow: {tries:?}");
}

/// Ten minutes do not fit into five, and no time is lost to find that out.
#[tokio::test]
async fn a_quota_that_refills_too_late_is_told_at_once() {
    let used_up = || Failure::new(Cause::Job { reason: "quotaExceeded".to_owned() }, "too many loads today");
    let policy = Policy { deadline: Duration::from_secs(300), ..Policy::default() };
    let started = Instant::now();
    assert!(policy.run("load", || async { Err::<(), _>(used_up()) }).await.is_err());
    assert!(policy.waits().after(used_up(), "load").await.is_err());
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(
        Policy::default().wait(&used_up(), Duration::from_secs(1), Duration::ZERO),
        Some(Duration::from_secs(600))
    );
}

#[test]
fn the_longest_of_three_waits_is_waited() {
    let policy = Policy::default();
    let wait = |failure: &Failure, growing_s| policy.wait(failure, Duration::from_secs(growing_s), Duration::ZERO);
    let mut failure = Failure::new(Cause::Refused { status: 429, reason: None }, "slow down");
    assert_eq!(wait(&failure, 1), Some(Duration::from_secs(2)), "what the row asks for");
    assert_eq!(wait(&failure, 5), Some(Duration::from_secs(5)), "what has grown");
    failure.retry_after = Some(Duration::from_secs(30));
    assert_eq!(wait(&failure, 5), Some(Duration::from_secs(30)), "what the service asks for");
    assert_eq!(policy.wait(&failure, Duration::from_secs(5), policy.deadline), None);
}

/// The waits of an attempt that takes hours are no part of it: only they count.
#[tokio::test]
async fn waits_are_added_up() {
    let mut waits = quick(10).waits();
    let mut count = 0;
    while waits.after(unavailable(), "load").await.is_ok() {
        count += 1;
        assert!(count < 20);
    }
    assert!(count >= 2, "{count}");
    assert!(waits.waited <= Duration::from_millis(10));
}
