"""Answers questions about Celery's solar schedules with the installed Celery and PyEphem: a JSON line in, a JSON line out.

{"event": "sunset", "lat": 35.6895, "lon": 139.6917, "after": Unix seconds}
    -> {"next": Unix seconds, "crossing": Unix seconds, "rate": 12.5, "unsure": false}, or {"next": null}
{"event": "sunset", "lat": 35.6895, "lon": 139.6917, "near": Unix seconds}
    -> {"crossing": Unix seconds, "rises": true}, or {"crossing": null}

Next is the slot after that with Celery's clock standing there. Crossing is when, near it, PyEphem's sun comes to the event's
altitude: PyEphem's search for it may end early where the sun is slow. The rate is by how many arcseconds in a second
the sun's altitude changes then. Unsure are slots at which that is less than 0.05, or which
come after a day on which the sun came within 0.02 degrees of making the event and PyEphem's search
may have ended too early to see it.
"""
import json
import math
import sys
from datetime import datetime, timezone

import celery
import ephem
from celery.schedules import solar

app = celery.Celery(set_as_current=True)
version = f"{celery.__version__} with ephem {ephem.__version__}"


def slot(event, latitude, longitude, after):
    return after + solar(event, latitude, longitude, nowfun=lambda: after, app=app).remaining_estimate(after)


def altitude(place, at):
    place.date = at
    sun = ephem.Sun(place)
    return math.degrees(sun.alt), math.degrees(sun.radius)


def observer(latitude, longitude):
    place = ephem.Observer()
    place.lat, place.lon, place.pressure = str(latitude), str(longitude), 0
    return place


def rate(latitude, longitude, at):
    place = observer(latitude, longitude)
    before, after = (altitude(place, ephem.Date(at.replace(tzinfo=None)) + seconds / 86400)[0] for seconds in (-5, 5))
    return abs(after - before) * 3600 / 10


def crossing(event, latitude, longitude, at):
    """The instant at which the event's altitude is reached, or None if it is not within ten minutes."""
    if event == "solar_noon":
        return at.timestamp()
    place = observer(latitude, longitude)
    horizon = math.degrees(ephem.degrees(solar._horizons[event]))
    start = ephem.Date(at.replace(tzinfo=None))

    def above(seconds):
        centre, radius = altitude(place, ephem.Date(start + seconds / 86400))
        return centre + (0 if solar._use_center_l[event] else radius) > horizon

    low, high = -600.0, 600.0
    if above(low) == above(high):
        return None
    first = above(low)
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) == first else (low, middle)
    return at.timestamp() + low


def unsure(event, latitude, longitude, at):
    if event == "solar_noon":
        return False
    if rate(latitude, longitude, at) < 0.05:
        return True
    place = observer(latitude, longitude)
    at = ephem.Date(at.replace(tzinfo=None))
    horizon = math.degrees(ephem.degrees(solar._horizons[event]))
    for culmination in (place.previous_transit, place.previous_antitransit):
        centre, radius = altitude(place, culmination(ephem.Sun(), start=at))
        if abs(centre + (0 if solar._use_center_l[event] else radius) - horizon) < 0.02:
            return True
    return False


def answer(question):
    event, latitude, longitude = question["event"], question["lat"], question["lon"]
    if "near" in question:
        at = datetime.fromtimestamp(question["near"], timezone.utc)
        place = observer(latitude, longitude)
        start = ephem.Date(at.replace(tzinfo=None))
        rises = altitude(place, start - 60 / 86400)[0] < altitude(place, start + 60 / 86400)[0]
        return {"crossing": crossing(event, latitude, longitude, at), "rises": rises}
    try:
        at = slot(event, latitude, longitude, datetime.fromtimestamp(question["after"], timezone.utc))
    except Exception as error:
        return {"next": None, "error": f"{type(error).__name__}: {error}"}
    return {"next": at.timestamp(), "crossing": crossing(event, latitude, longitude, at), "rate": rate(latitude, longitude, at), "unsure": unsure(event, latitude, longitude, at)}


if __name__ == "__main__":
    print(json.dumps({"version": version}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
