"""Runs a client's tests one by one, each with a time limit, and prints one line for each."""

import asyncio
import contextlib
import inspect
import os
import signal

import pytest
import support

CLIENT = os.environ.get("INTEROP_CLIENT", "?")
TEST_SECONDS = int(os.environ.get("INTEROP_TEST_SECONDS", "60"))


# --- one line per test ---


def show(outcome, name, seconds, details=""):
    print(f"{outcome:<5} {CLIENT:<10} {name} ({seconds:.2f} s)", flush=True)
    if details:
        print("".join(f"      {line}\n" for line in details.splitlines()), end="", flush=True)


def pytest_runtest_logreport(report):
    name = report.nodeid.partition("::")[2].removeprefix("test_")
    if report.failed:
        part = "" if report.when == "call" else f" [{report.when}]"
        show("FAIL", name + part, report.duration, report.longreprtext + report.capstdout + report.capstderr)
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        show("skip", f"{name}: {reason.removeprefix('Skipped: ')}", report.duration)
    elif report.when == "call":
        show("ok", name, report.duration)


def pytest_collectreport(report):
    if report.failed:
        show("FAIL", report.nodeid, 0, report.longreprtext)


def pytest_internalerror(excrepr):
    show("FAIL", "internal error", 0, str(excrepr))


# --- the time limit ---


class OutOfTime(BaseException):
    """Not an Exception, so that a client library that catches everything does not catch this."""


@contextlib.contextmanager
def time_limit():
    late = OutOfTime(f"not finished after {TEST_SECONDS} s")
    expired = False

    def expire(*_):
        nonlocal expired
        expired = True
        raise late

    signal.signal(signal.SIGALRM, expire)
    # The alarm comes again every second, in case an event loop or a client swallows it.
    signal.setitimer(signal.ITIMER_REAL, TEST_SECONDS, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if expired:
        raise late


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    with time_limit():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    with time_limit():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    with time_limit():
        return (yield)


# --- tests that are coroutines ---


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def run():
        async with asyncio.timeout(TEST_SECONDS - 5):
            await pyfuncitem.obj(**arguments)

    asyncio.run(run())
    return True


# --- fixtures for every client ---


@pytest.fixture
def names():
    """Unique names of queues and exchanges, deleted after the test."""
    names = support.Names()
    yield names
    support.delete(names)


@pytest.fixture
def relay():
    """A relay in front of the broker whose connections the test can cut."""
    with support.Relay() as relay:
        yield relay


@pytest.fixture(scope="session")
def broker():
    """What the broker that the tests run against can do."""
    return support.Broker()


@pytest.fixture(autouse=True)
def broker_has_it(request, broker):
    """Skips a test of something that the broker cannot have."""
    if request.node.get_closest_marker("tls") and not support.TLS:
        pytest.skip("the broker's port for TLS, or openssl, is not there")
    if broker.is_leveret:
        return
    if request.node.get_closest_marker("leveret"):
        pytest.skip("only leveret has this")
    if (needed := request.node.get_closest_marker("exchange_type")) and not broker.has_exchange_type(needed.args[0]):
        pytest.skip(f"the plugin for {needed.args[0]} is not enabled")
