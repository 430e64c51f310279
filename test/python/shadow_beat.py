"""The Celery app of a beat that onebeat looks on beside. Its settings are those of the JSON
object in SHADOW_CONFIG; task_queues there are lists of a name, an exchange, its type and a
routing key. It knows its tasks by name only."""

import json
import os

from celery import Celery
from kombu import Exchange, Queue

app = Celery("shadow", broker=os.environ["CELERY_BROKER_URL"])
config = json.loads(os.environ["SHADOW_CONFIG"])
config["task_queues"] = [Queue(name, Exchange(exchange, type=kind), routing_key=key) for name, exchange, kind, key in config.get("task_queues", [])]
app.conf.update(config, broker_connection_retry_on_startup=True)
