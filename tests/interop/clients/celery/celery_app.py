"""The Celery application that the tests and their workers share.

A worker finds its configuration in the environment variable INTEROP_CELERY; the tests call `create`.
"""

import json
import os
import pathlib
import signal
import time

from celery import Celery


def note(path, text):
    """Appends a line to a file by which tasks tell the tests what they did."""
    with pathlib.Path(path).open("a") as file:
        file.write(f"{text}\n")


def create(config):
    app = Celery("interop")
    app.conf.update(config)

    @app.task(name="add")
    def add(x, y):
        return x + y

    @app.task(name="fail")
    def fail(text):
        raise ValueError(text)

    @app.task(name="describe", bind=True)
    def describe(self):
        """What a task sees of the message that brought it, and when it ran."""
        return {
            "ran": time.time(),
            "priority": self.request.delivery_info["priority"],
            "redelivered": self.request.delivery_info["redelivered"],
            "routing_key": self.request.delivery_info["routing_key"],
            "retries": self.request.retries,
        }

    @app.task(name="write")
    def write(path, text):
        note(path, text)

    @app.task(name="flaky", bind=True, max_retries=3)
    def flaky(self, path, failures):
        """Fails so many times, each time asking for a retry, and answers how often it was retried."""
        note(path, time.time())
        if self.request.retries < failures:
            raise self.retry(countdown=0.2, exc=OSError(f"failure {self.request.retries}"))
        return self.request.retries

    @app.task(name="wait", bind=True, acks_late=True)
    def wait(self, path, release):
        """Says that it runs, and in which worker, and runs until the file `release` is there."""
        note(path, self.request.hostname)
        while not pathlib.Path(release).exists():
            time.sleep(0.01)
        return {"hostname": self.request.hostname, "redelivered": self.request.delivery_info["redelivered"]}

    @app.task(name="die_once", bind=True, acks_late=True, reject_on_worker_lost=True)
    def die_once(self, path):
        """Kills the process it runs in, the first time."""
        note(path, os.getpid())
        if len(pathlib.Path(path).read_text().splitlines()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.request.delivery_info["redelivered"]

    return app


if "INTEROP_CELERY" in os.environ:
    app = create(json.loads(os.environ["INTEROP_CELERY"]))
