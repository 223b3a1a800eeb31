//! The pod of a task, as `KubernetesPodOperator` takes it: that of the schedule's CronJob, but for what it runs.

use serde_json::json;

use super::python::value;
use crate::project::Project;
use crate::schedule::pod::object_name;
use crate::schedule::{Kubernetes, Schedule, kubernetes};

/// The constant that the operator goes by. Its arguments are those that every job has.
pub(super) fn settings(project: &Project, schedule: &Schedule, stated: &Kubernetes) -> String {
    let arguments = vec!["--env".to_owned(), stated.env.clone()];
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": stated.namespace, "labels": kubernetes::labels(&object_name(&schedule.name)) },
        "spec": kubernetes::pod(project, stated, arguments, Vec::new()),
    });
    format!("POD = {}\n", value(&pod, 0))
}
