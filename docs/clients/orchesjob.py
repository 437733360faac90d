"""A client of orchesjob in Python 3.8 or newer. Copy it and adapt it."""

import base64
import json
import shlex
import subprocess
import time
import uuid

RETRIED = (5, 255)  # the database is locked; ssh has lost the connection


class OrchesjobError(Exception):
    def __init__(self, code, message):
        super().__init__(f"orchesjob exits with {code}: {message}")
        self.code = code


class Orchesjob:
    """Jobs of this host, or of another one: via=["ssh", "-o", "BatchMode=yes", "db1"]."""

    def __init__(self, via=()):
        self.via = list(via)

    def words(self, *args):
        line = ["orchesjob", *args]
        return [*self.via, shlex.join(line)] if self.via else line

    def call(self, *args):
        """Returns the answer of a command. Tries again while the database is locked or the connection is broken."""
        for pause in (1, 5, 25, 0):
            done = subprocess.run(self.words(*args), stdin=subprocess.DEVNULL, capture_output=True)
            if done.returncode not in RETRIED or not pause:
                return self.read(done.returncode, done.stdout, done.stderr)
            time.sleep(pause)

    @staticmethod
    def read(code, stdout, stderr):
        if code != 0:
            raise OrchesjobError(code, stderr.decode(errors="replace").strip())
        return json.loads(stdout)

    def start(self, run_key, command, *options):
        """Starts a command, or returns the active job of the run key. The request id makes it safe to try again."""
        request = f"--request-id={uuid.uuid4()}"
        return self.call("start", f"--run-key={run_key}", request, *options, "--", *command)

    @staticmethod
    def attach_words(job_id, stdout_from=0, stderr_from=0):
        """One bounded call: it answers when there is output, when the job has ended, or after 50 seconds."""
        cursors = [f"--stdout-from={stdout_from}", f"--stderr-from={stderr_from}"]
        return ["attach", "--job-id", job_id, *cursors, "--wait", "50s", "--format", "json"]

    def follow(self, job_id):
        """Yields the job with its new output, until it has ended. With --retries, goes on with the attempt after a failed one."""
        while job_id is not None:
            job = {"stdout_next": 0, "stderr_next": 0, "complete": False}
            while not job["complete"]:
                job = self.call(*self.attach_words(job_id, job["stdout_next"], job["stderr_next"]))
                yield job
            job_id = job["retried_by_job_id"]


def output_of(job, stream):
    """The new bytes of "stdout" or "stderr"."""
    text = job[stream]
    return base64.b64decode(text) if job[f"{stream}_encoding"] == "base64" else text.encode()
