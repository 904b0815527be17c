"""The lab needs a machine that lets it make networks: skipped elsewhere, and an error in CI."""

from __future__ import annotations

import os

import pytest

from benchmarks.lab import network
from swarm.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _ground() -> None:
    """Skip, with the reason, where no lab can be made; in CI that is a failure."""
    try:
        network.check()
    except ConfigurationError as error:
        if os.environ.get("CI"):
            pytest.fail(error.detail)
        pytest.skip(error.detail)
