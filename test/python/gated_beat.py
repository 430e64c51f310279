"""Runs `celery beat`, of the arguments but the first, once there is a file at the path that is
the first. All that it imports is imported before; it does nothing else before."""

import importlib
import os
import sys
import time

gate, arguments = sys.argv[1], sys.argv[2:]

for module in ("celery.apps.beat", "celery.bin.celery", "kombu.transport.redis"):
    importlib.import_module(module)
for option in ("-A", "-S"):
    importlib.import_module(arguments[arguments.index(option) + 1].partition(":")[0])

from celery.__main__ import main  # noqa: E402

while not os.path.exists(gate):
    time.sleep(0.05)

sys.argv = ["celery", *arguments]
main()
