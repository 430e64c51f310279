"""Says what Celery itself would send, and what its workers read in what onebeat sends.

Reads cases as JSON lines and answers each with a JSON line. A case is sent as
celery beat sends an entry, through the real scheduler, router and producer; only
the last step, the transport's delivery, is caught instead of done.
"""

import json
import logging
import sys
import warnings
from datetime import datetime, timezone

import celery
import kombu.transport.virtual.base as virtual
import msgpack  # noqa: F401, kombu's serializers need it and PyYAML
import yaml  # noqa: F401
from celery.beat import ScheduleEntry, Scheduler
from kombu import Connection, Exchange, Queue
from kombu.common import Broadcast
from kombu.messaging import Producer
from kombu.transport.virtual.base import Message
from kombu.utils.json import dumps, loads

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
VERSION = [int(n) for n in celery.__version__.split(".")[:2]]

ACCEPT = {"application/json", "application/x-yaml", "application/x-msgpack"}
sent = []
declared = []


def basic_publish(self, message, exchange, routing_key, **kwargs):
    self._inplace_augment_message(message, exchange, routing_key)
    sent.append((exchange, routing_key, dumps(message)))


def maybe_declare(self, entity, retry=False, **policy):
    if isinstance(entity, Queue):
        e = entity.exchange
        declared.append({
            "queue": entity.name, "exchange": e.name, "type": e.type, "routing_key": entity.routing_key,
            "durable": bool(entity.durable), "auto_delete": bool(entity.auto_delete), "exchange_durable": bool(e.durable),
            "arguments": entity.queue_arguments or {},
        })


virtual.Channel.basic_publish = basic_publish
Producer.maybe_declare = maybe_declare


def queues(setting):
    """Makes kombu objects of a list of queues, which YAML and JSON cannot write."""
    if not isinstance(setting, list):
        return setting
    made = []
    for options in setting:
        options = dict(options)
        name = options.pop("name")
        if options.pop("broadcast", False):
            made.append(Broadcast(name))
            continue
        exchange = options.pop("exchange", None)
        if exchange is not None:
            exchange = Exchange(exchange, options.pop("exchange_type", "direct"))
        made.append(Queue(name, exchange, **options))
    return made


def anything(*args, **kwargs):
    pass


def make_app(conf, tasks):
    app = celery.Celery("oracle", broker="memory://", set_as_current=False)
    app.config_from_object({})
    conf = dict(conf)
    if "task_queues" in conf:
        conf["task_queues"] = queues(conf["task_queues"])
    app.conf.update(conf, enable_utc=True, timezone="UTC")
    for name in tasks:
        app.task(name=name, shared=False)(anything)
    app.finalize()
    return app


apps = {}


def app_of(case):
    key = case["config"] + "\0" + ",".join(case.get("registered") or [])
    if key not in apps:
        app = make_app(json.loads(case["config"]), case.get("registered") or [])
        producer = app.amqp.Producer(app.connection_for_write(), auto_declare=False)
        apps[key] = app, Scheduler(app, lazy=True), producer
    return apps[key]


channel = Connection("memory://").channel()


def worker_reads(envelope):
    """What a worker makes of an envelope: its own message class decodes it."""
    payload = json.loads(envelope)
    message = Message(loads(envelope), channel=channel, accept=ACCEPT)
    properties = payload["properties"]
    return {
        "body": repr_of(message.decode()),
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "headers": {key: repr_of(value) for key, value in payload["headers"].items()},
        "properties": {key: repr_of(value) for key, value in properties.items()},
    }


def repr_of(value):
    """repr with tuples and lists alike, as on the wire, and numbers of any length."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(repr_of, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {repr_of(v)}" for k, v in sorted(value.items())) + "}"
    return repr(value)


def answer(case):
    reply = {}
    if case.get("ours"):
        reply["ours"] = worker_reads(case["ours"])
    if case.get("event"):
        reply["our_event"] = {key: repr_of(value) for key, value in json.loads(case["event"]).items()}
    app, scheduler, producer = app_of(case)
    now = datetime.fromtimestamp(case["at"], timezone.utc)
    app.now = lambda: now
    sent.clear()
    declared.clear()
    try:
        entry = ScheduleEntry(
            name="entry", task=case["task"], schedule=1.0, app=app,
            args=json.loads(case["args"] or "[]"), kwargs=json.loads(case["kwargs"] or "{}"),
            options=json.loads(case["options"] or "{}"),
        )
        scheduler.apply_async(entry, producer=producer, advance=False)
    except Exception as error:
        reply["error"] = f"{type(error).__name__}: {error}"
        return reply
    exchange, routing_key, envelope = sent[0]
    reply["celery"] = worker_reads(envelope)
    reply["exchange"] = getattr(exchange, "name", exchange)
    reply["routing_key"] = routing_key
    reply["declared"] = declared[0] if declared else None
    if len(sent) > 1:
        message = Message(loads(sent[1][2]), channel=channel, accept=ACCEPT)
        reply["event"] = {key: repr_of(value) for key, value in message.decode().items()}
        reply["event_exchange"], reply["event_key"] = sent[1][:2]
        reply["event_envelope"] = worker_reads(sent[1][2])
    return reply


print(json.dumps(VERSION), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
