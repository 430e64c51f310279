"""Runs the Python on standard input among sqlalchemy-celery-beat's models, on the database
whose URL is the first argument, in the schema that is the second if there is one.

At hand are the models, a session, and what test/catalogs asks of any scheduler's models:

    tell(value)             prints its argument as JSON on a line of its own
    make_tables()           as the package makes them
    at(year, month, …)      an instant in UTC
    every, cron, sun, once  make a schedule and return it; plain_cron does so past all checks
    first_cron, edit_cron   return and edit the first crontab
    task(name, …)           makes a task; its schedule is interval, crontab, solar or clocked
    save(name, …)           edits a task as the models do
    undo()                  ends what a save that failed has begun
    change(name, …)         edits a task past all checks and signals
    show()                  tells all tasks' run state
    mark(when)              tells the mark of changes, and sets it before if asked to
"""

import json
import re
import sys
from datetime import datetime, timezone

import sqlalchemy
from sqlalchemy_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTaskChanged,
    SolarSchedule,
)
from sqlalchemy_celery_beat.session import SessionManager

url = re.sub("^postgres:", "postgresql+psycopg2:", re.sub("^mysql:", "mysql+pymysql:", sys.argv[1]))
schema = sys.argv[2] if len(sys.argv) > 2 else None
manager = SessionManager()
engine, Session = manager.create_session(url, schema=schema)
session = Session()


def tell(value):
    print(json.dumps(value, default=lambda v: v.isoformat()))


def make_tables():
    manager.prepare_models(engine, schema=schema)


def at(*parts):
    return datetime(*parts, tzinfo=timezone.utc)


def _kept(row):
    session.add(row)
    session.commit()
    return row


def every(n, period):
    return _kept(IntervalSchedule(every=n, period=period))


def cron(**fields):
    return _kept(CrontabSchedule(**fields))


def plain_cron(**fields):
    values = dict.fromkeys("minute hour day_of_week day_of_month month_of_year".split(), "*") | {"timezone": "UTC"} | fields
    made = session.execute(sqlalchemy.insert(CrontabSchedule).values(**values))
    session.commit()
    return session.get(CrontabSchedule, made.inserted_primary_key[0])


def first_cron():
    return session.query(CrontabSchedule).order_by(CrontabSchedule.id).first()


def edit_cron(**fields):
    row = first_cron()
    for field, value in fields.items():
        setattr(row, field, value)
    session.commit()


def sun(event, latitude, longitude):
    return _kept(SolarSchedule(event=event, latitude=latitude, longitude=longitude))


def once(when):
    return _kept(ClockedSchedule(clocked_time=when))


def task(name, interval=None, crontab=None, solar=None, clocked=None, **columns):
    _kept(PeriodicTask(name=name, schedule_model=interval or crontab or solar or clocked, **{"task": "tasks.add", **columns}))


def save(name, **columns):
    row = session.query(PeriodicTask).filter_by(name=name).one()
    row.update(**columns)
    session.commit()


def undo():
    session.rollback()


def change(name, **columns):
    session.execute(sqlalchemy.update(PeriodicTask).where(PeriodicTask.name == name).values(**columns))
    session.commit()


def _aware(value):
    """Not all databases keep zones: what has none is in UTC."""
    return value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) and value.tzinfo is None else value


def show():
    columns = {"enabled": "enabled", "runs": "total_run_count", "last": "last_run_at", "changed": "date_changed"}
    tell({row.name: {key: _aware(getattr(row, name)) for key, name in columns.items()} for row in session.query(PeriodicTask)})


def mark(when=None):
    if when is not None:
        session.merge(PeriodicTaskChanged(id=1, last_update=when))
        session.commit()
    tell(_aware(PeriodicTaskChanged.last_change(session)))


exec(compile(sys.stdin.read(), "<stdin>", "exec"), globals())
