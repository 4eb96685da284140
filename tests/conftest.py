"""What holds for every test: one thread a process, and in CI no test is skipped."""

import os

import pytest
from hypothesis import settings

# How long an example takes depends on who else uses the machine; pytest's own timeout is the limit.
settings.register_profile("evalkit", deadline=None)
settings.load_profile("evalkit")


def pytest_configure(config):
    """One thread a process, before torch and numpy are loaded; processes that a test starts inherit it."""
    if config.option.markexpr != "benchmark":
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def fail_if_skipped(report) -> None:
    """Where CI is set, everything that the tests need is there, and a skip hides that something is not."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: in CI no test is skipped. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    fail_if_skipped(report)
    return report
