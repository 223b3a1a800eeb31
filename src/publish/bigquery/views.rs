//! The project's views in BigQuery: proved by a dry run, replaced when their text has changed.

use std::collections::BTreeSet;

use serde_json::json;

use super::resource::TablePatch;
use super::warehouse::Warehouse;
use crate::error::{Error, Result};
use crate::names::TableName;
use crate::view::View;

/// The label that says from which text a view was made.
const LABEL: &str = "gatefold_view";

/// What became of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewEnd {
    Published,
    Unchanged,
    /// A table that it reads was never published.
    Waits {
        for_table: TableName,
    },
}

impl Warehouse {
    /// Publishes the views in their order, and says what became of each.
    ///
    /// Errors: exit 2 for a view that BigQuery does not take, with its file; 13 when the service fails.
    pub async fn publish_views(&self, views: &[View]) -> Result<Vec<(TableName, ViewEnd)>> {
        let mut ends = Vec::new();
        let mut there: BTreeSet<&TableName> = BTreeSet::new();
        for view in views {
            let end = self
                .publish_view(view, &mut there)
                .await
                .map_err(|error| error.with("view", &view.name).with("file", view.file.display()))?;
            ends.push((view.name.clone(), end));
        }
        Ok(ends)
    }

    async fn publish_view<'v>(&self, view: &'v View, there: &mut BTreeSet<&'v TableName>) -> Result<ViewEnd> {
        if self.view_is_current(view).await? {
            return Ok(ViewEnd::Unchanged);
        }
        for table in &view.reads {
            if !there.contains(table) && self.wire.table(&table.dataset, &table.table).await?.is_none() {
                return Ok(ViewEnd::Waits { for_table: table.clone() });
            }
            there.insert(table);
        }
        self.dataset(&view.name.dataset).await?;
        let refused =
            |error: Error| error.hint("mend the view's SQL; the view of before, if there is one, still stands");
        self.wire.dry_run(&view.sql).await.map_err(refused)?;
        self.wire.query(&view.sql, None).await.map_err(refused)?;
        self.describe_view(view).await?;
        Ok(ViewEnd::Published)
    }

    async fn view_is_current(&self, view: &View) -> Result<bool> {
        let Some(live) = self.wire.table(&view.name.dataset, &view.name.table).await? else { return Ok(false) };
        if live.table.r#type.as_deref() != Some("VIEW") {
            return Err(Error::project(format!("a table stands under the name of the view {}", view.name))
                .hint("rename the view, or remove the table when nobody needs it"));
        }
        let label = live.table.labels.and_then(|labels| labels.get(LABEL).cloned());
        Ok(label.as_deref() == Some(view.fingerprint().as_str()))
    }

    /// Last, so that a view whose run died before is made again.
    async fn describe_view(&self, view: &View) -> Result<()> {
        let mut labels = self.settings.labels.clone();
        labels.insert(LABEL.to_owned(), view.fingerprint());
        let body = json!({ "description": view.description, "labels": labels });
        let patch = TablePatch {
            dataset: view.name.dataset.clone(),
            table: view.name.table.clone(),
            etag: None,
            body: body.as_object().cloned().unwrap_or_default(),
        };
        self.wire.patch_table(&patch).await.map(drop)
    }
}
