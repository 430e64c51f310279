"""Celery's own beat with a schedule of as many entries as it is told.

All are due once an hour, and next at BENCH_SLOT: to beat, an interval whose last
run was an hour before. That is the cheapest schedule that beat has.
"""

import os
from datetime import datetime, timedelta, timezone

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
before = datetime.fromtimestamp(float(os.environ["BENCH_SLOT"]), timezone.utc) - timedelta(hours=1)
app.conf.timezone = "UTC"
app.conf.beat_schedule = {
    f"report of customer {i}": {
        "task": "bench.tasks.report",
        "schedule": 3600.0,
        "args": ["daily", i],
        "kwargs": {"schedule_id": i, "from_date": "20250729", "to_date": "20250730"},
        "options": {"queue": os.environ["BENCH_QUEUE"], "expires": 1800, "soft_time_limit": 300},
        "last_run_at": before,
    }
    for i in range(1, int(os.environ["BENCH_ENTRIES"]) + 1)
}
