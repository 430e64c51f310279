"""The tasks of `make demo`. Add one of your own below and run `make demo` again."""

import os

from celery import Celery

app = Celery("demo", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_log_format="%(asctime)s  %(message)s",
    worker_task_log_format="%(asctime)s  %(message)s",
)


@app.task(name="demo.hello")
def hello(name="world"):
    return f"hello, {name}"


@app.task(name="demo.add")
def add(a, b):
    return a + b


@app.task(name="demo.report")
def report(title, lines=3):
    return {"title": title, "lines": [f"line {i + 1}" for i in range(lines)]}
