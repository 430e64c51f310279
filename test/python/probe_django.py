"""The Celery app of probe.py for Celery's beat on django-celery-beat's tables, which are
in the database whose URL is BEAT_DATABASE."""

import os

import django_site

django_site.setup(os.environ["BEAT_DATABASE"])

from probe import app  # noqa: E402, F401
