"""The Celery app of the end-to-end tests: its tasks record that they ran, and how.

Settings come from the environment:

    CELERY_BROKER_URL, CELERY_RESULT_BACKEND   as everywhere
    PROBE_DATABASE   where to record: the path of a SQLite file, or a postgresql:// URL
    PROBE_CONFIG     more Celery settings, a JSON object; optional

Each execution is one row of the table probe_runs, written before the task
returns and never twice, though the write is tried again when the database is
busy or away. It runs on Celery 5.2 and later with any pool.
"""

import json
import os
import sqlite3
import threading
import time
import uuid

import celery
from celery import Celery
from celery.signals import task_received, worker_init

SCHEMA = """
CREATE TABLE IF NOT EXISTS probe_runs (
    execution          TEXT PRIMARY KEY,  -- a UUID for each time that a worker ran the task
    task_id            TEXT NOT NULL,
    task               TEXT NOT NULL,
    args               TEXT NOT NULL,     -- JSON
    kwargs             TEXT NOT NULL,     -- JSON
    queue              TEXT NOT NULL,     -- the routing key that the message came with
    exchange           TEXT NOT NULL,
    priority           INTEGER,
    redelivered        INTEGER,
    periodic_task_name TEXT,
    onebeat_slot       TEXT,
    eta                TEXT,
    expires            TEXT,
    timelimit          TEXT NOT NULL,     -- JSON: [hard, soft] in seconds
    request            TEXT NOT NULL,     -- JSON: all that the message's headers and properties gave
    received_at        BIGINT NOT NULL,   -- by the worker's main process, microseconds since 1970 UTC
    started_at         BIGINT NOT NULL,   -- by the task
    worker             TEXT NOT NULL,
    celery             TEXT NOT NULL      -- its version
)
"""

RETRY_FOR = 60  # seconds that a write is tried again

app = Celery("probe")
app.conf.update(
    broker_url=os.environ.get("CELERY_BROKER_URL"),
    result_backend=os.environ.get("CELERY_RESULT_BACKEND") or None,
    broker_connection_retry_on_startup=True,
)
app.conf.update(json.loads(os.environ.get("PROBE_CONFIG") or "{}"))

_local = threading.local()  # a connection for each thread of each process


def _is_postgres():
    return os.environ["PROBE_DATABASE"].startswith(("postgres://", "postgresql://"))


def _connection():
    if getattr(_local, "pid", None) != os.getpid():  # none yet, or the parent's
        database = os.environ["PROBE_DATABASE"]
        if _is_postgres():
            import psycopg2

            _local.connection = psycopg2.connect(database, connect_timeout=5)
        else:
            _local.connection = sqlite3.connect(database, timeout=30)
            _local.connection.execute("PRAGMA journal_mode=WAL")
            _local.connection.execute("PRAGMA synchronous=NORMAL")
        _local.pid = os.getpid()
    return _local.connection


def _write(*statements):
    """Carries out statements with their parameters in one transaction."""
    give_up = time.monotonic() + RETRY_FOR
    while True:
        try:
            connection = _connection()
            with connection:
                cursor = connection.cursor()
                for sql, parameters in statements:
                    cursor.execute(sql.replace("?", "%s") if _is_postgres() else sql, parameters)
            return
        except Exception:
            # The outcome may be unknown, so every statement may be repeated.
            _local.pid = None
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


@worker_init.connect
def make_table(**_):
    statements = [(SCHEMA, ())]
    if _is_postgres():
        # Two workers that make the same table at once would hinder each other.
        statements.insert(0, ("SELECT pg_advisory_xact_lock(20261123)", ()))
    _write(*statements)
    _local.connection.close()  # before the pool's processes are forked
    _local.pid = None


@task_received.connect
def note_arrival(request=None, **_):
    # What is in this dict comes to the task as an attribute of its request.
    request.request_dict["probe_received_at"] = time.time_ns() // 1000


def _text(value):
    return None if value is None else str(value)


def _json(value):
    return json.dumps(value, default=str, ensure_ascii=False)


def record(self, *args, **kwargs):
    """Records the execution of a task that was sent with any arguments."""
    started_at = time.time_ns() // 1000
    request = self.request
    delivery = request.delivery_info or {}
    told = {
        name: value
        for name, value in vars(request).items()
        if not name.startswith("_") and name not in ("args", "kwargs", "called_directly")
    }
    row = {
        "execution": str(uuid.uuid4()),
        "task_id": request.id,
        "task": self.name,
        "args": _json(args),
        "kwargs": _json(kwargs),
        "queue": delivery.get("routing_key") or "",
        "exchange": delivery.get("exchange") or "",
        "priority": delivery.get("priority"),
        "redelivered": None if delivery.get("redelivered") is None else int(delivery["redelivered"]),
        "periodic_task_name": _text(told.get("periodic_task_name")),
        "onebeat_slot": _text(told.get("onebeat_slot")),
        "eta": _text(request.eta),
        "expires": _text(request.expires),
        "timelimit": _json(request.timelimit),
        "request": _json(told),
        "received_at": told.get("probe_received_at", started_at),
        "started_at": started_at,
        "worker": request.hostname or "",
        "celery": celery.__version__,
    }
    sql = "INSERT INTO probe_runs (%s) VALUES (%s) ON CONFLICT (execution) DO NOTHING" % (
        ", ".join(row),
        ", ".join("?" for _ in row),
    )
    _write((sql, tuple(row.values())))


for task in ("probe.record", "fetch_listed_info_task"):
    app.task(record, bind=True, name=task)
