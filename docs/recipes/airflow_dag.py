"""An Airflow DAG that runs a job on another host over SSH. A retry attaches to the job that still runs."""

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
        ssh_conn_id="db1",
        command="ORCHESJOB_HOME=$HOME/.local/share/orchesjob orchesjob run --run-key orders-{{ run_id }} --if-succeeded return --timeout 6h -- ./load-orders.sh {{ ds }}",
        conn_timeout=30,
        cmd_timeout=None,  # the default gives up after 10 seconds
        do_xcom_push=False,  # otherwise the whole output is stored in Airflow's database
        retries=5,
        retry_delay=timedelta(minutes=1),
    )
