//! What one column takes from others: which columns, whether unchanged, and how much of them comes through.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::contract::PiiClass;
use crate::job::InputSource;

/// A column of a snapshot or of a job's table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnId {
    pub table: InputSource,
    pub column: String,
}

impl fmt::Display for ColumnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", table_name(&self.table), self.column)
    }
}

/// Snapshots and jobs share one space of names.
pub fn table_name(table: &InputSource) -> &str {
    match table {
        InputSource::Snapshot(name) => name.as_str(),
        InputSource::Table(name) => name.as_str(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Passed through unchanged: renamed, cast, picked from rows.
    Copied,
    /// Through an expression.
    Derived,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::Copied => "copied",
            How::Derived => "derived",
        })
    }
}

const CLASSES: [PiiClass; 4] = [PiiClass::None, PiiClass::Quasi, PiiClass::Pseudonymous, PiiClass::Direct];

/// Which class is left of a value of each class, in the order of [`CLASSES`]. None rises, so that one way is followed by
/// another by looking up, and two ways side by side give the greater of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage([PiiClass; CLASSES.len()]);

impl Passage {
    /// The value itself, or what can be told from it.
    pub const WHOLE: Passage = Passage(CLASSES);
    /// No more than that there is a value.
    pub const PRESENCE: Passage = Passage([PiiClass::None; CLASSES.len()]);
    /// One number about many rows. A group may be one person, so what names a person still does.
    pub const STATISTIC: Passage = Passage([PiiClass::None, PiiClass::None, PiiClass::None, PiiClass::Direct]);

    pub fn at_most(limit: PiiClass) -> Self {
        Passage(CLASSES.map(|class| class.min(limit)))
    }

    pub fn class(self, of_source: PiiClass) -> PiiClass {
        let at = CLASSES.iter().position(|class| *class == of_source);
        at.map_or(PiiClass::Direct, |at| self.0[at])
    }

    pub fn then(self, next: Passage) -> Self {
        Passage(self.0.map(|class| next.class(class)))
    }

    pub fn or(self, other: Passage) -> Self {
        Passage(CLASSES.map(|class| self.class(class).max(other.class(class))))
    }
}

/// The way of one source column into one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    pub how: How,
    pub passage: Passage,
    /// The expressions on the way, the innermost first; of several ways, those of one that brings the most.
    pub through: Vec<Arc<str>>,
}

/// So many expressions tell the way; a reader who needs more reads the SQL.
const TOLD_STEPS: usize = 6;

impl Flow {
    fn copied() -> Self {
        Flow { how: How::Copied, passage: Passage::WHOLE, through: Vec::new() }
    }

    fn through(mut self, step: &Arc<str>, passage: Passage) -> Self {
        self.how = How::Derived;
        self.passage = self.passage.then(passage);
        if self.through.last() != Some(step) && self.through.len() < TOLD_STEPS {
            self.through.push(Arc::clone(step));
        }
        self
    }

    fn merge(&mut self, other: &Flow) {
        let both = self.passage.or(other.passage);
        if both != self.passage {
            self.through.clone_from(&other.through);
        }
        self.passage = both;
        self.how = self.how.max(other.how);
    }
}

/// All that one column takes from others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flows(BTreeMap<Arc<ColumnId>, Flow>);

impl Flows {
    pub fn of(source: ColumnId) -> Self {
        Flows(BTreeMap::from([(Arc::new(source), Flow::copied())]))
    }

    pub fn union<'a>(all: impl IntoIterator<Item = &'a Flows>) -> Self {
        let mut union = Flows::default();
        all.into_iter().for_each(|flows| union.merge(flows));
        union
    }

    pub fn merge(&mut self, other: &Flows) {
        for (source, flow) in &other.0 {
            match self.0.get_mut(source) {
                Some(own) => own.merge(flow),
                None => {
                    self.0.insert(Arc::clone(source), flow.clone());
                }
            }
        }
    }

    /// What is left after an expression that lets this much through.
    pub fn through(self, step: &str, passage: Passage) -> Self {
        let step: Arc<str> = step.into();
        self.through_each(&step, |_| passage)
    }

    /// A test or a count tells of a plain value only that it is there. Of an expression it tells what the expression
    /// asks: `nullif(email, 'ada@example.com') IS NULL` says whose it is.
    pub fn through_presence(self, step: &str, of_expressions: Passage) -> Self {
        let step: Arc<str> = step.into();
        self.through_each(&step, |flow| match flow.how {
            How::Copied => Passage::PRESENCE,
            How::Derived => of_expressions,
        })
    }

    fn through_each(self, step: &Arc<str>, passage: impl Fn(&Flow) -> Passage) -> Self {
        let passed = self.0.into_iter().map(|(source, flow)| {
            let passage = passage(&flow);
            (source, flow.through(step, passage))
        });
        Flows(passed.collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ColumnId, &Flow)> {
        self.0.iter().map(|(source, flow)| (&**source, flow))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PiiClass::*;

    #[test]
    fn ways_follow_each_other_and_lie_side_by_side() {
        let pseudonym = Passage::at_most(Pseudonymous);
        assert_eq!(pseudonym.class(Direct), Pseudonymous);
        assert_eq!(pseudonym.class(Quasi), Quasi, "nothing rises");
        assert_eq!(pseudonym.then(Passage::STATISTIC).class(Direct), None);
        assert_eq!(Passage::STATISTIC.then(pseudonym).class(Direct), Pseudonymous);
        assert_eq!(pseudonym.or(Passage::WHOLE), Passage::WHOLE);
        assert_eq!(Passage::PRESENCE.or(Passage::at_most(Quasi)).class(Direct), Quasi);
    }
}
