"""Gives Pythons newer than Celery 5.2 back what it used of their libraries.

Celery 5.2 and its kombu and billiard were made for Python 3.10 and before. A
line in a .pth file of their virtual environment imports this at start, so that
they themselves stay as they were released. On Python 3.11 it changes nothing.
"""

import importlib.metadata
import logging

# kombu 5.2 (kombu/utils/compat.py, entrypoints) reads entry points as a dict:
# gone from Python 3.12.
if not hasattr(importlib.metadata.entry_points(), "get"):

    def _get(self, group, default=None):
        return tuple(self.select(group=group)) or default

    importlib.metadata.EntryPoints.get = _get

# billiard 3.6 (billiard/util.py, get_logger) takes the lock of logging by
# functions that are gone from Python 3.13.
if not hasattr(logging, "_acquireLock"):
    logging._acquireLock = logging._lock.acquire
    logging._releaseLock = logging._lock.release
