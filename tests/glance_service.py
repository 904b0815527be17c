"""A real Glance for tests: from PyPI, in a virtual environment of its own, without Keystone.

The environment is made once and kept below ``${XDG_CACHE_HOME:-~/.cache}/glance-swarm``; a running
Glance has a private directory, database and store. What can't be made here (no registry) skips the
test on a developer's machine and fails it in CI. It is not a model of a production Glance: one
worker, no auth, every policy rule open.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Glance 32 and later need Python 3.11.
GLANCE_VERSION = "33" if sys.version_info >= (3, 11) else "31"

_BUILD_SECONDS = 600
_START_SECONDS = 60
_STOP_SECONDS = 10

_CONFIGURATION = """\
[DEFAULT]
enabled_backends = fs:file
show_image_direct_url = {direct_url}
worker_self_reference_url = {url}
log_file = {directory}/glance.log
[database]
connection = sqlite:///{directory}/glance.sqlite
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = {directory}/store
[os_glance_staging_store]
filesystem_store_datadir = {directory}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {directory}/tasks
[oslo_policy]
policy_file = {policy}
[paste_deploy]
config_file = {paste}
"""

_OPEN_POLICY = """\
import json
from glance import policies
print(json.dumps({rule.name: "" for rule in policies.list_rules()}))
"""


class GlanceService:
    """One running Glance; :func:`glance_service` makes it."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.store_dir = directory / "store"
        #: One line per request, as gunicorn writes it.
        self.access_log = directory / "access.log"

    def create_image(self, name: str, path: Path, disk_format: str) -> str:
        """Create an image with the bytes of ``path`` through the v2 API; return its id."""
        image_id = self.queue_image(name, disk_format)
        with path.open("rb") as file:
            self._send("PUT", f"/v2/images/{image_id}/file", file, "application/octet-stream")
        return image_id

    def queue_image(self, name: str, disk_format: str = "raw") -> str:
        """Create an image without bytes; return its id."""
        description = {"name": name, "disk_format": disk_format, "container_format": "bare"}
        answer = self._send("POST", "/v2/images", json.dumps(description).encode())
        return str(json.loads(answer)["id"])

    def hide(self, image_id: str) -> None:
        """Hide an image from ordinary listings (os_hidden)."""
        patch = [{"op": "replace", "path": "/os_hidden", "value": True}]
        kind = "application/openstack-images-v2.1-json-patch"
        self._send("PATCH", f"/v2/images/{image_id}", json.dumps(patch).encode(), kind)

    def show_image(self, image_id: str) -> dict[str, object]:
        """Return Glance's own description of an image."""
        document: dict[str, object] = json.loads(self._send("GET", f"/v2/images/{image_id}"))
        return document

    def delete_image(self, image_id: str) -> None:
        """Delete an image through the v2 API."""
        self._send("DELETE", f"/v2/images/{image_id}")

    def corrupt(self, image_id: str) -> None:
        """Flip one byte in the middle of the file in the store; Glance does not notice."""
        with (self.store_dir / image_id).open("r+b") as file:
            middle = file.seek(0, os.SEEK_END) // 2
            file.seek(middle)
            byte = file.read(1)
            file.seek(middle)
            file.write(bytes([byte[0] ^ 0xFF]))

    def downloads(self, image_id: str) -> int:
        """Return how often the bytes of an image were asked for."""
        return self.access_log.read_text().count(f'"GET /v2/images/{image_id}/file')

    def _send(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> bytes:
        headers = {"Content-Type": kind}
        request = urllib.request.Request(  # noqa: S310 - our own loopback server
            self.url + path,
            data=body,  # type: ignore[arg-type]  # typeshed knows bytes only; files work too
            method=method,
            headers=headers,
        )
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310 - as above
            answer: bytes = response.read()
        return answer


@contextlib.contextmanager
def glance_service(
    directory: Path, *, show_image_direct_url: bool = True
) -> Iterator[GlanceService]:
    """Run a Glance whose files are in ``directory`` (made if missing) while the block runs."""
    environment = _environment()
    for name in ("store", "staging", "tasks"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(environment / "empty.sqlite", directory / "glance.sqlite")
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    _configure(environment, directory, url, direct_url=show_image_direct_url)
    with (directory / "gunicorn.log").open("ab") as log:
        process = subprocess.Popen(
            [*_gunicorn(environment, port, directory), "glance.wsgi.api:application"],
            cwd=directory,
            env={**_clean_environ(), "OS_GLANCE_CONFIG_DIR": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_answer(process, f"{url}/v2/images", directory)
        yield GlanceService(url, directory)
    finally:
        _stop(process)


def _gunicorn(environment: Path, port: int, directory: Path) -> list[str]:
    options = ["-w1", "--threads", "8", "--timeout", "300", "--no-control-socket"]
    log = ["--access-logfile", str(directory / "access.log")]
    return [str(environment / "bin/gunicorn"), "-b", f"127.0.0.1:{port}", *options, *log]


def _configure(environment: Path, directory: Path, url: str, *, direct_url: bool) -> None:
    (directory / "glance-api.conf").write_text(
        _CONFIGURATION.format(
            directory=directory,
            url=url,
            direct_url=direct_url,
            policy=environment / "policy.json",
            paste=environment / "etc/glance/glance-api-paste.ini",
        )
    )


def _await_answer(process: subprocess.Popen[bytes], url: str, directory: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(url):
            return
        time.sleep(0.05)
    log = (directory / "gunicorn.log").read_text(errors="replace")[-3000:]
    raise AssertionError(f"Glance did not start:\n{log}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own loopback server
            return True
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Its workers are in its own session: whatever is left of it goes now.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _clean_environ() -> dict[str, str]:
    """Return the environment without what would lead Glance to our own packages or options."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "OS_", "VIRTUAL_ENV"))
    }


def _environment() -> Path:
    """Return the virtual environment that has Glance, made now if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glance-swarm"
    cache.mkdir(parents=True, exist_ok=True)
    python = f"py{sys.version_info[0]}.{sys.version_info[1]}"
    environment = cache / f"glance-{GLANCE_VERSION}-{python}"
    with environment.with_name(environment.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The Python that it was made with may have gone since.
        if not ((environment / "finished").exists() and (environment / "bin/python").exists()):
            _build(environment)
    return environment


def _build(environment: Path) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    # Not sys.executable: Python 3.10 would tie it to the environment of this checkout.
    base = Path(sys.base_prefix) / f"bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    _run([str(base), "-m", "venv", str(environment)])
    pip = [str(environment / "bin/pip"), "install", "--quiet", "--no-input"]
    try:
        _run([*pip, f"glance=={GLANCE_VERSION}.*", "gunicorn"])
    except subprocess.CalledProcessError as error:
        reason = f"pip can't install Glance: {error.stdout.decode(errors='replace')[-1500:]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    policy = _run([str(environment / "bin/python"), "-c", _OPEN_POLICY])
    (environment / "policy.json").write_bytes(policy)
    _make_empty_database(environment)
    (environment / "finished").touch()


def _make_empty_database(environment: Path) -> None:
    directory = environment / "template"
    directory.mkdir()
    _configure(environment, directory, "http://127.0.0.1", direct_url=False)
    manage = [str(environment / "bin/glance-manage")]
    _run([*manage, "--config-file", str(directory / "glance-api.conf"), "db_sync"])
    shutil.move(directory / "glance.sqlite", environment / "empty.sqlite")


def _run(command: list[str]) -> bytes:
    return subprocess.run(
        command,
        check=True,
        env=_clean_environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_BUILD_SECONDS,
    ).stdout
