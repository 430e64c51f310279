"""Runs the Python on standard input beside RedBeat, on the Redis whose URL is the first
argument and with the key prefix that is the second. RedBeat's entries and Celery's
schedules are at hand, and tell(…) prints its argument as JSON on a line of its own.

As a module, redbeat_shell:app with these in REDBEAT_URL and REDBEAT_PREFIX, it is
the application of a RedBeat that publishes to the same Redis."""

import json
import os
import sys
from datetime import datetime, timedelta, timezone

from celery import Celery
from celery.schedules import crontab, schedule

url = os.environ.get("REDBEAT_URL") or sys.argv[1]
prefix = os.environ.get("REDBEAT_PREFIX") or sys.argv[2]
app = Celery("probe", broker=url)
app.conf.update(
    redbeat_redis_url=url, redbeat_key_prefix=prefix, timezone="Asia/Tokyo", beat_max_loop_interval=1, redbeat_lock_timeout=20,
    broker_connection_retry_on_startup=True,
)

from dateutil.rrule import FR, MO  # noqa: E402
from redbeat import RedBeatSchedulerEntry  # noqa: E402
from redbeat.schedulers import get_redis  # noqa: E402
from redbeat.schedules import rrule  # noqa: E402


def entry(name, when, task="probe.record", **more):
    return RedBeatSchedulerEntry(name, task, when, app=app, **more).save()


def show(name):
    """What RedBeat knows of an entry."""
    found = RedBeatSchedulerEntry.from_key(prefix + name, app=app)
    last = found.last_run_at
    score = get_redis(app).zscore(prefix + ":schedule", prefix + name)
    due = found.schedule.remaining_estimate(last)
    return {"last": last, "total": found.total_run_count, "score": score, "next": None if due is None else datetime.now(timezone.utc) + due}


def tell(value):
    print(json.dumps(value, default=lambda v: v.isoformat()))


names = dict(
    entry=entry, show=show, tell=tell, app=app, crontab=crontab, schedule=schedule, rrule=rrule, MO=MO, FR=FR, redis=get_redis(app), prefix=prefix,
    RedBeatSchedulerEntry=RedBeatSchedulerEntry, datetime=datetime, timedelta=timedelta, timezone=timezone, json=json,
)
if __name__ == "__main__":
    exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)
