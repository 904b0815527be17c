"""Coverage-guided fuzzing of the tracker's parsers (atheris): `python -m tests.fuzz.guided`.

Takes libFuzzer's options, such as -max_total_time=60 or a folder with a corpus. It ends with a
status other than 0 as soon as a parser raises anything but a refusal.
"""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["swarm.bencode", "tracker.announce"]):
    from swarm import bencode
    from tracker.announce import codec, http_head, udp_codec

from swarm.errors import BencodeError, MalformedRequest


def parse_all(data: bytes) -> None:
    """Give ``data`` to each parser that a stranger's bytes reach."""
    for parse in (codec.parse_announce, codec.parse_scrape):
        with contextlib.suppress(MalformedRequest):
            parse(data)
    with contextlib.suppress(BencodeError):
        bencode.decode(data)
    http_head.parse(data)
    head = udp_codec.parse_head(data)
    with contextlib.suppress(MalformedRequest):
        if head is not None and head[1] == udp_codec.ANNOUNCE:
            udp_codec.parse_announce(data)
        elif head is not None and head[1] == udp_codec.SCRAPE:
            udp_codec.parse_scrape(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, parse_all)
    atheris.Fuzz()
