"""The databases that the registry runs on, as real servers for tests.

SQLite is a file. PostgreSQL and MariaDB are started from Debian's packages, each at most once for
all tests, on a free loopback port with their files in a temporary directory, by the package's
unprivileged user if the tests run as root. Each test has an empty database of its own. If a program
or its driver is missing, the test is skipped on a developer's machine and fails in CI.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from swarm.fleet import die_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS = ("sqlite", "postgresql", "mariadb")

_START_SECONDS = 60
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Server:
    """A server that runs until the tests end."""

    #: Of a database, whose name goes into the braces.
    url: str
    #: Runs one statement of SQL with the server's own client.
    run: Callable[[str], None]

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database for the block; yields its URL."""
        name = f"swarm_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield self.url.format(name)
        finally:
            self.run(f"DROP DATABASE {name}")


@contextlib.contextmanager
def database(kind: str, directory: Path) -> Iterator[str]:
    """Yield the URL of an empty database of ``kind``; SQLite's file is made in ``directory``."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{directory}/tracker.sqlite"
        return
    with _SERVERS[kind]().database() as url:
        yield url


@contextlib.contextmanager
def replica_database(directory: Path) -> Iterator[str]:
    """Yield the URL of an empty database that tracker replicas can share.

    PostgreSQL; a developer without it gets a SQLite file, which replicas on one machine can share.
    """
    kind = "postgresql" if _postgresql_programs() or os.environ.get("CI") else "sqlite"
    with database(kind, directory) as url:
        yield url


@cache
def _postgresql() -> Server:
    programs = _postgresql_programs()
    if programs is None:
        _missing("PostgreSQL or asyncpg is not installed (Debian: postgresql)")
    home, user = _home("pg"), _as_user("postgres")
    data, port = f"{home}/data", _free_port()
    make = [f"{programs}/initdb", "-D", data, "-U", "swarm", "-A", "trust", "--no-sync"]
    _call([*user, *make])
    serve = [f"{programs}/postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port)]
    # SIGINT is its fast way to stop, which does not wait for clients.
    _start([*user, *serve, "-k", home, "-F"], home, stop=signal.SIGINT)
    client = [f"{programs}/psql", "-h", "127.0.0.1", "-p", str(port), "-U", "swarm", "-qc"]
    return _server(
        home,
        f"postgresql+asyncpg://swarm@127.0.0.1:{port}/{{}}",
        lambda sql: _call([*client, sql, "postgres"]),
    )


def _postgresql_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return found[0] if found and importlib.util.find_spec("asyncpg") else None


@cache
def _mariadb() -> Server:
    server, install = _program("mariadbd"), _program("mariadb-install-db")
    if not (server and install and importlib.util.find_spec("aiomysql")):
        _missing("MariaDB or aiomysql is not installed (Debian: mariadb-server)")
    home, user = _home("maria"), _as_user("mysql")
    # Nothing of this machine's own configuration; as installed it takes text for Latin letters.
    common = ["--no-defaults", f"--datadir={home}/data", "--character-set-server=latin1"]
    _call([*user, install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"])
    port, path = _free_port(), f"{home}/socket"
    network = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={path}"]
    quick = ["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--skip-name-resolve"]
    _start([*user, server, *common, *network, *quick], home, stop=signal.SIGTERM)
    client = [_program("mariadb") or "mariadb", "--no-defaults", f"--socket={path}", "-uroot", "-e"]
    return _server(
        home,
        f"mysql+aiomysql://root@127.0.0.1:{port}/{{}}",
        lambda sql: _call([*client, sql]),
    )


_SERVERS = {"postgresql": _postgresql, "mariadb": _mariadb}


def _server(home: str, url: str, run: Callable[[str], None]) -> Server:
    """Wait until the server answers."""
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(run):
        log = Path(home, "log").read_text(errors="replace")
        assert time.monotonic() < deadline, log[-2000:]
        time.sleep(0.05)
    return Server(url, run)


def _answers(run: Callable[[str], None]) -> bool:
    try:
        run("SELECT 1")
    except subprocess.CalledProcessError:
        return False
    return True


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")


def _as_user(name: str) -> list[str]:
    """Return the prefix that makes a command of root's one of the user whom the package made."""
    if os.geteuid():
        return []
    # A change of user undoes what `die_with` asked the kernel for.
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "--pdeathsig=KILL"]


def _home(name: str) -> str:
    """Return a directory for a server, which is removed when the tests have ended."""
    home = tempfile.mkdtemp(prefix=f"swarm-{name}-")
    if os.geteuid() == 0:
        user = pwd.getpwnam({"pg": "postgres", "maria": "mysql"}[name])
        os.chown(home, user.pw_uid, user.pw_gid)
    _ENDS.callback(shutil.rmtree, home, ignore_errors=True)
    return home


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=120)


def _start(command: list[str], home: str, *, stop: signal.Signals) -> None:
    parent = os.getpid()
    with Path(home, "log").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: die_with(parent),  # noqa: PLW1509 - it calls the kernel, no more
        )
    _ENDS.callback(_stop, process, stop)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


#: What is to be undone when the tests have ended; ``tests/conftest.py`` closes it.
_ENDS = contextlib.ExitStack()


def stop_servers() -> None:
    """Stop all servers and remove their files."""
    _ENDS.close()
    for server in _SERVERS.values():
        server.cache_clear()
