//! Which jobs a command is about: the same words for every one that takes names.

use super::complete;
use crate::error::Result;
use crate::names::JobName;
use crate::project::Project;

#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selection {
    /// Jobs: `name` or `dataset.table`, `tag:users`, `+name` with what it reads, `name+` with what reads it. All when
    /// none is given.
    #[arg(value_name = "SELECTOR", add = complete::selectors())]
    pub selectors: Vec<String>,
    /// Leave these out; once for each selector.
    #[arg(long, value_name = "SELECTOR", add = complete::selectors())]
    pub exclude: Vec<String>,
}

impl Selection {
    /// As [`Project::select`] takes them.
    pub fn words(&self) -> Vec<String> {
        let excluded = self.exclude.iter().map(|selector| format!("!{selector}"));
        self.selectors.iter().cloned().chain(excluded).collect()
    }

    /// As they were typed, to be typed again.
    pub fn typed(&self) -> Vec<String> {
        let excluded = self.exclude.iter().map(|selector| format!("--exclude {selector}"));
        self.selectors.iter().cloned().chain(excluded).collect()
    }

    pub fn is_all(&self) -> bool {
        self.selectors.is_empty() && self.exclude.is_empty()
    }

    /// # Errors
    /// `Project`: a selector names nothing, or none is left.
    pub fn jobs(&self, project: &Project) -> Result<Vec<JobName>> {
        project.select(&self.words())
    }
}
