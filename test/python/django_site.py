"""A Django whose one app is django-celery-beat, on the database of a URL. The environment
may hold more of its settings as JSON, in DJANGO_MORE."""

import json
import os
import time
from urllib.parse import urlsplit

import django
import pymysql
from django.conf import settings

pymysql.version_info = (2, 2, 7, "final", 0)  # what Django asks of mysqlclient
pymysql.install_as_MySQLdb()


def setup(url, **more):
    url = urlsplit(url)
    if url.scheme == "sqlite":
        # A transaction that reads first and writes then is refused at once while another program writes, unless it
        # begins as a writer's (docs/moving.md).
        options = {"timeout": 30, **({"transaction_mode": "IMMEDIATE"} if django.VERSION >= (5, 1) else {})}
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": url.path[1:], "OPTIONS": options}
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
        **{
            "INSTALLED_APPS": ["django_celery_beat"],
            "DATABASES": {"default": database},
            "USE_TZ": True,
            "TIME_ZONE": "Asia/Tokyo",
            "CELERY_TIMEZONE": "UTC",
            **json.loads(os.environ.get("DJANGO_MORE") or "{}"),
            **more,
        }
    )
    os.environ["TZ"] = settings.TIME_ZONE  # as Django does with a module of settings, for who asks the clock of the wall
    time.tzset()
    django.setup()
    if url.scheme == "sqlite" and django.VERSION < (5, 1):
        from django.db.backends.sqlite3.base import DatabaseWrapper

        DatabaseWrapper._start_transaction_under_autocommit = lambda self: self.cursor().execute("BEGIN IMMEDIATE")
