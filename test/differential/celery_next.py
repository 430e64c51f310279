"""Answers questions about Celery's crontabs with the installed Celery: a JSON line in, a JSON line out.

{"fields": [minute, hour, day of month, month, day of week], "zone": "Asia/Tokyo", "after": [Unix seconds, ...]}
    -> {"next": [Unix seconds, ...]}, the slots after each with Celery's clock standing there, or {"error": "..."}
{"every": 90.0, "zone": "Asia/Tokyo", "after": [Unix seconds, ...]}
    -> {"next": [[Unix seconds, ...], ...]}, of an interval that is relative: the five slots that follow on each of
       these and on one another, as if each was sent in time
{"texts": ["*/5", ...], "size": 60, "first": 0}
    -> {"sets": [[0, 5, ...], null, ...]}, what a field with these values reads; null where it refuses
{"zones": true}
    -> {"zones": "2026.6"}, the version of the zone data
{"characters": true}
    -> {"classes": "..."}, a letter for each code point: see classes
"""
import importlib.metadata
import json
import re
import sys
import unicodedata
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import celery
from celery.schedules import crontab, schedule

app = celery.Celery(set_as_current=True)


def slots(fields, zone, after):
    minute, hour, day_of_month, month, day_of_week = fields
    clock = None
    spec = crontab(minute, hour, day_of_week, day_of_month, month, nowfun=lambda: clock, app=app)
    spec.tz = ZoneInfo(zone)
    found = []
    for second in after:
        clock = datetime.fromtimestamp(second, timezone.utc).astimezone(spec.tz)
        found.append(second + spec.remaining_estimate(clock).total_seconds())
    return found


def intervals(every, zone, after):
    found = []
    for second in after:
        slots = []
        for _ in range(5):
            clock = datetime.fromtimestamp(second, timezone.utc).astimezone(ZoneInfo(zone))
            spec = schedule(every, relative=True, nowfun=lambda: clock, app=app)
            spec.tz = clock.tzinfo
            second += spec.remaining_estimate(clock).total_seconds()
            slots.append(second)
        found.append(slots)
    return found


def values(text, size, first):
    try:
        return sorted(crontab._expand_cronspec(text, size, first))
    except Exception:
        return None


def classes():
    """0-9: a decimal digit; w: another character of a word; s: a blank around numbers; -: none of these; n: not assigned."""
    word = re.compile(r"\w")

    def number(text):
        try:
            return int(text)
        except ValueError:
            return None

    def class_of(code):
        character = chr(code)
        if unicodedata.category(character) in ("Cn", "Cs"):
            return "n"
        if number(character) is not None:
            return str(number(character))
        if number(character + "5" + character) == 5:
            return "s"
        return "w" if word.match(character) else "-"

    return "".join(map(class_of, range(sys.maxunicode + 1)))


def answer(question):
    if "characters" in question:
        return {"classes": classes()}
    if "zones" in question:
        return {"zones": importlib.metadata.version("tzdata")}
    if "every" in question:
        return {"next": intervals(question["every"], question["zone"], question["after"])}
    if "texts" in question:
        return {"sets": [values(text, question["size"], question["first"]) for text in question["texts"]]}
    try:
        return {"next": slots(question["fields"], question["zone"], question["after"])}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({"version": celery.__version__}), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
