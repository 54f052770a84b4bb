"""What holds for every test.

Hypothesis has no deadlines: a loaded machine is not a failing example, nor is one that grew too long. And what a test
printed or logged goes to another process as UTF-8, which half a surrogate, as some of them log on purpose, is not.
"""

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "virtwire", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("virtwire")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have a report's sections such that any process can be told them."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report
