"""The coverage-guided fuzzer runs over the parsers for some seconds, where atheris is to be had."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 10
_HASH, _PEER = "h" * 20, "p" * 20
SEEDS = {
    "query": f"info_hash={_HASH}&peer_id={_PEER}&port=1&uploaded=0&downloaded=0&left=0".encode(),
    "head": b"GET /announce/key?a=b HTTP/1.1\r\nHost: t\r\n\r\n",
    "udp": bytes(8) + b"\0\0\0\1" + bytes(82) + b"\0\0\0\x32\x1a\xe1" + b"\x02\x05/anno\x01\0",
    "bencode": b"d1:al2:bci-7eee",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_wrong", [False, True], ids=["ours", "control"])
def test_no_input_raises_anything_but_a_refusal(tmp_path: Path, *, is_wrong: bool) -> None:
    """The control shows that a parser that does is found: it can't bear a byte."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: it has no wheel for this Python")
    for name, seed in SEEDS.items():
        (tmp_path / name).write_bytes(seed)
    code = "import sys, atheris; from tests.fuzz import guided\n"
    if is_wrong:
        code += "guided.http_head.parse = lambda data: 1 // (data[:4] != b'GET ')\n"
    code += "atheris.Setup(sys.argv, guided.parse_all); atheris.Fuzz()"
    options = [f"-max_total_time={SECONDS}", "-max_len=400", "-print_final_stats=1", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *options],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if is_wrong:
        assert "ZeroDivisionError" in done.stderr + done.stdout
        assert done.returncode != 0
    else:
        assert done.returncode == 0, done.stderr[-3000:]
        assert "stat::number_of_executed_units" in done.stderr
