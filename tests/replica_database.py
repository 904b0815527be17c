"""A database that tracker replicas share in a test: PostgreSQL, from Debian's package.

A private server on a free loopback port, with its files in a temporary directory, run by the
package's unprivileged user if the tests run as root. Without the program or its driver a
developer's test uses a SQLite file instead, which replicas on one machine can share; in CI it
fails.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 60
_STOP_SECONDS = 20
_USER = "postgres"


@contextlib.contextmanager
def replica_database(directory: Path) -> Iterator[str]:
    """Yield the URL of an empty database while the block runs."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if programs and importlib.util.find_spec("asyncpg"):
        with _postgresql(programs[0]) as url:
            yield url
    elif os.environ.get("CI"):
        pytest.fail("PostgreSQL or asyncpg is not installed (Debian: postgresql)")
    else:
        yield f"sqlite+aiosqlite:///{directory}/shared.sqlite"


@contextlib.contextmanager
def _postgresql(programs: Path) -> Iterator[str]:
    is_root = os.geteuid() == 0
    prefix = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"] if is_root else []
    with tempfile.TemporaryDirectory(prefix="swarm-pg-", ignore_cleanup_errors=True) as name:
        if is_root:
            user = pwd.getpwnam(_USER)
            os.chown(name, user.pw_uid, user.pw_gid)
        data, log = f"{name}/data", Path(name, "log")
        make = [f"{programs}/initdb", "-D", data, "-U", "swarm", "-A", "trust", "--no-sync"]
        subprocess.run([*prefix, *make], check=True, capture_output=True, cwd="/", timeout=120)
        port = _free_port()
        serve = [f"{programs}/postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*prefix, *serve, "-k", name, "-F"], cwd="/", stdout=output, stderr=output
            )
        try:
            _wait(port, programs, log)
            yield f"postgresql+asyncpg://swarm@127.0.0.1:{port}/postgres"
        finally:
            _stop(process)


def _wait(port: int, programs: Path, log: Path) -> None:
    ask = [f"{programs}/pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
    deadline = time.monotonic() + _START_SECONDS
    while subprocess.run(ask, check=False).returncode:
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Its fast way to stop, which does not wait for clients.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
