"""A program: sends a file over one TCP connection, or receives one, passing it on meanwhile.

`relay.py send FILE HOST PORT`, `relay.py receive FILE SIZE PORT [HOST PORT]`. It hashes nothing and
resumes nothing: it is what a copy costs, and what a hand-built chain does at its best.
"""

from __future__ import annotations

import socket
import sys
import time

#: Said by a receiver that can be connected to.
LISTENS = "listens"

_CHUNK_BYTES = 256 << 10
_RETRY_SECONDS = 0.01
_PATIENCE_SECONDS = 30.0


def _connect(host: str, port: str) -> socket.socket:
    """Connect, once the other side listens."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(_RETRY_SECONDS)


def _send(path: str, host: str, port: str) -> None:
    with open(path, "rb") as file, _connect(host, port) as there:  # noqa: PTH123
        there.sendfile(file)


def _receive(path: str, size: str, port: str, *following: str) -> None:
    missing, chunk = int(size), memoryview(bytearray(_CHUNK_BYTES))
    with socket.create_server(("", int(port))) as server, open(path, "wb") as file:  # noqa: PTH123
        print(LISTENS, flush=True)  # noqa: T201 - to who started it
        connection, _ = server.accept()
        onward = _connect(*following) if following else None
        while missing:
            got = connection.recv_into(chunk)
            if not got:
                raise ConnectionError(f"{missing} bytes are missing")
            file.write(chunk[:got])
            if onward is not None:
                onward.sendall(chunk[:got])
            missing -= got
        if onward is not None:
            onward.close()


def main() -> None:
    """Do what the arguments say."""
    command, *arguments = sys.argv[1:]
    (_send if command == "send" else _receive)(*arguments)


if __name__ == "__main__":
    main()
