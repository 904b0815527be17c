"""What a test may not do unless it runs as root."""

from __future__ import annotations

import os

import pytest


def needs_root(what: str) -> None:
    """Without root, skip the test that does ``what``; in CI that is a failure."""
    if os.geteuid() != 0:
        reason = f"{what} needs root"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
