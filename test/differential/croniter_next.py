"""Answers questions about crontabs with the installed croniter: a JSON line in, a JSON line out.

{"text": "30 0 9 L * *", "after": [Unix seconds, ...]}, seconds first
    -> {"next": [Unix seconds, ...]} in UTC, or {"error": "..."}
"""
import json
import sys
from importlib.metadata import version

from croniter import croniter


def answer(question):
    try:
        found = [croniter(question["text"], after, second_at_beginning=True, max_years_between_matches=400).get_next(float) for after in question["after"]]
        return {"next": found}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


print(json.dumps({"version": version("croniter")}), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
