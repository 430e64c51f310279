"""An application whose workers are asked for what they know."""

import datetime
import importlib.util
import os
import uuid

from celery import Celery, schedules
from kombu import Exchange, Queue

app = Celery("live")
app.conf.broker_url = os.environ.get("CELERY_BROKER_URL")
app.conf.timezone = "Asia/Tokyo"
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = os.environ.get("LIVE_QUEUE", "usual")
app.conf.task_default_priority = 4
if "LIVE_EXCHANGES" in os.environ:
    app.conf.event_exchange = app.conf.control_exchange = os.environ["LIVE_EXCHANGES"]
app.conf.task_routes = {"live.z*": "slow", "live.sun": {"queue": "outside", "priority": 5}, "live.*": {"queue": "mine"}}
app.conf.task_queues = [
    Queue(app.conf.task_default_queue, routing_key="all.of.it"),
    Queue("mine", Exchange("mine", type="topic", durable=False, delivery_mode=1), routing_key="mine.#", max_priority=9, queue_arguments={"x-queue-type": "classic"}),
]


@app.task(name="live.nightly", queue="class", time_limit=60, ignore_result=True, expires=datetime.timedelta(days=1, hours=1), priority=2)
def nightly():
    """A task whose class has options of its own."""


@app.task(name="live.plain", rate_limit="10/m")
def plain():
    """A task whose class has no option of a message."""


@app.task(name="live.sun", soft_time_limit=1.5, serializer="yaml", expires=30)
def sun():
    """Another with options."""


app.conf.beat_schedule = {
    "nightly": {
        "task": "live.nightly",
        "schedule": schedules.crontab(minute=0, hour="2, 3", day_of_week="mon-fri", month_of_year="1-6"),
        "args": (1, "é😀", {"a": None}, 1.0, 12345678901234567890),
        "kwargs": {"b": 2.5},
        "options": {"queue": "low", "expires": datetime.timedelta(minutes=1), "priority": 3},
    },
    "lists": {"task": "live.lists", "schedule": schedules.crontab(minute=[30, 0], hour="*/2")},
    "number": {"task": "live.number", "schedule": 30.0},
    "fraction": {"task": "live.fraction", "schedule": 1.5},
    "length": {"task": "live.length", "schedule": datetime.timedelta(hours=1), "relative": True},
    "odd length": {"task": "live.length", "schedule": datetime.timedelta(days=2, seconds=5, microseconds=500000)},
    "schedule": {"task": "live.schedule", "schedule": schedules.schedule(86400)},
    "rounded": {"task": "live.schedule", "schedule": schedules.schedule(5000)},
    "lazy": {"task": "live.lazy", "schedule": 5, "kwargs": {"now": lambda: 1}},
    "object": {"task": "live.lazy", "schedule": 5, "args": [{"d": [uuid.UUID(int=1)]}]},
    "dated": {"task": "live.dated", "schedule": 5, "kwargs": {"at": datetime.datetime(2026, 1, 2, 3, 4)}},
    "hidden": {"task": "live.hidden", "schedule": 5, "kwargs": {"api_key": "of the customer"}},
    "fast": {"task": "live.fast", "schedule": 0.1},
    "timeless": {"task": "live.timeless"},
}
if importlib.util.find_spec("ephem"):  # the package that solar schedules need
    app.conf.beat_schedule["sun"] = {"task": "live.sun", "schedule": schedules.solar("sunset", 35.6895, 139.6917)}


@app.on_after_finalize.connect
def add_more(sender, **kwargs):
    """Entries are also added when the application is ready."""
    sender.add_periodic_task(10.0, sender.signature("live.added", args=(7,)), name="added")
