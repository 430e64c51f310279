"""Prints slots of Celery's solar schedules, for internal/schedule/testdata/slots/solar.txt.

    pip install celery ephem
    python test/differential/solar_vectors.py 2000 > internal/schedule/testdata/slots/solar.txt

A row is: event | latitude | longitude | after | next. Places are all over the earth, a part of
them where events fail to come on some days; instants are from 1990 to 2045. Left out are
slots of which solar_next.py is unsure.
"""
import random
import sys
from datetime import datetime, timedelta, timezone

from celery.schedules import solar

from solar_next import slot, unsure, version

events = [event for event in sorted(solar._all_events)]
pick = random.Random(2026)
first, last = datetime(1990, 1, 1, tzinfo=timezone.utc), datetime(2045, 1, 1, tzinfo=timezone.utc)


def text(at):
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


print(f"# event | latitude | longitude | after | next: what Celery {version} gives.")
print("# Printed by test/differential/solar_vectors.py.")
rows = 0
while rows < int(sys.argv[1]):
    event = events[rows % len(events)]
    latitude = round(pick.choice([pick.uniform(-60, 60), pick.uniform(45, 72) * pick.choice([-1, 1]), pick.uniform(-89.5, 89.5)]), 4)
    longitude = round(pick.uniform(-180, 180), 4)
    after = first + timedelta(seconds=pick.randrange(int((last - first).total_seconds())))
    at = slot(event, latitude, longitude, after)
    if unsure(event, latitude, longitude, at):
        continue
    print(f"{event} | {latitude} | {longitude} | {text(after)} | {text(at)}")
    rows += 1
