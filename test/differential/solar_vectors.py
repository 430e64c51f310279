"""Prints slots of Celery's solar schedules, for internal/schedule/testdata/slots/solar.txt.

    pip install celery ephem
    python test/differential/solar_vectors.py 2000 > internal/schedule/testdata/slots/solar.txt

A row is: event | latitude | longitude | after | next. Places are all over the earth, a part of
them where events fail to come on some days; instants are from 1990 to 2045. Left out are slots
at which the sun's altitude changes by less than 0.1 arcseconds in a second, or which come after a
day on which the sun came within 0.02 degrees of making the event and PyEphem's search may have
ended too early to see it.
"""
import math
import random
import sys
from datetime import datetime, timedelta, timezone

import celery
import ephem
from celery.schedules import solar

app = celery.Celery(set_as_current=True)
events = [event for event in sorted(solar._all_events)]
pick = random.Random(2026)
first, last = datetime(1990, 1, 1, tzinfo=timezone.utc), datetime(2045, 1, 1, tzinfo=timezone.utc)


def text(at):
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def altitude(place, at):
    place.date = at
    sun = ephem.Sun(place)
    return math.degrees(sun.alt), math.degrees(sun.radius)


def unsure(event, latitude, longitude, slot):
    if event == "solar_noon":
        return False
    place = ephem.Observer()
    place.lat, place.lon, place.pressure = str(latitude), str(longitude), 0
    at = ephem.Date(slot.replace(tzinfo=None))
    before, after = (altitude(place, at + seconds / 86400)[0] for seconds in (-5, 5))
    if abs(after - before) * 3600 / 10 < 0.1:
        return True
    horizon = math.degrees(ephem.degrees(solar._horizons[event]))
    for culmination in (place.previous_transit, place.previous_antitransit):
        centre, radius = altitude(place, culmination(ephem.Sun(), start=at))
        if abs(centre + (0 if solar._use_center_l[event] else radius) - horizon) < 0.02:
            return True
    return False


print(f"# event | latitude | longitude | after | next: what Celery {celery.__version__} gives with ephem {ephem.__version__}.")
print("# Printed by test/differential/solar_vectors.py.")
rows = 0
while rows < int(sys.argv[1]):
    event = events[rows % len(events)]
    latitude = round(pick.choice([pick.uniform(-60, 60), pick.uniform(45, 72) * pick.choice([-1, 1]), pick.uniform(-89.5, 89.5)]), 4)
    longitude = round(pick.uniform(-180, 180), 4)
    after = first + timedelta(seconds=pick.randrange(int((last - first).total_seconds())))
    spec = solar(event, latitude, longitude, nowfun=lambda: after, app=app)
    slot = after + spec.remaining_estimate(after)
    if unsure(event, latitude, longitude, slot):
        continue
    print(f"{event} | {latitude} | {longitude} | {text(after)} | {text(slot)}")
    rows += 1
