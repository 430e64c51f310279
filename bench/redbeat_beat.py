"""RedBeat on the broker's Redis, its keys after BENCH_QUEUE. `python redbeat_beat.py fill`
makes the entries."""

import os
import sys

from beat import app, entries
from celery.schedules import schedule
from redbeat.schedulers import RedBeatSchedulerEntry

app.conf.redbeat_redis_url = os.environ["BENCH_BROKER"]
app.conf.redbeat_key_prefix = os.environ["BENCH_QUEUE"] + ":"


def fill():
    for name, entry in entries.items():
        fields = {**entry, "schedule": schedule(entry["schedule"], app=app)}
        RedBeatSchedulerEntry(name=name, app=app, **fields).save()


if sys.argv[1:] == ["fill"]:
    fill()
