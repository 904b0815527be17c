"""Independent downloads, as nova-compute makes them: nginx at the source, curl at each host.

nginx has what Debian's own file gives it (sendfile, tcp_nopush), no more; as one process, so that
all of its processor time is counted. curl writes to a file, and hashes nothing.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.contestants.answers import first_answer
from benchmarks.contestants.former import Fetches
from swarm.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from benchmarks.lab.image import Image
    from benchmarks.lab.lab import Lab
    from benchmarks.lab.plan import Host

_PORT = 8080

_NGINX = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 768; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {port};
        root {images};
    }}
}}
"""


class Downloads:
    """The source's nginx, and a curl for each fetch."""

    def __init__(self, lab: Lab, client: HttpClient) -> None:
        self._lab = lab
        self._client = client
        self._fetches = Fetches()

    async def offer(self, image: Image) -> None:
        """See that nginx has it; remove what hosts fetched before."""
        for former in self._fetches.take_former():
            for host in self._lab.hosts:
                self._target(former, host).unlink(missing_ok=True)
        await self._client.call("HEAD", f"/{image.path.name}")

    async def fetch(self, image: Image, host: Host) -> Path:
        """Download it."""
        target = self._target(image, host)
        url = f"{self._client.url}/{image.path.name}"
        command = ["curl", "--silent", "--show-error", "--fail", "--output", target, url]
        with self._fetches.of(image):
            async with self._lab.process(host, "agent", command) as curl:
                await curl.succeeded()
        return target

    def _target(self, image: Image, host: Host) -> Path:
        return self._lab.root(host) / image.path.name


@contextlib.asynccontextmanager
async def downloads(lab: Lab) -> AsyncIterator[Downloads]:
    """Run nginx at the source during the block."""
    source = lab.plan.source
    directory = lab.root(source)
    conf = directory / "nginx.conf"
    conf.write_text(_NGINX.format(directory=directory, port=_PORT, images=lab.images))
    url = f"http://{source.address}:{_PORT}"
    command = ["nginx", "-p", directory, "-c", conf, "-e", "stderr"]
    async with (
        lab.process(source, "seeder", command) as nginx,
        HttpClient(url, netns=lab.netns(source)) as client,
    ):
        await first_answer(nginx, lambda: client.session.head(client.url))
        yield Downloads(lab, client)
