"""An Airflow DAG that runs a job on one of two hosts over SSH. They are in a fleet, so each retry may go to the other host."""

from datetime import timedelta

import pendulum
from airflow import DAG  # Airflow 3: from airflow.sdk import DAG
from airflow.providers.ssh.operators.ssh import SSHOperator

with DAG(
    "orders",
    schedule="0 2 * * *",
    start_date=pendulum.datetime(2026, 5, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
):
    SSHOperator(
        task_id="load_orders",
        ssh_conn_id="orders",  # the user and the key; the host is the one below
        remote_host="{{ ['web-1', 'web-2'][(task_instance.try_number - 1) % 2] }}",
        # If a host is cut off, its job is ended, and after two leases the other host may run it.
        command="ORCHESJOB_HOME=$HOME/.local/share/orchesjob orchesjob run --run-key orders-{{ run_id }} --if-succeeded return --on-partition stop --timeout 6h -- ./load-orders.sh {{ ds }}",
        conn_timeout=30,
        cmd_timeout=None,  # the default gives up after 10 seconds
        do_xcom_push=False,  # otherwise the whole output is stored in Airflow's database
        retries=5,
        retry_delay=timedelta(minutes=1),
    )
