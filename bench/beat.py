"""Celery's own beat with a schedule of as many entries as it is told.

All are due once an hour, and next at BENCH_SLOT: to beat, an interval whose last
run was an hour before. That is the cheapest schedule that beat has.
`python beat.py remove` takes away all that is in Redis in the name of BENCH_QUEUE.
"""

import os
import sys
from datetime import datetime, timedelta, timezone

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.timezone = "UTC"
before = datetime.fromtimestamp(float(os.environ["BENCH_SLOT"]), timezone.utc) - timedelta(hours=1)
entries = {
    f"report of customer {i}": {
        "task": "bench.tasks.report",
        "schedule": 3600.0,
        "args": ["daily", i],
        "kwargs": {"schedule_id": i, "from_date": "20250729", "to_date": "20250730"},
        "options": {"queue": os.environ["BENCH_QUEUE"], "expires": 1800, "soft_time_limit": 300},
        "last_run_at": before,
    }
    for i in range(int(os.environ["BENCH_ENTRIES"]))
}

if __name__ == "__main__" and sys.argv[1:] == ["remove"]:
    from redis import Redis

    redis = Redis.from_url(os.environ["BENCH_BROKER"])
    for key in redis.scan_iter("*" + os.environ["BENCH_QUEUE"] + "*", count=1000):
        redis.unlink(key)
