"""An example Celery app. Nothing in it knows of onebeat."""

import os

from celery import Celery

app = Celery("example", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.update(
    timezone=os.environ.get("CELERY_TIMEZONE", "UTC"),
    task_default_queue="default",
    broker_connection_retry_on_startup=True,
)


@app.task(name="fetch_listed_info_task")
def fetch_listed_info(schedule_id=None, from_date=None, to_date=None):
    return {"schedule_id": schedule_id, "from_date": from_date, "to_date": to_date}


@app.task(name="example.greet")
def greet(name):
    return f"おはようございます、{name}さん"
