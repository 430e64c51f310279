"""django-celery-beat on the database of BENCH_DATABASE. `python django_beat.py fill`
makes its tables and their rows."""

import json
import os
import sys
from urllib.parse import urlsplit

import django
from django.conf import settings

url = urlsplit(os.environ["BENCH_DATABASE"])
settings.configure(
    INSTALLED_APPS=["django_celery_beat"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path[1:],
            "USER": url.username or "",
            "PASSWORD": url.password or "",
            "HOST": url.hostname or "",
            "PORT": str(url.port or ""),
        }
    },
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from beat import app, entries  # noqa: E402, F401


def fill():
    from django.core.management import call_command
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    call_command("migrate", verbosity=0)
    hourly = IntervalSchedule.objects.create(every=3600, period=IntervalSchedule.SECONDS)
    rows = [
        PeriodicTask(
            name=name,
            task=entry["task"],
            interval=hourly,
            args=json.dumps(entry["args"]),
            kwargs=json.dumps(entry["kwargs"]),
            queue=entry["options"]["queue"],
            expire_seconds=entry["options"]["expires"],
            last_run_at=entry["last_run_at"],
        )
        for name, entry in entries.items()
    ]
    PeriodicTask.objects.bulk_create(rows, batch_size=1000)
    PeriodicTasks.update_changed()


if sys.argv[1:] == ["fill"]:
    fill()
