"""A Prefect task that runs a job. Copy it, with orchesjob.py."""

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run

from orchesjob import Orchesjob, output_of


@task(retries=5, retry_delay_seconds=60)
def run_job(name, command, *options):
    client = Orchesjob()
    log = get_run_logger()
    # The same key in each retry: it attaches to the job that still runs, or takes the result of the one that has succeeded.
    key = f"{name}-{flow_run.id}"
    job = client.start(key, command, "--if-succeeded", "return", *options)
    for job in client.follow(job["job_id"]):
        for stream in ("stdout", "stderr"):
            if text := output_of(job, stream).decode(errors="replace"):
                log.info("%s: %s", stream, text)
    if job["status"] != "SUCCEEDED":
        raise RuntimeError(f"job {job['job_id']} is {job['status']}, exit code {job['exit_code']}")
    return job["job_id"]


@flow
def load_orders(day: str):
    run_job(f"orders-{day}", ["/usr/local/bin/load-orders.sh", day], "--timeout", "6h")


if __name__ == "__main__":
    load_orders("2026-05-01")
