"""Tells onebeat, as JSON, what an application's beat_schedule holds.

It is run with the application's own Python: read.py APP. It loads the application as
`celery -A APP` does, and needs no package beside Celery.
"""

import datetime
import inspect
import json
import os
import sys
import traceback

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

    def look(inner):
        if type(inner).__name__ == "BeatLazyFunc" or inspect.isroutine(inner):
            raise Uncarried("%s holds something that is computed at each send: let the task compute it" % what)
        if isinstance(inner, dict):  # also a signature, of a link
            for item in inner.values():
                look(item)
        elif isinstance(inner, (list, tuple)):
            for item in inner:
                look(item)
        elif callable(inner):
            kind = type(inner)
            raise Uncarried("%s holds an object of the class %s.%s: write the name or the value that it stands for"
                            % (what, kind.__module__, kind.__qualname__))

    look(value)
    try:
        return dumps(value)
    except Exception as error:  # of whatever the application's objects raise
        raise Uncarried("%s cannot be written as JSON (%s)" % (what, type(error).__name__)) from None


def direct(queue):
    """Whether what is sent to a queue goes there by the queue's name alone."""
    return queue.exchange.type == "direct" and queue.exchange.delivery_mode is None


def name_of(queue, app):
    """The name of a queue that is an object, if what is sent to the name goes the same way (AMQP._create_task_sender)."""
    try:
        named = app.amqp.queues[queue.name]
    except Exception:  # none may be made by that name, or task_queues is none
        named = None
    if named is None or named != queue and not (direct(named) and direct(queue)):
        raise Uncarried("options holds the queue %s as an object, and Celery would take its name for another one: put it among task_queues, and its name here"
                        % queue.name)
    return queue.name


def options(given, app):
    """The options, with instants as text."""
    from kombu import Exchange, Queue

    ready = {}
    for name, value in given.items():
        if name == "queue" and type(value) is Queue:
            value = name_of(value, app)
        elif name == "exchange" and type(value) is Exchange:
            value = value.name  # all that a publish takes of it, but for its delivery mode, which Celery gives
        elif isinstance(value, datetime.datetime):
            value = value.isoformat()
        elif isinstance(value, datetime.timedelta):
            value = value.total_seconds()
        ready[name] = value
    return plain("options", ready)


def entry(name, given, app):
    """One entry of beat_schedule."""
    if not isinstance(given, dict):
        given = {key: getattr(given, key) for key in ("task", "schedule", "args", "kwargs", "options")}
    if not isinstance(given["task"], str):
        kind = type(given["task"])
        raise Uncarried("its task is an object of the class %s.%s: write the task's name" % (kind.__module__, kind.__qualname__))
    text, remarks = spec(given["schedule"], bool(given.get("relative")))
    args = given.get("args") or ()
    return {
        "name": name, "task": given["task"], "spec": text,
        "args": plain("args", list(args) if isinstance(args, (list, tuple)) else args),
        "kwargs": plain("kwargs", given.get("kwargs") or {}),
        "options": options(given.get("options") or {}, app),
        "remarks": remarks,
    }


# What decides about messages, and where workers are heard and asked, in the order of onebeat's own table of settings.
SETTINGS = """control_exchange event_exchange task_compression task_create_missing_queue_exchange_type task_create_missing_queue_type task_create_missing_queues
task_default_delivery_mode task_default_exchange task_default_exchange_type task_default_priority task_default_queue task_default_queue_type
task_default_routing_key task_ignore_result task_queue_max_priority task_send_sent_event task_serializer task_soft_time_limit
task_time_limit""".split()

# What of broker_transport_options decides where a message comes to lie, as onebeat knows it (workers.go has it too).
TRANSPORT = """global_keyprefix sep priority_steps fanout_prefix fanout_patterns deadletter_queue master_name queue_tablename message_tablename
data_folder_out control_folder region queue_name_prefix visibility_timeout sqs-creation-attributes queue_tags sqs_base64_encoding is_secure
sts_role_arn sts_token_timeout""".split()

# What else does, and may hold secrets.
SECRETS = ("sentinel_kwargs", "predefined_queues")


def transport(app, refused):
    """broker_transport_options, as far as they decide about messages."""
    given = app.conf.get("broker_transport_options") or {}
    for name in SECRETS:
        if given.get(name):
            refused.append({"name": "broker_transport_options", "reason": "%s may hold a password: write it into the settings file by hand" % name})
    if app.conf.get("broker_use_ssl"):
        refused.append({"name": "broker_use_ssl", "reason": "it names files of the application's machine: write it into the settings file by hand, with onebeat's own"})
    return {name: given[name] for name in TRANSPORT if given.get(name) is not None}


# What a task's class gives its messages (celery/app/task.py, extract_exec_options), and
# the setting that it has from the application unless it says otherwise.
ATTRIBUTES = {
    "queue": None, "routing_key": None, "exchange": None, "priority": "task_default_priority", "expires": None,
    "serializer": "task_serializer", "delivery_mode": None, "compression": "task_compression",
    "time_limit": "task_time_limit", "soft_time_limit": "task_soft_time_limit", "ignore_result": "task_ignore_result",
}


# The settings and attributes that are true or false, which Python's code may write as 1 and 0.
TRUTHS = ("task_create_missing_queues", "task_ignore_result", "task_send_sent_event", "ignore_result")


def plainly(name, value):
    """A setting's value, or an attribute's, as onebeat reads it."""
    return bool(value) if name in TRUTHS and value is not None else length(value)


def length(value):
    """A duration in seconds; what is none stays as it is."""
    return value.total_seconds() if isinstance(value, datetime.timedelta) else value


def exchange(value):
    """An exchange as a map."""
    ready = {"name": value.name, "type": value.type}
    if not value.durable:
        ready["durable"] = False
    if value.auto_delete:
        ready["auto_delete"] = True
    if value.arguments:
        ready["arguments"] = value.arguments
    if value.delivery_mode is not None:
        ready["delivery_mode"] = value.delivery_mode
    return ready


def queue(value):
    """A queue as a map, with what differs from kombu's defaults."""
    if isinstance(value, str):
        return {"name": value}
    if type(value).__module__ == "kombu.common":
        raise Uncarried("task_queues has a %s: write it as {name: …, broadcast: true}" % type(value).__name__)
    ready = {"name": value.name}
    if value.exchange is not None and value.exchange.name:
        ready["exchange"] = exchange(value.exchange)
    if value.routing_key:
        ready["routing_key"] = value.routing_key
    for name in ("queue_arguments", "binding_arguments", "expires", "message_ttl", "max_length", "max_length_bytes", "max_priority"):
        if getattr(value, name, None):
            ready[name] = getattr(value, name)
    if not value.durable:
        ready["queue_durable"] = False
    for name in ("exclusive", "auto_delete"):
        if getattr(value, name):
            ready["queue_auto_delete" if name == "auto_delete" else name] = True
    return ready


def queues(given):
    """task_queues, which may be a map or a list."""
    if isinstance(given, dict):
        return given
    return [queue(value) for value in given]


def route(given):
    """One router of task_routes."""
    if isinstance(given, dict):
        pairs = list(given.items())
    elif isinstance(given, (list, tuple)) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in given):
        pairs = [tuple(pair) for pair in given]
    else:
        raise Uncarried("task_routes has a router in code (%s): write the routes that it returns, by task name or pattern"
                        % getattr(given, "__qualname__", type(given).__qualname__ if not isinstance(given, str) else given))
    for pattern, _ in pairs:
        if not isinstance(pattern, str):
            raise Uncarried("task_routes has a compiled expression: write it as a pattern with * and ?")
    return {pattern: ({"queue": to} if isinstance(to, str) else dict(to)) for pattern, to in pairs}


def routes(given):
    """task_routes, which may be a map, or a list of routers."""
    if isinstance(given, dict):
        return route(given)
    if isinstance(given, (list, tuple)):
        return [route(router) for router in given]
    return route(given)


def settings(app, refused):
    """Celery's settings that decide about messages, where they are not the defaults."""
    from celery.app.defaults import DEFAULTS

    ready = {}
    for name in SETTINGS:
        value = plainly(name, app.conf.get(name))
        if value is not None and value != DEFAULTS.get(name):
            ready[name] = value
    for name, carry in (("task_queues", queues), ("task_routes", routes)):
        if app.conf.get(name):
            try:
                ready[name] = carry(app.conf.get(name))
            except Uncarried as error:
                refused.append({"name": name, "reason": str(error)})
    reached = transport(app, refused)
    if reached:
        ready["broker_transport_options"] = {name: list(value) if isinstance(value, (tuple, range)) else value for name, value in reached.items()}
    tasks = {}
    for name, task in sorted(app.tasks.items()):
        if name.startswith("celery."):
            continue
        own = {}
        for attribute, of in ATTRIBUTES.items():
            value = plainly(attribute, getattr(task, attribute, None))
            if value is not None and value != (plainly(of, app.conf.get(of)) if of else None):
                own[attribute] = value
        if own:
            tasks[name] = own
    if tasks:
        ready["task_annotations"] = tasks
    for name in list(ready):
        try:
            json.dumps(ready[name], allow_nan=False)
        except (TypeError, ValueError):
            refused.append({"name": name, "reason": "it has values that are no texts, numbers, lists or maps: write it by hand"})
            del ready[name]
    return ready


def zone_of(app, refused):
    """The name of the application's zone, as beat takes it."""
    zone = app.timezone
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if not name:
        name = str(getattr(zone, "_filename", "")).rpartition("zoneinfo/")[2]  # dateutil's
    if not name or name.startswith("/"):
        name = None
        try:
            hours = zone.utcoffset(None) / datetime.timedelta(hours=1)
        except Exception:  # of whatever class the zone is
            hours = None
        if hours == 0:
            name = "UTC"
        elif hours in range(-12, 15):
            name = "Etc/GMT%+d" % -hours  # whose sign is the other way round
    if not name:
        kind = type(zone)
        refused.append({"name": "timezone", "reason": "it is an object of the class %s.%s without a zone's name; crontabs are taken by UTC: set it to a name such as Asia/Tokyo in the application"
                        % (kind.__module__, kind.__qualname__)})
    return name or "UTC"


def main():
    from celery.app.utils import find_app

    app = find_app(sys.argv[1])
    app.loader.import_default_modules()
    app.finalize()
    refused = []
    found = {"zone": zone_of(app, refused), "entries": [], "refused": []}
    found["settings"] = settings(app, refused)  # before its queues are looked at, which writes to those of task_queues
    for name, given in app.conf.beat_schedule.items():
        name = str(name)
        try:
            found["entries"].append(entry(name, given, app))
        except Uncarried as error:
            found["refused"].append({"name": name, "reason": str(error)})
        except KeyError as error:
            found["refused"].append({"name": name, "reason": "it has no %s" % error.args[0]})
        except Exception as error:  # whose text may hold arguments
            found["refused"].append({"name": name, "reason": "it is not as Celery documents entries of beat_schedule (%s)" % type(error).__name__})
    found["refused"] += refused
    json.dump(found, answer, ensure_ascii=False)
    answer.flush()


status = 1
try:
    main()
    status = 0
except BaseException:  # also what the application ends Python with
    traceback.print_exc()
sys.stderr.flush()
os._exit(status)  # Python itself would wait for threads of the application's
