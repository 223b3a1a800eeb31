//! From `schedules/<name>.toml` as written to a [`Schedule`] that fits the project: jobs that exist, a tick that comes, a promise
//! that can be kept.

use chrono::Utc;
use chrono_tz::Tz;

use super::raw::{RawCrontab, RawDate, RawRetries, RawRunner, RawSchedule, RawWait};
use super::{Airflow, Cron, Crontab, FOLDER, Kubernetes, Retries, Runner, Schedule, Tick, Wait, duration};
use crate::contract::{distinct, not_blank};
use crate::error::{Error, Result, did_you_mean};
use crate::names::{JobName, ScheduleName, SnapshotDate};
use crate::project::Project;
use crate::toml_file::{At, TomlFile, files_of};

const RETRIES: u32 = 3;
/// More tries than this are no retries but a loop.
const MOST_RETRIES: u32 = 100;
const RETRY_WAIT: &str = "5m";
const WAIT_FOR: &str = "6h";
const WAIT_EVERY: &str = "10m";
/// Where the program lies on a machine with a crontab.
const PROGRAM: &str = "/usr/local/bin/gatefold";
const TIMEOUT: &str = "2h";

/// Reads every schedule of a project whose jobs are there.
///
/// # Errors
/// `Project`: the first thing found wrong, with its place and what to do.
pub(crate) fn load(project: &Project) -> Result<Vec<Schedule>> {
    let mut schedules: Vec<Schedule> = Vec::new();
    for (stem, path) in files_of(&project.root, FOLDER, "toml")? {
        let name = ScheduleName::new(stem).map_err(|error| error.with("file", path.display()))?;
        let schedule = one(project, name, &TomlFile::read(&project.root, &path)?)?;
        refuse_shared_tables(project, &schedules, &schedule)?;
        schedules.push(schedule);
    }
    Ok(schedules)
}

pub(super) fn one(project: &Project, name: ScheduleName, file: &TomlFile) -> Result<Schedule> {
    let raw: RawSchedule = file.parse()?;
    let schedule = Reader { file, project }.read(name, &raw)?;
    refuse_broken_promises(project, &schedule, file, &raw)?;
    Ok(schedule)
}

/// Two runs of one table wait for each other's lease, and the second finds everything done by chance only.
fn refuse_shared_tables(project: &Project, others: &[Schedule], schedule: &Schedule) -> Result<()> {
    for other in others {
        if let Some(job) = schedule.jobs.iter().find(|job| other.jobs.contains(job)) {
            return Err(Error::project(format!("two schedules write {}", project.jobs[job].table.name))
                .with("file", &other.jobs_at)
                .with("file", &schedule.jobs_at)
                .hint(format!("leave '{job}' out of one of them")));
        }
    }
    Ok(())
}

struct Reader<'a> {
    file: &'a TomlFile,
    project: &'a Project,
}

impl Reader<'_> {
    fn read(&self, name: ScheduleName, raw: &RawSchedule) -> Result<Schedule> {
        let file = self.file;
        let env = self.env(raw.env.as_ref())?;
        let kubernetes =
            raw.kubernetes.as_ref().map(|raw| Kubernetes::read(file, raw, &name, &env, &self.project.config));
        Ok(Schedule {
            name,
            description: not_blank(file, &raw.description)?,
            owner: not_blank(file, &raw.owner)?,
            cron: file.locate(raw.cron.span(), Cron::parse(&raw.cron))?,
            time_zone: raw.time_zone.as_ref().map_or(Ok(Tz::UTC), |zone| self.time_zone(zone))?,
            jobs: self.jobs(&raw.jobs)?,
            jobs_at: file.location(raw.jobs.span()),
            selectors: raw.jobs.iter().map(At::to_string).collect(),
            start: self.date(&raw.start)?,
            env,
            catch_up: raw.catch_up,
            retries: self.retries(raw.retries.as_ref())?,
            wait: self.wait(raw.wait.as_ref())?,
            timeout: self.duration(raw.timeout.as_ref(), TIMEOUT)?,
            promise: raw.promise.as_ref().map(|promise| promise.read(file)).transpose()?,
            airflow: Airflow { runner: self.runner(raw)? },
            kubernetes: kubernetes.transpose()?,
            crontab: raw.crontab.as_ref().map(|crontab| self.crontab(crontab)).transpose()?,
            file: file.path.clone(),
        })
    }

    fn time_zone(&self, text: &At<String>) -> Result<Tz> {
        text.parse().map_err(|_| {
            let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            self.file.error(text.span(), format!("there is no time zone '{text}'")).hint(
                did_you_mean(text, names).unwrap_or_else(|| "write an IANA name: \"Europe/Oslo\", \"UTC\"".into()),
            )
        })
    }

    fn jobs(&self, selectors: &At<Vec<At<String>>>) -> Result<Vec<JobName>> {
        if selectors.is_empty() {
            return Err(self
                .file
                .error(selectors.span(), "the schedule runs no job")
                .hint("name jobs or a tag: [\"tag:daily\"]"));
        }
        distinct(self.file, selectors.iter())?;
        for selector in selectors.iter() {
            // Each alone, so that the error points at the one that names nothing.
            self.file.locate(selector.span(), self.project.select(&[selector.to_string()]))?;
        }
        self.project.select(&selectors.iter().map(At::to_string).collect::<Vec<_>>())
    }

    fn date(&self, date: &At<RawDate>) -> Result<SnapshotDate> {
        let text = date.0.to_string();
        self.file.locate(date.span(), text.parse())
    }

    fn env(&self, env: Option<&At<String>>) -> Result<String> {
        let Some(env) = env else { return Ok(self.project.config.default_env.clone()) };
        let environment = self.file.locate(env.span(), self.project.config.environment(Some(env)))?;
        Ok(environment.name.clone())
    }

    fn duration(&self, text: Option<&At<String>>, unless_stated: &str) -> Result<std::time::Duration> {
        match text {
            Some(text) => self.file.locate(text.span(), duration::parse(text)),
            None => duration::parse(unless_stated),
        }
    }

    fn retries(&self, raw: Option<&RawRetries>) -> Result<Retries> {
        let count = raw.and_then(|raw| raw.count.as_ref());
        if let Some(count) = count.filter(|count| ***count > MOST_RETRIES) {
            return Err(self
                .file
                .error(count.span(), format!("{count} retries are more than {MOST_RETRIES}"))
                .hint("a run that failed so often needs a person"));
        }
        let wait = self.duration(raw.and_then(|raw| raw.wait.as_ref()), RETRY_WAIT)?;
        Ok(Retries { count: count.map_or(RETRIES, |count| **count), wait })
    }

    fn wait(&self, raw: Option<&RawWait>) -> Result<Wait> {
        let every = raw.and_then(|raw| raw.every.as_ref());
        let wait = Wait {
            total: self.duration(raw.and_then(|raw| raw.total.as_ref()), WAIT_FOR)?,
            every: self.duration(every, WAIT_EVERY)?,
        };
        match every {
            Some(every) if wait.every > wait.total => Err(self
                .file
                .error(
                    every.span(),
                    format!("between two looks lie {every}, and it waits for {}", duration::text(wait.total)),
                )
                .hint("look more often, or wait longer")),
            _ => Ok(Wait { every: wait.every.min(wait.total), ..wait }),
        }
    }

    fn runner(&self, raw: &RawSchedule) -> Result<Runner> {
        match &raw.airflow.runner {
            Some(runner) if **runner == RawRunner::Kubernetes && raw.kubernetes.is_none() => Err(self
                .file
                .error(runner.span(), "nothing says how pods run")
                .hint("add the section [kubernetes] with namespace, image, service_account and resources")),
            Some(runner) if **runner == RawRunner::Kubernetes => Ok(Runner::Kubernetes),
            _ => Ok(Runner::Local),
        }
    }

    fn crontab(&self, raw: &RawCrontab) -> Result<Crontab> {
        let program = raw.program.as_ref().map(|program| self.absolute(program)).transpose()?;
        Ok(Crontab { project: self.absolute(&raw.project)?, program: program.unwrap_or_else(|| PROGRAM.to_owned()) })
    }

    /// In a crontab '%' ends a command, and what the shell reads is not what is written.
    fn absolute(&self, path: &At<String>) -> Result<String> {
        let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        if plain && path.starts_with('/') {
            return Ok(path.to_string());
        }
        Err(self
            .file
            .error(path.span(), format!("'{path}' is no path for a crontab"))
            .hint("write it from the root on, of letters, digits, '/', '.', '_' and '-': \"/srv/gatefold\""))
    }
}

/// A table cannot be there before its job starts: a promise that the schedule itself breaks would be an alert every day. A year
/// of ticks is looked at, because clocks change.
fn refuse_broken_promises(project: &Project, schedule: &Schedule, file: &TomlFile, raw: &RawSchedule) -> Result<()> {
    let a_year = |tick: &Tick| (tick.day.date() - schedule.start.date()).num_days() < 366;
    for tick in schedule.ticks_after(schedule.start.begin()).take_while(a_year) {
        let jobs = schedule.jobs.iter().map(|name| &project.jobs[name]);
        let promised = jobs.filter_map(|job| {
            let promise = job.promise.as_ref().or(schedule.promise.as_ref())?;
            let deadline = promise.pledges(tick.day).into_iter().map(|pledge| pledge.deadline).min()?;
            Some((deadline, job))
        });
        let Some((deadline, job)) = promised.min_by_key(|(deadline, _)| *deadline) else { continue };
        if tick.at >= deadline {
            return Err(file
                .error(raw.cron.span(), format!("the promise of {} cannot be kept", job.table.name))
                .with("promise", format!("{} for the day {}", deadline.format("%Y-%m-%d %H:%M UTC"), tick.day))
                .with("starts", tick.at.with_timezone(&Utc).format("%Y-%m-%d %H:%M UTC"))
                .with("stated in", if job.promise.is_some() { &job.file } else { &schedule.file }.display())
                .hint("start earlier, or promise a later hour"));
        }
    }
    Ok(())
}
