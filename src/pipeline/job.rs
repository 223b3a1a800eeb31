//! One job's way from its inputs to its published partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;

use super::Run;
use super::inputs::{Buckets, InputState, fingerprint, probe, sql_hash};
use super::made_steps::{register_steps, steps_folder};
use super::preview::due;
use super::room::Room;
use super::survey::published_run;
use crate::audit::{Audited, audit};
use crate::check::{Finding, Guarded, Report, Subject};
use crate::digest::digest;
use crate::engine::{DataFile, Joins, Model, ParquetTable, engine_error};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{self, Due, files_as_of, rows_as_of};
use crate::job::{InputSource, Job, Mode};
use crate::names::{Partition, SnapshotDate};
use crate::plan::{PlannedJob, partition_of};
use crate::publish::bigquery::Loaded;
use crate::publish::{LakeTable, Published, Slice, publish, publish_history, slice_of};
use crate::record::{self, ChangeRecord, CheckRecord, FileRecord, InputRecord, Lease, Standing, What};
use crate::sql::identifier;
use crate::stage::{Staged, run_folder, stage};
use crate::validate::{alias_of, related_name, related_sources};

/// Compressed input bytes become about this many in memory in the hash tables of joins. A guess that is too small costs a
/// second try with merge joins.
pub(super) const EXPANSION: u64 = 3;
const STAGED: &str = "__staged";
const PREVIOUS: &str = "__previous";

/// What became of a job that did not fail.
#[derive(Debug, Clone)]
pub enum Done {
    Published {
        published: Published,
        report: Report,
        input_rows: u64,
        /// In the warehouse, where there is one.
        loaded: Option<Loaded>,
        elapsed: Duration,
    },
    UpToDate {
        standing: Standing,
        loaded: Option<Loaded>,
    },
}

impl Done {
    /// Whether there was nothing to do.
    pub fn is_idle(&self) -> bool {
        matches!(self, Done::UpToDate { loaded, .. } if loaded.as_ref().is_none_or(|loaded| loaded.already))
    }
}

impl Run<'_> {
    pub(super) async fn job(&self, planned: &PlannedJob<'_>) -> Result<Done> {
        let started = Instant::now();
        let lake = self.context.lake;
        let table = &planned.job.table.name;
        let lease = record::acquire(lake, table, &planned.partition.leased(), &self.context.run_id).await?;
        self.tell(What::JobStarted {
            job: planned.job.name.clone(),
            table: table.clone(),
            partition: planned.partition.to_string(),
            fencing_token: lease.fencing_token(),
        })
        .await?;
        let done = self.under_lease(planned, &lease, started).await;
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "failed to give back the lease; it expires by itself");
        }
        done
    }

    async fn under_lease(&self, planned: &PlannedJob<'_>, lease: &Lease, started: Instant) -> Result<Done> {
        let (states, inputs) = self.find_inputs(planned).await?;
        let key = self.context.engine.options().key.as_ref().map(|key| key.fingerprint());
        let fingerprint = fingerprint(planned, &inputs, key);
        self.sweep(planned).await?;
        if let Some(standing) = self.published_from(planned, &fingerprint).await? {
            self.tell(up_to_date(planned, &standing)).await?;
            let loaded = self.loaded(planned, lease).await?;
            return Ok(Done::UpToDate { standing, loaded });
        }
        let need = needed_memory(&inputs);
        let mut room = Some(self.context.memory.room(need).await);
        let (session, staged, input_rows) = self.staged(planned, &states, inputs, fingerprint, &mut room).await?;
        let (report, audited) = self.audited(planned, &session, staged).await?;
        drop((session, room));
        self.context.work.storage().remove(&steps_folder(planned.job)).await?;
        let Some(audited) = audited else { return Err(self.refused(planned, &report).await) };
        let published = self.published(planned, audited, lease, started).await?;
        let loaded = self.loaded(planned, lease).await?;
        Ok(Done::Published { published, report, input_rows, loaded, elapsed: started.elapsed() })
    }

    async fn find_inputs(&self, planned: &PlannedJob<'_>) -> Result<(Vec<InputState>, Vec<InputRecord>)> {
        let mut states = Vec::new();
        let mut records = Vec::new();
        for input in &planned.inputs {
            let state = probe(self.context.snapshots, self.context.lake, input).await?;
            records.push(state.record(input));
            states.push(state);
        }
        Ok((states, records))
    }

    /// Why the visible partition stands, when it does.
    async fn published_from(&self, planned: &PlannedJob<'_>, fingerprint: &str) -> Result<Option<Standing>> {
        if planned.job.table.mode == Mode::History {
            let again = self.context.again(&planned.job.name);
            return Ok(match due(planned, self.context.lake, self.plan.date, fingerprint, again).await? {
                Due::Nothing { published_by } => Some(Standing { published_by, later: None }),
                Due::Apply => None,
            });
        }
        if self.context.force {
            return Ok(None);
        }
        let published = published_run(planned, self.context.lake).await?;
        Ok(published.and_then(|published| published.stands(planned, self.plan.date, fingerprint)))
    }

    /// Runs the model and stages its rows. Joins hash where their input is likely to fit, and merge where it does not.
    async fn staged<'a>(
        &'a self,
        planned: &PlannedJob<'_>,
        states: &[InputState],
        mut inputs: Vec<InputRecord>,
        fingerprint: String,
        room: &mut Option<Room<'a>>,
    ) -> Result<(SessionContext, Staged, u64)> {
        let started = Instant::now();
        let engine = self.context.engine;
        let fits = needed_memory(&inputs) <= engine.options().memory_bytes;
        let mut joins = if fits { Joins::Hash } else { Joins::Merge };
        let mut session = engine.session(joins);
        let rows = self.register(&session, planned, states, Buckets::Told).await?;
        inputs.iter_mut().zip(&rows).for_each(|(input, rows)| input.rows = *rows);
        self.tell(inputs_resolved(planned, inputs, fingerprint.clone())).await?;
        let mut staged = self.stage(planned, &session, states, &fingerprint, joins).await;
        while staged.as_ref().is_err_and(|error| error.kind() == ErrorKind::OutOfMemory) {
            if room.as_ref().is_some_and(|room| !room.is_whole()) {
                // Its own part first, or it would wait for itself.
                *room = None;
                *room = Some(self.context.memory.whole().await);
            } else if joins == Joins::Hash {
                joins = Joins::Merge;
            } else {
                break;
            }
            tracing::info!(job = %planned.job.name, ?joins, "does not fit into memory, and is made again alone");
            self.context.lake.remove(&run_folder(&planned.job.table.name, &self.context.run_id)).await?;
            session = engine.session(joins);
            self.register(&session, planned, states, Buckets::Told).await?;
            staged = self.stage(planned, &session, states, &fingerprint, joins).await;
        }
        let staged = staged.map_err(|error| told_with_inputs(error, planned, states))?;
        self.tell(staged_event(planned, &staged, started)).await?;
        Ok((session, staged, rows.iter().sum()))
    }

    async fn stage(
        &self,
        planned: &PlannedJob<'_>,
        session: &SessionContext,
        states: &[InputState],
        fingerprint: &str,
        joins: Joins,
    ) -> Result<Staged> {
        if let Some(remote) = self.context.engine.remote() {
            // Other machines do not see this one's work folder, so steps are made as often as they are read.
            return self.stage_elsewhere(remote, planned, states, fingerprint, joins).await;
        }
        let work = self.context.work.storage();
        let spilled_bytes = register_steps(session, planned.job, self.plan.date, work).await?;
        let mut staged = self.stage_here(planned, session, states, fingerprint, joins).await?;
        staged.spilled_bytes += spilled_bytes;
        Ok(staged)
    }

    /// The model runs where the session runs its queries.
    pub(super) async fn stage_here(
        &self,
        planned: &PlannedJob<'_>,
        session: &SessionContext,
        states: &[InputState],
        fingerprint: &str,
        joins: Joins,
    ) -> Result<Staged> {
        if planned.job.table.mode == Mode::History {
            let doubt = self.doubt(planned, states).await?;
            let day = history::Day {
                job: planned.job,
                date: self.plan.date,
                run: &self.context.run_id,
                engine: self.context.engine,
                lake: self.context.lake,
                work: self.context.work.storage(),
                complete: is_complete(planned, states)?,
                doubtful: doubt.with_keys,
                rejected: doubt.rejected,
                fingerprint,
            };
            return history::stage(&day, session, joins).await;
        }
        let frame = Model::of(planned.job).plan_table(session, planned.job, self.plan.date).await?;
        stage(self.context.lake, &planned.job.table, &self.context.run_id, frame).await
    }

    async fn audited(
        &self,
        planned: &PlannedJob<'_>,
        session: &SessionContext,
        staged: Staged,
    ) -> Result<(Report, Option<Audited>)> {
        let started = Instant::now();
        let (job, date) = (planned.job, self.plan.date);
        for name in [STAGED, job.name.as_str()] {
            let rows = Arc::new(self.staged_rows(job, &staged));
            session.register_table(name, rows).map_err(engine_error)?;
        }
        let previous = self.register_previous(planned, session).await?;
        let related = self.register_related(planned, session).await?;
        let target = |source: &InputSource| alias_of(job, source).or_else(|| related.get(source).cloned());
        let staged_name = identifier(STAGED);
        let key = self.context.engine.options().key.as_deref();
        let (guarded, previous) = (Guarded::Table(job), previous.as_deref());
        let subject = Subject { ctx: session, guarded, date, key, staged: &staged_name, previous, target: &target };
        let (report, audited) = audit(staged, &subject).await?;
        self.tell(What::Audited {
            job: job.name.clone(),
            checks: report.findings.iter().map(check_record).collect(),
            blocked: report.blocked(),
            elapsed_ms: started.elapsed().as_millis() as u64,
        })
        .await?;
        Ok((report, audited))
    }

    /// The rows that checks look at: those that are staged; of a history, those that will be current.
    fn staged_rows(&self, job: &Job, staged: &Staged) -> ParquetTable {
        if let Some(change) = &staged.change {
            return change.current_rows(self.context.lake, &job.table);
        }
        let file =
            |file: &crate::stage::StagedFile| DataFile { meta: file.meta.clone(), rows: file.rows(), selection: None };
        let files = staged.files.iter().map(file).collect();
        ParquetTable::new(self.context.lake.url().clone(), files, &job.table.schema())
    }

    /// The last partition that was published before this one: for a day the latest earlier day, for a whole table itself.
    async fn register_previous(&self, planned: &PlannedJob<'_>, session: &SessionContext) -> Result<Option<String>> {
        let job = planned.job;
        let Some(table) = LakeTable::open(self.context.lake, &job.table.name).await? else { return Ok(None) };
        if job.table.mode == Mode::History {
            return self.register_history_before(&table, session);
        }
        let Some(slice) = previous_slice(job, &table, &planned.partition) else { return Ok(None) };
        session.register_table(PREVIOUS, Arc::new(table.rows_of(&slice))).map_err(engine_error)?;
        Ok(Some(identifier(PREVIOUS)))
    }

    /// The rows of a history that were current before the day.
    fn register_history_before(&self, table: &LakeTable, session: &SessionContext) -> Result<Option<String>> {
        let before = self.plan.date.days_ago(1).filter(|_| table.applied().has_before(self.plan.date));
        let Some(before) = before else { return Ok(None) };
        let rows = rows_as_of(session, table.rows_in(files_as_of(table, before)), before)?;
        session.register_table(PREVIOUS, rows).map_err(engine_error)?;
        Ok(Some(identifier(PREVIOUS)))
    }

    /// Tables that only a relationship check reads, at the run's own date.
    async fn register_related(
        &self,
        planned: &PlannedJob<'_>,
        session: &SessionContext,
    ) -> Result<BTreeMap<InputSource, String>> {
        let mut related = BTreeMap::new();
        for source in related_sources(planned.job) {
            let InputSource::Table(name) = source else { continue };
            let target = &self.plan.project.jobs[name];
            let table = LakeTable::open(self.context.lake, &target.table.name).await?.ok_or_else(|| {
                Error::new(ErrorKind::InputMissing, format!("the table '{}' was never published", target.table.name))
                    .with("check of", &planned.job.name)
                    .hint(format!("run {name} first"))
            })?;
            let alias = related_name(source);
            let rows: Arc<dyn TableProvider> = match partition_of(target, self.plan.date) {
                Partition::Change(date) => rows_as_of(session, table.rows_in(files_as_of(&table, date)), date)?,
                partition => Arc::new(table.rows_of(&slice_of(&target.table, &partition))),
            };
            session.register_table(alias.as_str(), rows).map_err(engine_error)?;
            related.insert(source.clone(), identifier(&alias));
        }
        Ok(related)
    }

    async fn published(
        &self,
        planned: &PlannedJob<'_>,
        audited: Audited,
        lease: &Lease,
        started: Instant,
    ) -> Result<Published> {
        self.tell_rejected_rows(planned, lease).await?;
        let job = planned.job;
        record::crash::point("before:commit");
        let lake = self.context.lake;
        let published = match job.table.mode {
            Mode::History => publish_history(lake, &job.table, &job.description, audited, lease).await?,
            Mode::Partition | Mode::Replace => {
                publish(lake, &job.table, &job.description, &planned.partition, audited, lease).await?
            }
        };
        record::crash::point("after:commit");
        self.tell(What::Published {
            job: job.name.clone(),
            table: published.table.clone(),
            partition: planned.partition.to_string(),
            version: published.version,
            rows: published.rows,
            changes: published.changes.map(ChangeRecord::from),
            elapsed_ms: started.elapsed().as_millis() as u64,
        })
        .await?;
        Ok(published)
    }

    /// Nothing of a refused result stays but its findings.
    async fn refused(&self, planned: &PlannedJob<'_>, report: &Report) -> Error {
        if let Err(error) = self.context.lake.remove(&run_folder(&planned.job.table.name, &self.context.run_id)).await {
            tracing::warn!(%error, "failed to remove what was staged");
        }
        let blocking: Vec<&Finding> = report.blocking().collect();
        let first = blocking.first().map(|finding| format!("{}: {}", finding.name, finding.detail)).unwrap_or_default();
        let more = match blocking.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let mut error = Error::new(ErrorKind::CheckBlocked, format!("a check blocks: {first}{more}"))
            .with("table", &planned.job.table.name)
            .with("partition", planned.partition);
        if let Some(examples) =
            blocking.first().map(|finding| &finding.examples).filter(|examples| !examples.is_empty())
        {
            error = error.with("rows", examples.join("; "));
        }
        error.hint(format!("nothing was published; gatefold show {} tells all findings", self.context.run_id))
    }
}

fn needed_memory(inputs: &[InputRecord]) -> u64 {
    inputs.iter().map(|input| input.bytes).sum::<u64>().saturating_mul(EXPANSION)
}

fn previous_slice(job: &Job, table: &LakeTable, partition: &Partition) -> Option<Slice> {
    match (partition, &job.table.partition) {
        (Partition::Day(date), Some(by)) => {
            let days = table.values_of(&by.column);
            let before =
                days.iter().filter_map(|day| day.parse::<SnapshotDate>().ok()).filter(|day| day < date).max()?;
            Some(slice_of(&job.table, &Partition::Day(before)))
        }
        _ => (!table.files.is_empty() && job.table.mode == Mode::Replace).then(|| Slice(Vec::new())),
    }
}

/// The engine does not say in which file a broken value lies; the model and the days that it reads narrow it down.
fn told_with_inputs(error: Error, planned: &PlannedJob<'_>, states: &[InputState]) -> Error {
    if error.kind() != ErrorKind::InputBroken {
        return error;
    }
    let error = error.with("model", planned.job.sql_file.display());
    states.iter().fold(error, |error, state| match state {
        InputState::Snapshot(found) => error.with("reads", &found.folder),
        InputState::Table { .. } | InputState::History { .. } | InputState::Absent => error,
    })
}

/// Whether a key that is missing is gone. An input that only a check reads leaves no key out.
fn is_complete(planned: &PlannedJob<'_>, states: &[InputState]) -> Result<bool> {
    let read = planned.job.read_inputs()?;
    let mut inputs = planned.inputs.iter().zip(states).filter(|(input, _)| read.contains(&input.input.alias));
    Ok(inputs.all(|(_, state)| state.is_complete()))
}

fn up_to_date(planned: &PlannedJob<'_>, standing: &Standing) -> What {
    What::UpToDate {
        job: planned.job.name.clone(),
        table: planned.job.table.name.clone(),
        partition: planned.partition.to_string(),
        standing: standing.clone(),
    }
}

fn inputs_resolved(planned: &PlannedJob<'_>, inputs: Vec<InputRecord>, fingerprint: String) -> What {
    What::InputsResolved {
        job: planned.job.name.clone(),
        inputs,
        job_hash: digest([planned.job.text.as_str()]),
        sql_hash: sql_hash(planned.job),
        fingerprint,
    }
}

fn staged_event(planned: &PlannedJob<'_>, staged: &Staged, started: Instant) -> What {
    let file = |file: &crate::stage::StagedFile| FileRecord {
        path: file.meta.location.to_string(),
        rows: file.rows(),
        bytes: file.meta.size,
    };
    What::Staged {
        job: planned.job.name.clone(),
        files: staged.files.iter().map(file).collect(),
        rows: staged.rows(),
        bytes: staged.bytes(),
        elapsed_ms: started.elapsed().as_millis() as u64,
        peak_memory_bytes: peak_memory(),
        spilled_bytes: Some(staged.spilled_bytes),
        changes: staged.change.as_ref().map(|change| ChangeRecord::from(change.counts)),
    }
}

pub(super) fn check_record(finding: &Finding) -> CheckRecord {
    CheckRecord {
        name: finding.name.clone(),
        kind: finding.kind.to_owned(),
        severity: finding.severity,
        passed: finding.passed,
        failing_rows: finding.failing_rows,
        detail: finding.detail.clone(),
        examples: finding.examples.clone(),
    }
}

/// The most memory that this process has held so far, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
