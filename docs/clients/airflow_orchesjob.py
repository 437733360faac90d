"""An Airflow operator that runs a job, here or on another host; with deferrable=True it needs no worker while it waits.

Copy it beside your DAGs, with orchesjob.py and orchesjob_async.py.
"""

from airflow.models import BaseOperator  # Airflow 3: from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from orchesjob import Orchesjob, output_of
from orchesjob_async import follow_async


def log_output(log, job):
    for stream in ("stdout", "stderr"):
        for line in output_of(job, stream).decode(errors="replace").splitlines():
            log.info("%s: %s", stream, line)


class OrchesjobOperator(BaseOperator):
    """Its retry attaches to the job that still runs, takes the result of the one that has succeeded, or starts a new one."""

    template_fields = ("run_key", "command")

    def __init__(self, *, run_key, command, options=(), via=(), deferrable=False, cancel_on_kill=False, **kwargs):
        super().__init__(**kwargs)
        self.run_key = run_key
        self.command = command
        self.options = list(options)
        self.via = list(via)
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill
        self.job_id = None

    def execute(self, context):
        client = Orchesjob(self.via)
        job = client.start(self.run_key, self.command, "--if-succeeded", "return", *self.options)
        self.job_id = job["job_id"]
        self.log.info("job %s is %s", self.job_id, job["status"])
        if self.deferrable:
            self.defer(trigger=OrchesjobTrigger(self.job_id, self.via), method_name="finish")
        for job in client.follow(self.job_id):
            log_output(self.log, job)
        return self.finish(context, job)

    def finish(self, context, event):
        if event["status"] != "SUCCEEDED":
            details = f"exit code {event['exit_code']}, error: {event['error']}"
            raise RuntimeError(f"job {event['job_id']} is {event['status']}: {details}")
        return event["job_id"]

    def on_kill(self):
        if self.cancel_on_kill and self.job_id is not None:
            Orchesjob(self.via).call("cancel", "--job-id", self.job_id, "--reason", "killed by Airflow")


class OrchesjobTrigger(BaseTrigger):
    """Waits in the triggerer: one process that sleeps, for each job."""

    def __init__(self, job_id, via):
        super().__init__()
        self.job_id = job_id
        self.via = via

    def serialize(self):
        return f"{type(self).__module__}.{type(self).__name__}", {"job_id": self.job_id, "via": self.via}

    async def run(self):
        async for job in follow_async(Orchesjob(self.via), self.job_id):
            log_output(self.log, job)
        yield TriggerEvent({name: job[name] for name in ("job_id", "status", "exit_code", "error")})
