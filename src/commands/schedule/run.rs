//! `gatefold schedule run`: the jobs of a schedule for the day of a tick.
//!
//! What is there is run at once, and what waits for an input is looked for until the schedule's patience ends. So a late
//! source holds up its own readers alone, and a run is on record only when it had something to do.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep, timeout};

use crate::cli::{Format, Global};
use crate::commands::engine::EngineArgs;
use crate::commands::stop::{GOES_ON, unless_stopped};
use crate::commands::workspace::{self, Workspace};
use crate::commands::{alert, complete, print_json, run};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::{JobEnd, Previewed, Reason, RunEnd, Survey, preview};
use crate::plan::Plan;
use crate::project::Project;
use crate::schedule::kubernetes::{JOB_VARIABLE, tick_of_job};
use crate::schedule::{Schedule, Tick, duration, tried_again};

const EXAMPLES: &str = "\
Examples:
  gatefold schedule run daily                        # the day of the last tick, waiting for late inputs
  gatefold schedule run daily --at 2026-11-21T03:30:00Z --no-wait";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The schedule: the name of its file in schedules/.
    #[arg(add = complete::schedules())]
    pub name: String,
    /// Run the day of the last tick at or before this instant, such as 2026-11-21T03:30:00Z; now when not given.
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<DateTime<Utc>>,
    /// Do not wait for inputs that are missing: exit with 10 at once.
    #[arg(long)]
    pub no_wait: bool,
    /// As for run.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let project = Project::load(&global.project)?;
    let schedule = project.schedule(&args.name)?;
    let Some(tick) = tick(args, schedule) else {
        let first = schedule.ticks_after(schedule.start.begin()).next();
        let first = first.map(|tick| tick.at.to_rfc3339()).unwrap_or_default();
        eprintln!("nothing to do: the first tick of '{}', for {}, is {first}", schedule.name, schedule.start);
        return Ok(0);
    };
    eprintln!("schedule {}: tick {}, day {}", schedule.name, tick.at.to_rfc3339(), tick.day);
    let env = global.env.clone().unwrap_or_else(|| schedule.env.clone());
    let workspace = Workspace::open(&Global { env: Some(env), ..global.clone() })?;
    let mut runs = Runs { workspace: &workspace, schedule, args, global, day: tick.day, told: Vec::new() };
    let exit_code = runs.all().await?;
    if global.format == Format::Json {
        let value = serde_json::json!({
            "schedule": schedule.name, "tick": tick.at.with_timezone(&Utc), "day": tick.day,
            "exit_code": exit_code, "runs": runs.told,
        });
        print_json(&value, global)?;
    }
    Ok(exit_code)
}

/// The tick that is meant: the one at `--at`, the one that Kubernetes started this pod for, or the last one.
fn tick(args: &Args, schedule: &Schedule) -> Option<Tick> {
    let started_for = || {
        let job = std::env::var(JOB_VARIABLE).ok()?;
        tick_of_job(schedule, &job)
    };
    let meant = args.at.is_none().then(started_for).flatten();
    meant.or_else(|| schedule.latest_tick(args.at.unwrap_or_else(Utc::now)))
}

/// The runs of one day.
struct Runs<'a> {
    workspace: &'a Workspace,
    schedule: &'a Schedule,
    args: &'a Args,
    global: &'a Global,
    day: SnapshotDate,
    told: Vec<serde_json::Value>,
}

impl<'a> Runs<'a> {
    /// Until every job is done, or has failed, or has waited long enough. Returns the exit code.
    async fn all(&mut self) -> Result<u8> {
        let patience = if self.args.no_wait { Duration::ZERO } else { self.schedule.wait.total };
        let until = Instant::now() + patience;
        let mut jobs = self.schedule.jobs.clone();
        let mut failed = None;
        while !jobs.is_empty() {
            let look = unless_stopped(self.look(&jobs), |error| error.hint(GOES_ON)).await?;
            let last = look.late.is_empty() || Instant::now() >= until;
            let now = if last { &jobs } else { &look.ready };
            if !now.is_empty() {
                let ran = self.run(now).await?;
                let settled = settled(&ran);
                jobs.retain(|job| !settled.contains(job));
                failed = failed.or_else(|| code_of(&ran, is_for_good));
                if last {
                    // What passes is tried again by the scheduler, and that try ends with what does not.
                    let passing = code_of(&ran, tried_again);
                    return Ok(passing.or(failed).unwrap_or(ran.exit_code()));
                }
            }
            if !last && !jobs.is_empty() {
                self.tell_late(&jobs).await;
                self.wait(&look.late, until).await?;
            }
        }
        Ok(failed.unwrap_or(0))
    }

    /// A table may become late while nothing runs.
    async fn tell_late(&self, jobs: &[JobName]) {
        if let Err(error) = alert::about_late(self.workspace, jobs).await {
            tracing::warn!(%error, "which tables are late cannot be told");
        }
    }

    async fn look(&self, jobs: &[JobName]) -> Result<Look> {
        let plan = self.plan(jobs)?;
        let (lake, snapshots, key) = (self.workspace.lake()?, self.workspace.snapshots()?, self.workspace.key()?);
        let key = key.as_ref().map(|key| key.fingerprint());
        let project = self.workspace.environment.bigquery.as_ref().map(|bigquery| bigquery.project.as_str());
        let previewed = preview(&plan, &Survey::new(&lake, &snapshots, key, project), false).await?;
        Ok(Look::of(&previewed))
    }

    async fn run(&mut self, jobs: &[JobName]) -> Result<RunEnd> {
        let plan = self.plan(jobs)?;
        let args = run::Args::of_a_day(self.args.memory, self.args.engine.clone());
        let limit = self.schedule.limit();
        let ran = timeout(limit, run::run_day(self.workspace, &plan, &args, None)).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Publish, format!("the run did not end within {}", duration::text(limit)))
                .with("file", self.schedule.file.display())
                .with("day", self.day)
                .hint("what is published stands, and the same command does the rest; timeout is that of one job"))
        });
        let ran = alert::unless_broken(self.workspace, self.day, ran).await?;
        match self.global.format {
            Format::Json => self.told.push(run::to_json(&plan, &ran)?),
            _ => run::tell(&plan, &ran, self.global)?,
        }
        alert::after_run(self.workspace, &plan, &ran).await;
        Ok(ran)
    }

    fn plan(&self, jobs: &[JobName]) -> Result<Plan<'a>> {
        let names: Vec<String> = jobs.iter().map(JobName::to_string).collect();
        Plan::resolve(&self.workspace.project, self.day, &names)
    }

    async fn wait(&self, late: &[String], until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let pause = self.schedule.wait.every.min(left);
        eprintln!("waiting: {}; next look in {}, patience ends in {}", late.join("; "), told(pause), told(left));
        let slept = async {
            sleep(pause).await;
            Ok(())
        };
        unless_stopped(slept, |error| error.hint("the same command waits again")).await
    }
}

/// Whole seconds, and never none.
fn told(time: Duration) -> String {
    duration::text(Duration::from_secs(time.as_secs_f64().ceil().max(1.0) as u64))
}

/// Which jobs can run, and what the others wait for.
struct Look {
    ready: Vec<JobName>,
    late: Vec<String>,
}

impl Look {
    fn of(previewed: &[Previewed<'_>]) -> Self {
        let (mut ready, mut late) = (Vec::new(), BTreeSet::new());
        for job in previewed {
            match &job.reason {
                reason if reason.is_kept() => {}
                Reason::Missing { what, .. } => {
                    late.insert(what.clone());
                }
                Reason::Behind { .. } => {
                    late.insert(format!("'{}' {}", job.planned.job.name, job.reason));
                }
                reason if reason.runs() => ready.push(job.planned.job.name.clone()),
                _ => {}
            }
        }
        Look { ready, late: late.into_iter().collect() }
    }
}

/// Whether only a person mends it.
fn is_for_good(kind: ErrorKind) -> bool {
    kind != ErrorKind::InputMissing && !tried_again(kind)
}

/// The exit code of the first failure of such a kind.
fn code_of(ran: &RunEnd, is_meant: fn(ErrorKind) -> bool) -> Option<u8> {
    ran.failures().map(Error::kind).find(|kind| is_meant(*kind)).map(ErrorKind::exit_code)
}

/// The jobs that another look does not change: done, failed for good, or skipped after one that did.
fn settled(ran: &RunEnd) -> BTreeSet<JobName> {
    let mut settled = BTreeSet::new();
    for (name, end) in &ran.jobs {
        let done = match end {
            JobEnd::Done(_) => true,
            JobEnd::Failed(error) => is_for_good(error.kind()),
            JobEnd::Skipped { because } => settled.contains(because),
        };
        if done {
            settled.insert(name.clone());
        }
    }
    settled
}
