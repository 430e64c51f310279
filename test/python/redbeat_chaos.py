"""The application of a RedBeat that is to go through chaos (test/chaos): entries of each
second and of each minute, whose names are their tasks' only argument.

    CHAOS_BROKER    the Redis that it publishes to and keeps its entries in
    CHAOS_QUEUE     the queue that its tasks go to
    CHAOS_SECONDS   how many entries there are of each second
    CHAOS_MINUTES   and of each minute
"""

import os

from celery import Celery
from celery.schedules import crontab

url = os.environ["CHAOS_BROKER"]
app = Celery("chaos", broker=url)
app.conf.update(
    redbeat_redis_url=url, task_default_queue=os.environ["CHAOS_QUEUE"], broker_connection_retry_on_startup=True,
)
for number, kind, when in (
    (int(os.environ["CHAOS_SECONDS"]), "each second", 1.0),
    (int(os.environ["CHAOS_MINUTES"]), "each minute", crontab()),
):
    for i in range(number):
        name = "%s %03d" % (kind, i)
        app.conf.beat_schedule[name] = {"task": "probe.record", "schedule": when, "args": [name]}
