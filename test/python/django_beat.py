"""The application of a django-celery-beat: django_beat:app, on the database whose URL is
in DJANGO_DATABASE and with the broker in DJANGO_BROKER."""

import os
import sys

argv, sys.argv = sys.argv, [sys.argv[0], os.environ["DJANGO_DATABASE"]]
import django_shell  # noqa: E402,F401 sets Django up

sys.argv = argv

from celery import Celery  # noqa: E402

app = Celery("probe", broker=os.environ["DJANGO_BROKER"])
app.conf.update(timezone="UTC", beat_max_loop_interval=1, beat_sync_every=1, broker_connection_retry_on_startup=True)
