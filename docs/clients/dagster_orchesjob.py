"""A Dagster asset that a job makes, one for each day. Copy it, with orchesjob.py."""

from dagster import AssetExecutionContext, DailyPartitionsDefinition, Definitions, Failure, MaterializeResult, RetryPolicy, asset

from orchesjob import Orchesjob, output_of


@asset(partitions_def=DailyPartitionsDefinition("2026-05-01"), retry_policy=RetryPolicy(max_retries=5, delay=60))
def orders(context: AssetExecutionContext) -> MaterializeResult:
    client = Orchesjob()
    day = context.partition_key
    # The same key in each retry of a run: it attaches to the job that still runs, or takes the result of the one that has succeeded.
    key = f"orders-{day}-{context.run.root_run_id or context.run_id}"
    job = client.start(key, ["/usr/local/bin/load-orders.sh", day], "--if-succeeded", "return", "--timeout", "6h")
    for job in client.follow(job["job_id"]):
        for stream in ("stdout", "stderr"):
            if text := output_of(job, stream).decode(errors="replace"):
                context.log.info("%s: %s", stream, text)
    if job["status"] != "SUCCEEDED":
        raise Failure(f"job {job['job_id']} is {job['status']}", metadata={"exit_code": str(job["exit_code"])})
    return MaterializeResult(metadata={"job_id": job["job_id"]})


defs = Definitions(assets=[orders])
