CONTAINER = POD["spec"]["containers"][0]


class GatefoldJob(KubernetesPodOperator, GatefoldTask):
    """Runs gatefold in a pod, which has the program and the project in its image. How to reach the cluster is a setting:

    GATEFOLD_KUBE_CONFIG   a file; Composer's own unless set, and that of Airflow's connection `kubernetes_default` when empty
    """

    template_fields = (*KubernetesPodOperator.template_fields, *GatefoldTask.template_fields)

    exit_code: int | None = None

    def __init__(self, *, task_id: str, **kwargs):
        super().__init__(
            task_id=task_id,
            name=f"gatefold-{task_id}".replace("_", "-").rstrip("-"),
            namespace=POD["metadata"]["namespace"],
            config_file=os.environ.get("GATEFOLD_KUBE_CONFIG", "/home/airflow/composer_kube_config") or None,
            pod_template_dict=POD,
            base_container_name=CONTAINER["name"],
            arguments=["run", task_id, "--date", DATE, *CONTAINER["args"]],
            # A node for the pod may first have to be started.
            startup_timeout_seconds=600,
            **kwargs,
        )

    def execute(self, context):
        """The loop of a sensor, which looks by running a pod."""
        return GatefoldTask.execute(self, context)

    def run_gatefold(self, context) -> int:
        # Every look is a pod of its own.
        self.pod = self.remote_pod = self.pod_request_obj = self.exit_code = None
        try:
            self.execute_sync(context)
        except AirflowException:
            # A pod that never ran, or was lost, has no exit code; the next try starts another.
            if self.exit_code is None:
                raise
        return self.exit_code or 0

    def post_complete_action(self, *, remote_pod, **kwargs):
        """Remembers what the container said before Airflow cleans up, which raises the same error for every exit code."""
        self.exit_code = exit_code_of(remote_pod, self.base_container_name)
        super().post_complete_action(remote_pod=remote_pod, **kwargs)


def exit_code_of(pod, container: str) -> int | None:
    """None while the container has not ended, or nobody knows how."""
    statuses = (pod.status.container_statuses if pod and pod.status else None) or []
    ended = next((status.state.terminated for status in statuses if status.name == container and status.state), None)
    return ended.exit_code if ended else None
