"""Runs the Python on standard input in a Django whose one app is django-celery-beat,
on the database whose URL is the first argument. The models are at hand, and what
test/catalogs asks of any scheduler's models: see sqlalchemy_shell.py, which has the same."""

import json
import sys
from datetime import datetime, timezone

import django_site

django_site.setup(sys.argv[1])

from django.core.management import call_command  # noqa: E402
from django_celery_beat.models import (  # noqa: E402
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
    SolarSchedule,
)


def tell(value):
    print(json.dumps(value, default=lambda v: v.isoformat()))


def make_tables():
    call_command("migrate", verbosity=0)


def at(*parts):
    return datetime(*parts, tzinfo=timezone.utc)


def every(n, period):
    return IntervalSchedule.objects.create(every=n, period=period)


def cron(**fields):
    return CrontabSchedule.objects.create(**fields)


plain_cron = cron


def first_cron():
    return CrontabSchedule.objects.order_by("id").first()


def edit_cron(**fields):
    row = first_cron()
    for field, value in fields.items():
        setattr(row, field, value)
    row.save()


def sun(event, latitude, longitude):
    return SolarSchedule.objects.create(event=event, latitude=latitude, longitude=longitude)


def once(when):
    return ClockedSchedule.objects.create(clocked_time=when)


def task(name, **columns):
    PeriodicTask.objects.create(name=name, **{"task": "tasks.add", **columns})


def save(name, **columns):
    row = PeriodicTask.objects.get(name=name)
    for column, value in columns.items():
        setattr(row, column, value)
    row.save()


def change(name, **columns):
    PeriodicTask.objects.filter(name=name).update(**columns)


def show():
    columns = {"enabled": "enabled", "runs": "total_run_count", "last": "last_run_at", "changed": "date_changed"}
    tell({row.name: {key: getattr(row, name) for key, name in columns.items()} for row in PeriodicTask.objects.all()})


def mark(when=None):
    if when is not None:
        PeriodicTasks.objects.update_or_create(ident=1, defaults={"last_update": when})
        PeriodicTasks.objects.update(last_update=when)
    tell(PeriodicTasks.last_change())


exec(compile(sys.stdin.read(), "<stdin>", "exec"), globals())
