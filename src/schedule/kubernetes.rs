//! Manifests: a CronJob for each schedule, the service accounts that their pods are, and what the pods may talk to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use serde_json::{Value, json};

use super::pod::object_name;
use super::render::{Target, head};
use super::{FOLDER, Kubernetes, Schedule, Tick, exit_codes};
use crate::error::{Error, Result};
use crate::project::Project;
use crate::pseudonym::KEY_VARIABLE;

/// The user of the image, who owns nothing on any machine.
pub const USER: u32 = 65_532;
/// Where the image holds the project.
pub const PROJECT_FOLDER: &str = "/gatefold";
/// The variable that holds the name of the pod's job, which ends with the minute of its tick.
pub const JOB_VARIABLE: &str = "GATEFOLD_KUBERNETES_JOB";

/// No schedule has a name with '-', so these files stand beside theirs.
const ACCOUNTS: &str = "service-account.yaml";
const POLICY: &str = "network-policy.yaml";
/// Until the next tick is near, one that was missed may still start.
const STARTING_DEADLINE_SECONDS: u32 = 23 * 3_600;
/// A run that is asked to stop says where it stands; what it leaves, the next one finishes.
const GRACE_SECONDS: u32 = 30;
/// Google's server of credentials on a node, and the ports that it answers on.
const METADATA_SERVERS: [&str; 2] = ["169.254.169.252/32", "169.254.169.254/32"];
const METADATA_PORTS: [u16; 2] = [80, 988];

/// The tick that a job of the schedule was made for, by the job's name: that of the CronJob and the minutes since 1970. A job
/// that a person made has another name.
pub fn tick_of_job(schedule: &Schedule, job: &str) -> Option<Tick> {
    let minutes = job.strip_prefix(&object_name(&schedule.name))?.strip_prefix('-')?;
    let at = DateTime::from_timestamp(minutes.parse::<i64>().ok()?.checked_mul(60)?, 0)?;
    schedule.latest_tick(at).filter(|tick| tick.at == at)
}

/// All files; none when no schedule has a section `[kubernetes]`.
///
/// # Errors
/// `Project`: two schedules say different things of one service account.
pub fn render(project: &Project) -> Result<BTreeMap<PathBuf, String>> {
    let folder = Path::new(Target::Kubernetes.folder());
    let mut files = BTreeMap::new();
    for schedule in &project.schedules {
        if let Some(kubernetes) = &schedule.kubernetes {
            let source = schedule.file.display().to_string();
            let manifest = cron_job(project, schedule, kubernetes);
            files.insert(folder.join(format!("{}.yaml", schedule.name)), document(&source, &[manifest])?);
        }
    }
    if !files.is_empty() {
        let source = format!("{FOLDER}/*.toml");
        files.insert(folder.join(ACCOUNTS), document(&source, &service_accounts(project)?)?);
        files.insert(folder.join(POLICY), document(&source, &network_policies(project))?);
    }
    Ok(files)
}

fn document(source: &str, manifests: &[Value]) -> Result<String> {
    let mut text = format!("{}\n", head(source, Target::Kubernetes));
    for (place, manifest) in manifests.iter().enumerate() {
        let yaml =
            serde_saphyr::to_string(manifest).map_err(|error| Error::internal("failed to write YAML").source(error))?;
        text.push_str(if place == 0 { "" } else { "---\n" });
        text.push_str(&yaml);
    }
    Ok(text)
}

fn cron_job(project: &Project, schedule: &Schedule, kubernetes: &Kubernetes) -> Value {
    let name = object_name(&schedule.name);
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": name,
            "namespace": kubernetes.namespace,
            "labels": labels(&name),
            "annotations": { "description": schedule.description, "owner": schedule.owner },
        },
        "spec": {
            "schedule": schedule.cron.as_str(),
            "timeZone": schedule.time_zone.name(),
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": STARTING_DEADLINE_SECONDS,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 7,
            "jobTemplate": {
                "metadata": { "labels": labels(&name) },
                "spec": job(project, schedule, kubernetes, &name),
            },
        },
    })
}

fn job(project: &Project, schedule: &Schedule, kubernetes: &Kubernetes, name: &str) -> Value {
    json!({
        "backoffLimit": schedule.retries.count,
        "activeDeadlineSeconds": (schedule.wait.total + schedule.limit()).as_secs(),
        "podFailurePolicy": {
            "rules": [
                // A pod that was moved did not fail.
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
                { "action": "FailJob", "onExitCodes": { "containerName": CONTAINER, "operator": "In", "values": exit_codes(false) } },
                { "action": "Count", "onExitCodes": { "containerName": CONTAINER, "operator": "In", "values": exit_codes(true) } },
            ],
        },
        "template": {
            "metadata": { "labels": labels(name) },
            "spec": pod(project, kubernetes, schedule.command(&kubernetes.env), vec![job_variable()]),
        },
    })
}

const CONTAINER: &str = "gatefold";
const VOLUME: &str = "work";

/// A pod that runs the program with these arguments, and these variables besides those that every pod has.
pub(super) fn pod(project: &Project, kubernetes: &Kubernetes, arguments: Vec<String>, variables: Vec<Value>) -> Value {
    json!({
        "restartPolicy": "Never",
        "serviceAccountName": kubernetes.service_account,
        // Google's credentials come from the node; nothing here talks to Kubernetes.
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container(project, kubernetes, arguments, variables)],
        "volumes": [{ "name": VOLUME, "emptyDir": { "sizeLimit": kubernetes.resources.disk } }],
    })
}

fn container(
    project: &Project,
    kubernetes: &Kubernetes,
    mut arguments: Vec<String>,
    mut variables: Vec<Value>,
) -> Value {
    let resources = &kubernetes.resources;
    variables.extend(key_variable(kubernetes));
    variables.extend(kubernetes.secrets.iter().map(|(name, key)| secret_variable(name, key)));
    arguments.extend(["--memory".to_owned(), format!("{}MiB", resources.engine_memory >> 20)]);
    json!({
        "name": CONTAINER,
        "image": kubernetes.image,
        "args": arguments,
        "env": variables,
        "resources": {
            "requests": { "cpu": resources.cpu, "memory": resources.memory, "ephemeral-storage": resources.disk },
            "limits": { "memory": resources.memory },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": mounts(project, kubernetes),
    })
}

/// The job's name tells the tick. Kubernetes puts the tick itself on the job as an annotation, which its pods do not have.
fn job_variable() -> Value {
    let field = json!({ "fieldPath": "metadata.labels['batch.kubernetes.io/job-name']" });
    json!({ "name": JOB_VARIABLE, "valueFrom": { "fieldRef": field } })
}

fn key_variable(kubernetes: &Kubernetes) -> Option<Value> {
    Some(secret_variable(KEY_VARIABLE, kubernetes.pseudonym_key.as_ref()?))
}

fn secret_variable(name: &str, key: &crate::schedule::SecretKey) -> Value {
    let secret = json!({ "name": key.secret, "key": key.key });
    json!({ "name": name, "valueFrom": { "secretKeyRef": secret } })
}

/// Runs keep what passes in the work folder of their environment, or else in the temporary one.
fn mounts(project: &Project, kubernetes: &Kubernetes) -> Vec<Value> {
    let environment = project.config.environments.get(&kubernetes.env);
    let work = environment.and_then(|environment| environment.work.as_ref());
    let work = work.map(|work| match work.strip_prefix(&project.root) {
        Ok(inside) => Path::new(PROJECT_FOLDER).join(inside),
        Err(_) => work.clone(),
    });
    let folders = [Some(PathBuf::from("/tmp")), work.filter(|work| !work.starts_with("/tmp"))];
    let mount = |folder: PathBuf| json!({ "name": VOLUME, "mountPath": folder });
    folders.into_iter().flatten().map(mount).collect()
}

pub(super) fn labels(instance: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "gatefold",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": "schedule",
        "app.kubernetes.io/managed-by": "gatefold",
    })
}

/// Of what belongs to no schedule alone.
fn shared_labels() -> Value {
    json!({ "app.kubernetes.io/name": "gatefold", "app.kubernetes.io/managed-by": "gatefold" })
}

fn service_accounts(project: &Project) -> Result<Vec<Value>> {
    let mut accounts: BTreeMap<(&str, &str), (&Schedule, &Kubernetes)> = BTreeMap::new();
    for (schedule, kubernetes) in in_kubernetes(project) {
        let account = (kubernetes.namespace.as_str(), kubernetes.service_account.as_str());
        let (first, before) = accounts.entry(account).or_insert((schedule, kubernetes));
        if before.google_service_account != kubernetes.google_service_account {
            return Err(Error::project(format!(
                "two schedules differ in the google_service_account of '{}'",
                kubernetes.service_account
            ))
            .with("file", first.file.display())
            .with("file", &kubernetes.at)
            .hint("name one, or give each a service_account of its own"));
        }
    }
    let manifest = |((namespace, name), (_, kubernetes)): ((&str, &str), (&Schedule, &Kubernetes))| {
        let mut manifest = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": name, "namespace": namespace, "labels": shared_labels() },
            "automountServiceAccountToken": false,
        });
        if let Some(google) = &kubernetes.google_service_account {
            manifest["metadata"]["annotations"] = json!({ "iam.gke.io/gcp-service-account": google });
        }
        manifest
    };
    Ok(accounts.into_iter().map(manifest).collect())
}

/// Nothing talks to a pod; a pod asks for names, for credentials, and talks TLS.
fn network_policies(project: &Project) -> Vec<Value> {
    let mut namespaces: Vec<&str> =
        in_kubernetes(project).map(|(_, kubernetes)| kubernetes.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let port = |protocol: &str, port: u16| json!({ "protocol": protocol, "port": port });
    let metadata = METADATA_SERVERS.map(|cidr| json!({ "ipBlock": { "cidr": cidr } }));
    let egress = json!([
        { "ports": [port("UDP", 53), port("TCP", 53)] },
        { "ports": [port("TCP", 443)] },
        { "to": metadata, "ports": METADATA_PORTS.map(|number| port("TCP", number)) },
    ]);
    let manifest = |namespace: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": "gatefold", "namespace": namespace, "labels": shared_labels() },
            "spec": {
                "podSelector": { "matchLabels": { "app.kubernetes.io/name": "gatefold" } },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [],
                "egress": egress,
            },
        })
    };
    namespaces.into_iter().map(manifest).collect()
}

fn in_kubernetes(project: &Project) -> impl Iterator<Item = (&Schedule, &Kubernetes)> {
    project.schedules.iter().filter_map(|schedule| Some((schedule, schedule.kubernetes.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{edited_own, own};
    use super::super::tried_again;
    use super::*;
    use crate::error::ErrorKind;

    fn manifest(edits: &[(&str, &str)]) -> Value {
        let schedule = edited_own(edits);
        cron_job(&own(), &schedule, schedule.kubernetes.as_ref().unwrap())
    }

    #[test]
    fn every_exit_code_is_in_one_rule_of_the_failure_policy() {
        let manifest = manifest(&[]);
        let rules = manifest["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"].as_array().unwrap().clone();
        for kind in ErrorKind::ALL {
            let has = |rule: &&Value| {
                let values = rule["onExitCodes"]["values"].as_array();
                values.is_some_and(|values| values.contains(&Value::from(kind.exit_code())))
            };
            let actions: Vec<&Value> = rules.iter().filter(has).map(|rule| &rule["action"]).collect();
            assert_eq!(actions, [if tried_again(kind) { "Count" } else { "FailJob" }], "{kind:?}");
        }
        // Zero in a list, or a list out of order, is refused by Kubernetes and by no schema of it.
        for again in [true, false] {
            let codes = exit_codes(again);
            assert!(codes.is_sorted() && !codes.contains(&0), "{codes:?}");
        }
    }

    #[test]
    fn a_job_has_time_for_its_waiting_and_all_its_jobs() {
        let manifest = manifest(&[("\"6h\"", "\"1h\""), ("\"2h\"", "\"10m\""), ("count = 3", "count = 1")]);
        let job = &manifest["spec"]["jobTemplate"]["spec"];
        assert_eq!(job["activeDeadlineSeconds"], 3_600 + 10 * 600);
        assert_eq!(job["backoffLimit"], 1);
    }

    #[test]
    fn a_pod_has_the_work_folder_of_its_environment() {
        let mut project = own();
        let folders = |project: &Project| {
            let schedule = project.schedule("daily").unwrap();
            let mounts = mounts(project, schedule.kubernetes.as_ref().unwrap());
            mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(folders(&project), ["/tmp"]);
        let inside = project.root.join("scratch");
        project.config.environments.get_mut("production").unwrap().work = Some(inside);
        assert_eq!(folders(&project), ["/tmp", "/gatefold/scratch"]);
        project.config.environments.get_mut("production").unwrap().work = Some("/work".into());
        assert_eq!(folders(&project), ["/tmp", "/work"]);
    }

    #[test]
    fn one_service_account_is_one_of_googles() {
        let mut project = own();
        let mut other = project.schedules[0].clone();
        project.schedules.push(other.clone());
        assert_eq!(service_accounts(&project).unwrap().len(), 1);
        other.kubernetes.as_mut().unwrap().google_service_account = None;
        project.schedules[1] = other;
        let error = service_accounts(&project).unwrap_err().to_string();
        assert!(error.starts_with("two schedules differ in the google_service_account of 'gatefold'"), "{error}");
    }
}
