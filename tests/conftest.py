"""What ends with the tests."""

from __future__ import annotations

from tests.databases import stop_servers


def pytest_sessionfinish() -> None:
    """Stop the database servers that tests have started."""
    stop_servers()
