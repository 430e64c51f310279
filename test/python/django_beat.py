"""The Celery app of Celery's beat on django-celery-beat's tables, which are in the database
whose URL is BEAT_DATABASE. It knows tasks by name only, as onebeat does; it looks often
and writes each run down."""

import os

import django_site

django_site.setup(os.environ["BEAT_DATABASE"])

from celery import Celery  # noqa: E402

app = Celery("names", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(result_expires=None, beat_max_loop_interval=1, beat_sync_every=1, broker_connection_retry_on_startup=True)
