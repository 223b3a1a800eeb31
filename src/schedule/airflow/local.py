class GatefoldJob(GatefoldTask):
    """Runs gatefold on the worker. Where it lies is a setting of the worker, never of this file:

    GATEFOLD_BINARY    the program; `gatefold` on the PATH unless set
    GATEFOLD_PROJECT   the folder of gatefold.toml; Composer's shared folder of data unless set
    GATEFOLD_ENV       the environment of gatefold.toml; what the schedule says unless set
    """

    # Longer than gatefold needs to end a step and give back its lease.
    GRACE_SECONDS = 30

    process: subprocess.Popen | None = None

    def run_gatefold(self, context) -> int:
        command = self.command()
        self.log.info("%s", shlex.join(command))
        # A session of its own: Airflow signals its whole process group besides calling on_kill, and one signal is enough. When
        # Airflow itself is killed, gatefold ends its run, and the next try finds it done or its lease held.
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "NO_COLOR": "1"},
            start_new_session=True,
        )
        try:
            for line in self.process.stdout:
                self.log.info("%s", line.rstrip())
            return self.process.wait()
        finally:
            self.stop()

    def command(self) -> list[str]:
        binary = os.environ.get("GATEFOLD_BINARY", "gatefold")
        project = os.environ.get("GATEFOLD_PROJECT", "/home/airflow/gcs/data/gatefold")
        environment = os.environ.get("GATEFOLD_ENV", ENVIRONMENT)
        command = [binary, "run", self.task_id, "--date", self.date, "--project", project]
        return command + (["--env", environment] if environment else [])

    def on_kill(self):
        """Runs inside of a signal handler, and must not wait there: run_gatefold does, for the end of the output."""
        if self.process is not None:
            self.process.terminate()

    def stop(self):
        """Leaves no process behind when the wait for it ended early, as it does at the execution timeout."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=self.GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
