"""Hypothesis without deadlines: a loaded machine is not a failing example. And systemd, for those who tell it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hostd.systemd import Supervisor
from tests.support.systemd import Systemd, systemd_in

settings.register_profile("virtwire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("virtwire")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Systemd]:
    """A stand-in for systemd, with a socket to be told over."""
    with systemd_in(tmp_path) as manager:
        yield manager


@pytest.fixture
def supervisor(manager: Systemd) -> Iterator[Supervisor]:
    """What tells it."""
    supervisor = Supervisor(manager.address)
    yield supervisor
    supervisor.close()
