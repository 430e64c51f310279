"""Celery's own beat with its default scheduler."""

from beat import app, entries

app.conf.beat_schedule = entries
