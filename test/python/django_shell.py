"""Runs the Python on standard input in a Django whose one app is django-celery-beat,
on the database whose URL is the first argument. The models are at hand, and what
test/catalogs asks of any scheduler's models: see sqlalchemy_shell.py, which has the same."""

import json
import sys
from datetime import datetime, timezone

import django_site

django_site.setup(sys.argv[1])

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils.timezone import get_default_timezone, make_aware, make_naive  # noqa: E402
from django_celery_beat.models import (  # noqa: E402
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
    SolarSchedule,
)

naive_runs = not settings.USE_TZ and not getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True)


def tell(value):
    print(json.dumps(value, default=lambda v: v.isoformat()))


def make_tables():
    call_command("migrate", verbosity=0)


def at(*parts):
    """The instant of UTC as Django has it: a naive time of its zone where USE_TZ is off."""
    return local(datetime(*parts, tzinfo=timezone.utc))


def local(instant):
    if instant is None or settings.USE_TZ:
        return instant
    return make_naive(instant, get_default_timezone())


def true(value):
    """The instant that Django means, first where clocks show it twice."""
    return value if value is None or settings.USE_TZ else make_aware(value, get_default_timezone())


def as_beat(columns):
    """last_run_at as django-celery-beat has it."""
    if naive_runs and columns.get("last_run_at") is not None:
        run = make_aware(columns["last_run_at"], get_default_timezone())
        columns["last_run_at"] = run.astimezone(timezone.utc).replace(tzinfo=None)
    return columns


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
    PeriodicTask.objects.create(name=name, **{"task": "tasks.add", **as_beat(columns)})


def save(name, **columns):
    row = PeriodicTask.objects.get(name=name)
    for column, value in as_beat(columns).items():
        setattr(row, column, value)
    row.save()


def undo():
    """Ends what a save that failed has begun, as Django does by itself."""


def change(name, **columns):
    PeriodicTask.objects.filter(name=name).update(**as_beat(columns))


def show():
    def run(row):
        if naive_runs and row.last_run_at is not None:
            return row.last_run_at.replace(tzinfo=timezone.utc)
        return true(row.last_run_at)

    tell(
        {
            row.name: {"enabled": row.enabled, "runs": row.total_run_count, "last": run(row), "changed": true(row.date_changed)}
            for row in PeriodicTask.objects.all()
        }
    )


def mark(when=None):
    if when is not None:
        PeriodicTasks.objects.update_or_create(ident=1, defaults={"last_update": when})
        PeriodicTasks.objects.update(last_update=when)
    tell(true(PeriodicTasks.last_change()))


exec(compile(sys.stdin.read(), "<stdin>", "exec"), globals())
