//! One message with all that a channel is told at once: the failure at the root, and what it takes with it.

use std::collections::BTreeSet;

use super::facts::{Alert, FindingFacts, PromiseFacts, Subject};
use crate::config::AlertKind;
use crate::names::{JobName, RunId, SnapshotDate, TableName};

/// Names that a line lists.
const NAMES: usize = 12;
/// Findings that a message shows of an alert.
const FINDINGS: usize = 3;
/// Characters of one text of an error.
const TEXT: usize = 700;

#[derive(Debug)]
pub struct Message<'a> {
    pub project: &'a str,
    pub environment: &'a str,
    pub run: Option<&'a RunId>,
    /// What failed first, then what is late, then warnings.
    pub entries: Vec<Entry<'a>>,
}

#[derive(Debug)]
pub struct Entry<'a> {
    pub alert: &'a Alert,
    /// Tables that are late for the same reason.
    pub late: Vec<&'a TableName>,
}

/// A line for people: what it is about, and the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub label: &'static str,
    pub text: String,
    /// Whether it is to be typed.
    pub command: bool,
}

impl<'a> Message<'a> {
    pub fn test(project: &'a str, environment: &'a str) -> Self {
        Message { project, environment, run: None, entries: Vec::new() }
    }

    /// What is late because of another alert of the message is told with that one.
    pub(super) fn of(
        project: &'a str,
        environment: &'a str,
        run: Option<&'a RunId>,
        alerts: impl Iterator<Item = &'a Alert>,
    ) -> Self {
        let mut alerts: Vec<&Alert> = alerts.collect();
        alerts.sort_by_key(|alert| alert.kind);
        let told = |kind: AlertKind| -> BTreeSet<&JobName> {
            alerts.iter().filter(|alert| alert.kind == kind).filter_map(|alert| alert.subject.job()).collect()
        };
        let (failed, late) = (told(AlertKind::Failed), told(AlertKind::Late));
        let folded = |alert: &Alert| {
            let root = alert.root.as_ref().filter(|_| alert.kind == AlertKind::Late);
            root.filter(|root| failed.contains(root) || (late.contains(root) && alert.subject.job() != Some(*root)))
                .cloned()
        };
        let under = |root: &Alert| {
            let late = alerts.iter().filter(|alert| folded(alert).as_ref() == root.subject.job());
            late.filter(|_| root.subject.job().is_some()).filter_map(|alert| table_of(alert)).collect()
        };
        let roots = alerts.iter().filter(|alert| folded(alert).is_none());
        let entries = roots.map(|alert| Entry { alert, late: under(alert) }).collect();
        Message { project, environment, run, entries }
    }

    pub fn is_test(&self) -> bool {
        self.entries.is_empty()
    }

    /// The day that all of it is about, if it is one.
    pub fn date(&self) -> Option<SnapshotDate> {
        let mut dates = self.entries.iter().map(|entry| entry.alert.date);
        let first = dates.next()?;
        dates.all(|date| date == first).then_some(first)
    }

    /// `prod: users.user_daily failed for 2026-11-20`
    pub fn title(&self) -> String {
        if self.is_test() {
            return format!("{}: a test of the alerts of {}", self.environment, self.project);
        }
        let day = self.date().map(|date| format!(" for {date}")).unwrap_or_default();
        if let [Entry { alert, .. }] = self.entries.as_slice() {
            return format!("{}: {} {}{day}", self.environment, alert.subject, alert.kind.as_str());
        }
        let count = |kind: AlertKind| self.entries.iter().filter(|entry| entry.alert.kind == kind).count();
        let kinds = [AlertKind::Failed, AlertKind::Late, AlertKind::Warned];
        let counts = kinds.into_iter().map(|kind| (count(kind), kind.as_str())).filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, kind)| format!("{count} {kind}")).collect();
        format!("{}: {}{day}", self.environment, counts.join(", "))
    }
}

fn table_of(alert: &Alert) -> Option<&TableName> {
    match &alert.subject {
        Subject::Table { table, .. } => Some(table),
        Subject::Snapshot { .. } | Subject::Warehouse {} | Subject::Run {} => None,
    }
}

impl Entry<'_> {
    /// The alert line by line: what, why, who is worse off, whose it is, what to do.
    pub(super) fn lines(&self) -> Vec<Line> {
        let alert = self.alert;
        let line = |label, text: String| Line { label, text, command: false };
        let mut lines = Vec::new();
        lines.extend(alert.promise.as_ref().map(|promise| line("promise", promise_text(promise))));
        if let Some(error) = &alert.error {
            lines.push(line("error", format!("{} (exit {})", cut(&error.message), error.exit_code)));
            lines.extend(error.context.iter().map(|context| line(context.name, cut(&context.value))));
            lines.extend(error.hint.as_ref().map(|hint| line("hint", cut(hint))));
        }
        lines.extend(alert.findings.iter().take(FINDINGS).map(|finding| line("finding", finding_text(finding))));
        if let more @ 1.. = alert.findings.len().saturating_sub(FINDINGS) {
            lines.push(line("finding", format!("and {more} more")));
        }
        for (label, names) in self.worse_off() {
            lines.extend((!names.is_empty()).then(|| line(label, some_of(&names))));
        }
        lines.extend(alert.owner.as_ref().map(|owner| line("owner", owner.clone())));
        lines.push(line("next", alert.next.say.to_owned()));
        let commands = alert.next.commands.iter();
        lines.extend(commands.map(|command| Line { label: "", text: command.clone(), command: true }));
        lines
    }

    fn worse_off(&self) -> [(&'static str, Vec<String>); 4] {
        let impact = &self.alert.impact;
        let texts = |names: &[TableName]| names.iter().map(TableName::to_string).collect::<Vec<_>>();
        [
            ("skipped", impact.skipped.iter().map(JobName::to_string).collect()),
            ("late too", self.late.iter().map(|table| table.to_string()).collect()),
            ("read by", texts(&impact.tables)),
            ("views", texts(&impact.views)),
        ]
    }
}

fn promise_text(promise: &PromiseFacts) -> String {
    let minutes = promise.late_by_seconds / 60;
    let became = if promise.ready { "there" } else { "not there" };
    format!(
        "{}, until {}; {became} {} h {:02} min later",
        promise.promise,
        promise.deadline.format("%Y-%m-%d %H:%M UTC"),
        minutes / 60,
        minutes % 60
    )
}

fn finding_text(finding: &FindingFacts) -> String {
    let mut text = format!("{}: {}", finding.check, cut(&finding.detail));
    if !finding.examples.is_empty() {
        text += &format!(" ({})", cut(&finding.examples.join("; ")));
    }
    text
}

fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// One line of bounded length.
fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
