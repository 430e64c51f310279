"""Tells onebeat, as JSON, what an application's beat_schedule holds.

It is run with the application's own Python: read.py APP. It loads the application as
`celery -A APP` does, and needs no package beside Celery.
"""

import datetime
import json
import os
import sys

answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # what the application prints is not part of the answer
sys.path.insert(0, os.getcwd())


class Uncarried(Exception):
    """What cannot be carried over, and the nearest way."""


def field(value):
    """A field of a crontab as its author wrote it."""
    if isinstance(value, (str, int)):
        return "".join(str(value).split())
    return ",".join(str(item) for item in sorted(value))


def spec(schedule, relative):
    """The spec, by the application's zone, and remarks. Relative is for lengths that are no schedule yet."""
    from celery import schedules

    kind = type(schedule)
    if isinstance(schedule, (int, float)):
        schedule, kind = schedules.schedule(float(schedule), relative), schedules.schedule
    if isinstance(schedule, datetime.timedelta):
        schedule, kind = schedules.schedule(schedule, relative), schedules.schedule
    if kind is schedules.crontab:
        parts = [schedule._orig_minute, schedule._orig_hour, schedule._orig_day_of_month,
                 schedule._orig_month_of_year, schedule._orig_day_of_week]
        remarks = ["nowfun is not carried: the zone's clocks count"] if schedule.nowfun is not None else []
        return " ".join(field(part) for part in parts), remarks
    if kind is schedules.schedule:
        seconds = schedule.run_every.total_seconds()
        if seconds < 1:
            raise Uncarried("an interval of %ss is shorter than a second: let the task do several rounds" % seconds)
        length = "%ds" % seconds if seconds == int(seconds) else "%dus" % round(seconds * 1e6)
        return "@every " + length + (" relative" if schedule.relative else ""), []
    if kind is schedules.solar:
        return "@solar %s %s %s" % (schedule.event, schedule.lat, schedule.lon), []
    raise Uncarried("a schedule of the class %s.%s: write it as a crontab, an interval, a recurrence rule, or with rules around one"
                    % (kind.__module__, kind.__qualname__))


def plain(what, value):
    """The value as JSON, as kombu writes it into a message."""
    from kombu.utils.json import dumps

    def lazy(inner):
        if callable(inner):
            raise Uncarried("%s holds something that is computed at each send: let the task compute it" % what)
        if isinstance(inner, dict):
            for item in inner.values():
                lazy(item)
        elif isinstance(inner, (list, tuple)):
            for item in inner:
                lazy(item)

    lazy(value)
    if hasattr(value, "_fun") or type(value).__name__ == "BeatLazyFunc":
        raise Uncarried("%s is computed at each send: let the task compute it" % what)
    try:
        return dumps(value)
    except Exception as error:  # of whatever the application's objects raise
        raise Uncarried("%s cannot be written as JSON (%s)" % (what, type(error).__name__)) from None


def options(given):
    """The options, with instants as text."""
    ready = {}
    for name, value in given.items():
        if isinstance(value, datetime.datetime):
            value = value.isoformat()
        elif isinstance(value, datetime.timedelta):
            value = value.total_seconds()
        ready[name] = value
    return plain("options", ready)


def entry(name, given):
    """One entry of beat_schedule."""
    if not isinstance(given, dict):
        given = {key: getattr(given, key) for key in ("task", "schedule", "args", "kwargs", "options")}
    text, remarks = spec(given["schedule"], bool(given.get("relative")))
    args = given.get("args") or ()
    return {
        "name": name, "task": given["task"], "spec": text,
        "args": plain("args", list(args) if isinstance(args, (list, tuple)) else args),
        "kwargs": plain("kwargs", given.get("kwargs") or {}),
        "options": options(given.get("options") or {}),
        "remarks": remarks,
    }


def main():
    from celery.app.utils import find_app

    app = find_app(sys.argv[1])
    app.loader.import_default_modules()
    app.finalize()
    zone = app.timezone  # as beat takes it
    found = {"zone": str(getattr(zone, "key", None) or getattr(zone, "zone", None) or zone), "entries": [], "refused": []}
    for name, given in app.conf.beat_schedule.items():
        try:
            found["entries"].append(entry(name, given))
        except Uncarried as error:
            found["refused"].append({"name": name, "reason": str(error)})
        except KeyError as error:
            found["refused"].append({"name": name, "reason": "it has no %s" % error.args[0]})
    json.dump(found, answer)
    answer.flush()


main()
