"""A program: a libtorrent session as it comes, told what to do over a unix socket.

`libtorrent_session.py SOCKET`. Each line is a JSON object, and answered with one:
`{"add": FILE, "directory": DIRECTORY}` takes a torrent, `{"look": FILE}` answers with its
`is_seeding` and `error`, `{"remove": FILE}` forgets it.

Not a setting is changed. Torrents are not managed by its queue, which would have them wait.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import libtorrent

_MANAGED = libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused


class _Session:
    def __init__(self) -> None:
        self._session = libtorrent.session()
        self._torrents: dict[str, libtorrent.torrent_handle] = {}

    def answer(self, request: dict[str, str]) -> dict[str, Any]:
        if "add" in request:
            parameters = libtorrent.load_torrent_file(request["add"])
            parameters.save_path = request["directory"]
            parameters.flags &= ~_MANAGED
            self._torrents[request["add"]] = self._session.add_torrent(parameters)
        elif "look" in request:
            status = self._torrents[request["look"]].status()
            error = status.errc.message() if status.errc.value() else ""
            return {"is_seeding": status.is_seeding, "error": error}
        else:
            self._session.remove_torrent(self._torrents.pop(request["remove"]))
        return {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(self.answer(json.loads(line))).encode() + b"\n")
            await writer.drain()
        writer.close()


async def _main(path: str) -> None:
    server = await asyncio.start_unix_server(_Session().serve, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
