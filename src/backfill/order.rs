//! In which order the partitions of a backfill are made: a run a day, and what each job waits for outside of its run.
//!
//! Whoever takes the runs in this order, however many at once, comes to an end: what a run waits for is in runs before it.
//! Days in their order have this quality as long as jobs read their own day and earlier ones. A table that is replaced as a
//! whole is made for the last day and read by all, so what it needs is done in a round of runs before the others.

use std::collections::{BTreeMap, BTreeSet};

use super::agenda::Entry;
use crate::job::Mode;
use crate::names::{JobName, Partition, SnapshotDate};
use crate::pipeline::Node;
use crate::plan::{PlannedSource, partition_of};
use crate::project::Project;

/// One run: jobs of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub date: SnapshotDate,
    pub jobs: BTreeSet<JobName>,
}

#[derive(Debug, Default)]
pub struct Order {
    pub units: Vec<Unit>,
    /// What must be made before a partition, as far as this backfill makes it.
    pub needs: BTreeMap<Node, BTreeSet<Node>>,
}

/// Of those entries that run.
pub fn order(project: &Project, entries: &[Entry<'_>]) -> Order {
    let running: Vec<&Entry<'_>> = entries.iter().filter(|entry| entry.runs()).collect();
    let dates: BTreeMap<Node, SnapshotDate> = running.iter().map(|entry| (entry.node(), entry.date)).collect();
    let mut needs = needs(project, &running, &dates);
    let rounds = rounds(&running, &dates, &needs).unwrap_or_else(|| {
        // Whole tables and days that read each other in a circle: these days read the table as they find it.
        for (node, before) in &mut needs {
            before.retain(|need| dates[need] <= dates[node]);
        }
        BTreeMap::new()
    });
    let mut units: BTreeMap<(usize, SnapshotDate), BTreeSet<JobName>> = BTreeMap::new();
    for entry in running {
        let round = rounds.get(&entry.node()).copied().unwrap_or_default();
        units.entry((round, entry.date)).or_default().insert(entry.planned.job.name.clone());
    }
    Order { units: units.into_iter().map(|((_, date), jobs)| Unit { date, jobs }).collect(), needs }
}

fn needs(
    project: &Project,
    running: &[&Entry<'_>],
    dates: &BTreeMap<Node, SnapshotDate>,
) -> BTreeMap<Node, BTreeSet<Node>> {
    let mut days_of_histories: BTreeMap<&JobName, Node> = BTreeMap::new();
    let mut needs = BTreeMap::new();
    for entry in running {
        let job = entry.planned.job;
        let read = entry.planned.inputs.iter().filter_map(|input| match &input.from {
            // As the classification does: a whole table has no earlier day.
            PlannedSource::Table { partition: Some(Partition::Whole), .. } if input.input.days_ago > 0 => None,
            PlannedSource::Table { job, partition: Some(partition) } => Some((job.name.clone(), *partition)),
            _ => None,
        });
        let after =
            entry.planned.after.iter().map(|name| (name.clone(), partition_of(&project.jobs[name], entry.date)));
        let mut before: BTreeSet<Node> = read.chain(after).filter(|node| dates.contains_key(node)).collect();
        if job.table.mode == Mode::History {
            before.extend(days_of_histories.insert(&job.name, entry.node()));
        }
        needs.insert(entry.node(), before);
    }
    needs
}

/// The round of each partition, one more than that of every later day that it needs. `None` when there is no end of it.
fn rounds(
    running: &[&Entry<'_>],
    dates: &BTreeMap<Node, SnapshotDate>,
    needs: &BTreeMap<Node, BTreeSet<Node>>,
) -> Option<BTreeMap<Node, usize>> {
    let most = running.iter().filter(|entry| entry.planned.partition == Partition::Whole).count();
    let mut rounds: BTreeMap<Node, usize> = dates.keys().map(|node| (node.clone(), 0)).collect();
    loop {
        let mut settled = true;
        for (node, date) in running.iter().map(|entry| (entry.node(), entry.date)) {
            let round_after = |need: &Node| rounds[need] + usize::from(dates[need] > date);
            let round = needs[&node].iter().map(round_after).max().unwrap_or_default();
            if round > most {
                return None;
            }
            settled &= rounds.insert(node, round) == Some(round);
        }
        if settled {
            return Some(rounds);
        }
    }
}
