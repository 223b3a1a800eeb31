"""Tasks that run as pods: the pod that they ask for, and what they make of how it ended. There is no cluster here."""

from __future__ import annotations

import json
import os
import tomllib
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.timezone import utcnow
from kubernetes.client import models

from sample import REPOSITORY, Sample


# Names a cluster that nobody asks for anything.
KUBE_CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {}}],
}


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """The project's own schedules with the other runner: one setting."""
    kube_config = tmp_path_factory.mktemp("cluster") / "config"
    kube_config.write_text(json.dumps(KUBE_CONFIG))
    os.environ["GATEFOLD_KUBE_CONFIG"] = str(kube_config)
    project = Sample(tmp_path_factory.mktemp("pods") / "project")
    for file in (project.root / "schedules").glob("*.toml"):
        text = file.read_text()
        assert 'runner = "local"' in text
        file.write_text(text.replace('runner = "local"', 'runner = "kubernetes"'))
    bag = DagBag(project.render())
    assert bag.import_errors == {}
    return bag


@pytest.fixture
def task(bag):
    task = bag.dags["gatefold_daily"].get_task("user_daily")
    task.date = "2026-11-20"
    task.arguments = [word.replace(task.arguments[3], task.date) for word in task.arguments]
    return task


def test_the_pod_is_the_one_that_the_schedule_describes(task):
    pod = task.build_pod_request_obj()
    (container,) = pod.spec.containers
    assert container.name == task.base_container_name
    assert container.command is None or container.command == []
    assert container.args[:4] == ["run", "user_daily", "--date", "2026-11-20"]
    assert container.args[4:6] == ["--env", "production"]
    stated = tomllib.loads((REPOSITORY / "schedules" / "daily.toml").read_text())["kubernetes"]
    assert container.image == stated["image"]
    assert (pod.metadata.namespace, pod.spec.service_account_name) == (stated["namespace"], stated["service_account"])
    assert pod.metadata.name.startswith("gatefold-user-daily-")
    assert pod.spec.restart_policy == "Never"
    key = {variable.name: variable.value_from for variable in container.env}["GATEFOLD_PSEUDONYM_KEY"]
    assert (key.secret_key_ref.name, key.secret_key_ref.key) == ("gatefold", "pseudonym.key")
    assert container.resources.requests == {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "20Gi"}
    assert container.resources.limits["memory"] == "4Gi"


def test_the_pod_may_do_nothing_that_it_need_not(task):
    pod = task.build_pod_request_obj()
    (container,) = pod.spec.containers
    assert pod.spec.security_context.run_as_non_root is True
    assert pod.spec.security_context.run_as_user > 0
    assert container.security_context.allow_privilege_escalation is False
    assert container.security_context.read_only_root_filesystem is True
    assert container.security_context.capabilities.drop == ["ALL"]
    mounted = {mount.name for mount in container.volume_mounts}
    assert mounted == {volume.name for volume in pod.spec.volumes}


def test_it_waits_as_the_local_tasks_do(task):
    assert (task.reschedule, task.timeout, task.poke_interval) == (True, 6 * 3600, 600)
    assert type(task).get_serialized_fields() >= {"reschedule", "_is_sensor"}


def ended(task, code: int | None):
    """The pod as Kubernetes tells of it when its container ended so; None when the pod was lost before that."""
    state = models.V1ContainerState(terminated=models.V1ContainerStateTerminated(exit_code=code)) if code is not None else None
    status = models.V1ContainerStatus(
        name=task.base_container_name, state=state, image="", image_id="", ready=False, restart_count=0
    )
    phase = "Succeeded" if code == 0 else "Failed"
    return models.V1Pod(
        metadata=models.V1ObjectMeta(name="gatefold-user-daily", namespace="gatefold", labels={"try_number": "1"}),
        spec=models.V1PodSpec(containers=[models.V1Container(name=task.base_container_name)]),
        status=models.V1PodStatus(phase=phase, container_statuses=[status]),
    )


class Pods:
    """In the place of Airflow's manager of pods: every pod has ended already."""

    def __init__(self, pod):
        self.pod = pod
        self.created = []

    def create_pod(self, pod):
        self.created.append(pod)
        return pod

    def await_pod_completion(self, *args, **kwargs):
        return self.pod


@pytest.fixture
def run(task, monkeypatch):
    """Runs the task's own code and the provider's around a pod that ended with an exit code."""

    def run(code: int | None):
        pods = Pods(ended(task, code))
        provider = type(task)
        monkeypatch.setattr(provider, "pod_manager", pods)
        monkeypatch.setattr(provider, "client", None)
        for step in ("await_pod_start", "await_init_containers_completion", "await_pod_completion"):
            monkeypatch.setattr(provider, step, lambda self, pod: None)
        for step in ("patch_already_checked", "process_pod_deletion", "_read_pod_events", "_read_pod_container_states"):
            monkeypatch.setattr(provider, step, lambda self, pod, **kwargs: None)
        monkeypatch.setattr(provider, "find_pod", lambda self, *args, **kwargs: pods.pod if pods.created else None)
        monkeypatch.setattr(provider, "is_istio_enabled", lambda self, pod: False)
        instance = SimpleNamespace(
            dag_id="gatefold_daily", task_id=task.task_id, run_id="scheduled", map_index=-1, try_number=1, xcom_push=lambda **kwargs: None
        )
        dag_run = SimpleNamespace(start_date=utcnow(), run_id="scheduled")
        return task.poke({"ti": instance, "task_instance": instance, "dag_run": dag_run, "dag": task.dag, "task": task, "run_id": "scheduled"}), pods

    return run


def test_a_pod_that_succeeds_is_done(run):
    done, pods = run(0)
    assert (done, len(pods.created)) == (True, 1)


def test_a_late_input_is_waited_for_with_a_new_pod_each_time(run):
    for _ in range(2):
        done, pods = run(10)
        assert (done, len(pods.created)) == (False, 1)


@pytest.mark.parametrize("code", [2, 11, 12])
def test_what_a_person_must_repair_fails_for_good(run, code):
    with pytest.raises(AirflowFailException, match=f"exit code {code}: "):
        run(code)


@pytest.mark.parametrize("code", [13, 14, 70, 137, None])
def test_what_fails_in_passing_may_be_tried_again(run, code):
    with pytest.raises(AirflowException) as raised:
        run(code)
    assert not isinstance(raised.value, AirflowFailException)
