"""Waits for jobs with asyncio: any number of them in one thread. Needs orchesjob.py."""

import asyncio

from orchesjob import RETRIED


async def follow_async(client, job_id):
    """As client.follow: yields the job with its new output, until it and the attempts after it have ended."""
    pauses = [1, 5, 25]
    while job_id is not None:
        job = {"stdout_next": 0, "stderr_next": 0, "complete": False}
        while not job["complete"]:
            words = client.attach_words(job_id, job["stdout_next"], job["stderr_next"])
            code, stdout, stderr = await run(client.words(*words))
            if code in RETRIED and pauses:
                await asyncio.sleep(pauses.pop(0))
                continue
            job = client.read(code, stdout, stderr)
            pauses = [1, 5, 25]
            yield job
        job_id = job["retried_by_job_id"]


async def run(words):
    pipe = asyncio.subprocess.PIPE
    streams = {"stdin": asyncio.subprocess.DEVNULL, "stdout": pipe, "stderr": pipe}
    process = await asyncio.create_subprocess_exec(*words, **streams)
    try:
        stdout, stderr = await process.communicate()
        return process.returncode, stdout, stderr
    finally:
        # Nobody waits any more, for example because Airflow moves the trigger to another host.
        if process.returncode is None:
            process.kill()
            await process.wait()
