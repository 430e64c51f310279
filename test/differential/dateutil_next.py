"""Answers questions about recurrence rules with the installed dateutil: a JSON line in, a JSON line out.

{"rule": "FREQ=DAILY;COUNT=3", "start": [2026, 11, 24, 9, 0, 0], "after": [[2026, 11, 24, 9, 0, 0], ...]}
    -> {"next": [[2026, 11, 25, 9, 0, 0], null, ...]}, without a zone, or {"error": "..."}
"""
import json
import sys
from datetime import datetime

import dateutil
from dateutil.rrule import rrulestr


def answer(question):
    try:
        rule = rrulestr(question["rule"], dtstart=datetime(*question["start"]), cache=True)
        found = [rule.after(datetime(*after)) for after in question["after"]]
        return {"next": [at and at.timetuple()[:6] for at in found]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({"version": dateutil.__version__}), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
