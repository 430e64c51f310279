"""Runs the Python on standard input in a Django whose one app is django-celery-beat,
on the database whose URL is the first argument. The models are at hand, and tell(…)
prints its argument as JSON on a line of its own."""

import json
import sys
from urllib.parse import urlsplit

import django
import pymysql
from django.conf import settings

pymysql.version_info = (2, 2, 7, "final", 0)  # what Django asks of mysqlclient
pymysql.install_as_MySQLdb()

url = urlsplit(sys.argv[1])
if url.scheme == "sqlite":
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": url.path[1:], "OPTIONS": {"timeout": 30}}
else:
    database = {
        "ENGINE": "django.db.backends." + {"postgres": "postgresql", "mysql": "mysql"}[url.scheme],
        "NAME": url.path[1:],
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "HOST": url.hostname or "",
        "PORT": str(url.port or ""),
    }

settings.configure(
    INSTALLED_APPS=["django_celery_beat"],
    DATABASES={"default": database},
    USE_TZ=True,
    TIME_ZONE="Asia/Tokyo",
    CELERY_TIMEZONE="UTC",
)
django.setup()

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


names = {
    name: globals()[name]
    for name in "ClockedSchedule CrontabSchedule IntervalSchedule PeriodicTask PeriodicTasks SolarSchedule call_command tell".split()
}
exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)
