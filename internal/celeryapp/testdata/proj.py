"""An application with a beat_schedule of every kind, good and bad."""

import datetime

from celery import Celery, schedules
from kombu import Exchange, Queue

print("what the application prints is not part of the answer")


class Own(schedules.schedule):
    """A schedule of the application's own."""


app = Celery("proj", broker="memory://")
app.conf.timezone = "Asia/Tokyo"
app.conf.task_default_queue = "usual"
app.conf.task_routes = {"proj.z*": "slow", "proj.sun": {"queue": "outside", "priority": 5}, "proj.*": {"queue": "mine"}}
app.conf.task_queues = [
    Queue("named"),
    Queue("mine", Exchange("mine", type="topic", durable=False), routing_key="mine.#", max_priority=9, queue_arguments={"x-queue-type": "classic"}),
]
app.conf.broker_transport_options = {
    "global_keyprefix": "ours-", "priority_steps": range(3), "socket_timeout": 5, "master_name": "main",
    "sentinel_kwargs": {"password": "of the Sentinel"}, "visibility_timeout": 3600,
}
app.conf.broker_use_ssl = {"ca_certs": "/etc/ssl/ours.pem"}


@app.task(name="proj.nightly", queue="class", time_limit=60, ignore_result=True, expires=datetime.timedelta(hours=1))
def nightly():
    """A task whose class has options of its own."""


app.conf.beat_schedule = {
    "nightly": {
        "task": "proj.nightly",
        "schedule": schedules.crontab(minute=0, hour="2, 3", day_of_week="mon-fri"),
        "args": (1, "é", {"a": None}),
        "kwargs": {"b": 2.5},
        "options": {"queue": "low", "expires": datetime.timedelta(minutes=1), "priority": 3},
    },
    "lists": {"task": "proj.lists", "schedule": schedules.crontab(minute=[30, 0], hour="*/2")},
    "number": {"task": "proj.number", "schedule": 30.0},
    "fraction": {"task": "proj.fraction", "schedule": 1.5},
    "length": {"task": "proj.length", "schedule": datetime.timedelta(hours=1), "relative": True},
    "schedule": {"task": "proj.schedule", "schedule": schedules.schedule(86400, relative=True)},
    "sun": {"task": "proj.sun", "schedule": schedules.solar("sunset", 35.6895, 139.6917)},
    "object": {"task": "proj.object", "schedule": 30, "options": {"queue": Queue("apart")}},
    "linked": {"task": "proj.linked", "schedule": 30, "options": {"link": app.signature("proj.then", args=(1,))}},
    "topic": {"task": "proj.topic", "schedule": 30, "options": {"queue": Queue("apart", Exchange("t", type="topic"), routing_key="t.#")}},
    "exchange": {"task": "proj.exchange", "schedule": 30, "options": {"exchange": Exchange("t")}},
    "own exchange": {"task": "proj.exchange", "schedule": 30, "options": {"headers": {"to": Exchange("t")}}},
    "lazy": {"task": "proj.lazy", "schedule": 5, "kwargs": {"now": lambda: 1}},
    "fast": {"task": "proj.fast", "schedule": 0.1},
    "own": {"task": "proj.own", "schedule": Own(10)},
    "timeless": {"task": "proj.timeless"},
}


@app.on_after_finalize.connect
def add_more(sender, **kwargs):
    """Entries are also added when the application is ready."""
    sender.add_periodic_task(10.0, sender.signature("proj.added", args=(7,)), name="added")
