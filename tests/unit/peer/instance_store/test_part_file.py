"""Files on a real file system, and attempts to lead the agent astray."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peer.instance_store import part_file
from peer.instance_store.destination import Destination, parse_destination
from peer.instance_store.part_file import PartFile, check_free, find_file, part_name, remove_part
from swarm.errors import (
    DestinationExists,
    DestinationOutsideRoots,
    DestinationRefused,
    NoSpace,
    StorageFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with two levels of directories."""
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    return tmp_path / "root"


def destination(root: Path, name: str = "a/b/disk") -> Destination:
    """Return a destination below ``root``."""
    return parse_destination(f"file://{root / name}", [str(root)])


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """Whatever a test did, every descriptor of it is closed."""

    def descriptors() -> dict[str, str]:
        found = {}
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # that of the listing
                found[entry.name] = str(entry.readlink())
        return found

    before = descriptors()
    yield
    assert descriptors().items() <= before.items()


def test_a_file_is_filled_and_published(root: Path) -> None:
    """Mode 0600 under the part name; then the final name, the final mode, one link."""
    final = root / "a" / "b" / "disk"
    part = PartFile.open(destination(root), ID)
    try:
        part.check_space(1 << 20)
        part.resize(1 << 20)
        os.pwrite(part.fd, b"bytes", 0)
        path = final.with_name(f"disk.{ID}.part")
        assert part.path == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert not final.exists()
        part.sync()
        part.publish(0o640)
    finally:
        part.close()
        part.close()
    found = final.stat()
    assert (found.st_mode & 0o777, found.st_nlink, found.st_size) == (0o640, 1, 1 << 20)
    assert [entry.name for entry in final.parent.iterdir()] == ["disk"]


def test_a_part_file_is_taken_up_again(root: Path) -> None:
    """After a restart the bytes of the time before are there."""
    for content in (b"", b"bytes"):
        part = PartFile.open(destination(root), ID)
        assert os.pread(part.fd, 10, 0) == content
        os.pwrite(part.fd, b"bytes", 0)
        part.close()
    remove_part(destination(root), ID)
    remove_part(destination(root), ID)
    assert list((root / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "hard link", "fifo"])
def test_a_part_file_that_somebody_planted_is_not_written_to(
    root: Path, tmp_path: Path, kind: str
) -> None:
    """A link to a file elsewhere is replaced by a file of our own."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = root / "a" / "b" / part_name(destination(root), ID)
    {"link": planted.symlink_to, "hard link": planted.hardlink_to}.get(
        kind, lambda _: os.mkfifo(planted)
    )(victim)
    part = PartFile.open(destination(root), ID)
    os.pwrite(part.fd, b"ours", 0)
    part.close()
    assert victim.read_bytes() == b"precious"
    assert planted.read_bytes() == b"ours"


@pytest.mark.parametrize("level", ["a", "a/b"])
def test_a_symbolic_link_at_any_level_is_refused(root: Path, tmp_path: Path, level: str) -> None:
    """Even one that leads to a directory below the root."""
    for target in (tmp_path / "elsewhere", root / "a"):
        (tmp_path / "elsewhere" / "b").mkdir(parents=True, exist_ok=True)
        moved = root / level
        moved.rename(tmp_path / "moved")
        moved.symlink_to(target if target != moved else tmp_path / "moved")
        for attempt in (check_free, find_file, lambda d: PartFile.open(d, ID)):
            with pytest.raises(DestinationOutsideRoots, match="symbolic link"):
                attempt(destination(root))
        moved.unlink()
        (tmp_path / "moved").rename(moved)
    check_free(destination(root))


def test_the_root_itself_may_be_a_symbolic_link(root: Path, tmp_path: Path) -> None:
    """It is the operator's word."""
    (tmp_path / "alias").symlink_to(root)
    check_free(destination(tmp_path / "alias"))


def test_the_directory_must_be_there(root: Path) -> None:
    """The sentence says to make it; nothing is made by itself."""
    with pytest.raises(DestinationRefused, match="make it first"):
        check_free(destination(root, "a/missing/disk"))
    (root / "a" / "file").write_bytes(b"")
    with pytest.raises(DestinationRefused, match="Not a directory"):
        check_free(destination(root, "a/file/disk"))
    with pytest.raises(StorageFailed):
        check_free(destination(root / "no-root", "disk"))


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link", "link"])
def test_a_name_of_any_kind_that_exists_is_refused(root: Path, kind: str) -> None:
    """Also a symbolic link that leads nowhere."""
    final = root / "a" / "b" / "disk"
    make = {
        "file": final.touch,
        "directory": final.mkdir,
        "dangling link": lambda: final.symlink_to("nowhere"),
        "link": lambda: final.symlink_to("/etc/passwd"),
    }
    make[kind]()
    for attempt in (check_free, lambda d: PartFile.open(d, ID)):
        with pytest.raises(DestinationExists):
            attempt(destination(root))
    assert [entry.name for entry in final.parent.iterdir()] == ["disk"]


def test_a_name_that_was_taken_meanwhile_is_never_overwritten(root: Path) -> None:
    """The kernel refuses the link; both files are as they were."""
    final = root / "a" / "b" / "disk"
    part = PartFile.open(destination(root), ID)
    try:
        final.write_bytes(b"theirs")
        with pytest.raises(DestinationExists):
            part.publish(0o644)
        part.discard()
        part.discard()
    finally:
        part.close()
    assert final.read_bytes() == b"theirs"
    assert [entry.name for entry in final.parent.iterdir()] == ["disk"]


@pytest.mark.parametrize("level", ["a", "a/b"])
@pytest.mark.parametrize("with_link", [True, False])
def test_a_directory_that_was_swapped_is_refused(
    root: Path, tmp_path: Path, level: str, *, with_link: bool
) -> None:
    """Nothing appears in the new one, and the part file is removed from the old one."""
    part = PartFile.open(destination(root), ID)
    try:
        (root / level).rename(tmp_path / "old")
        (tmp_path / "new" / "b").mkdir(parents=True)
        new = tmp_path / "new" if level == "a" else tmp_path / "new" / "b"
        if with_link:
            (root / level).symlink_to(new)
        else:
            new.rename(root / level)
        with pytest.raises((DestinationOutsideRoots, StorageFailed)):
            part.publish(0o644)
        part.discard()
    finally:
        part.close()
    assert not [path for path in tmp_path.rglob("disk*") if path.name.startswith("disk")]


def test_a_part_file_that_was_replaced_is_not_published(root: Path) -> None:
    """What gets the final name is the file that was opened and verified, or nothing."""
    part = PartFile.open(destination(root), ID)
    try:
        name = root / "a" / "b" / part_name(destination(root), ID)
        name.unlink()
        name.write_bytes(b"unverified")
        with pytest.raises(StorageFailed, match="replaced"):
            part.publish(0o644)
    finally:
        part.close()
    assert not (root / "a" / "b" / "disk").exists()


def test_two_publications_of_one_name_have_one_winner(root: Path) -> None:
    """However they interleave."""
    parts = [PartFile.open(destination(root), f"{ID}{number}") for number in range(8)]
    gate, outcomes = threading.Barrier(len(parts)), list[str]()

    def publish(part: PartFile) -> None:
        gate.wait(10.0)
        try:
            part.publish(0o644)
            outcomes.append("placed")
        except DestinationExists:
            outcomes.append("refused")

    threads = [threading.Thread(target=publish, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for part in parts:
        part.close()
    assert sorted(outcomes) == ["placed", *["refused"] * 7]


def test_a_disk_that_fails_after_the_link_leaves_no_final_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transfer failed, so there is no file; a stand-in, for a disk can't be made to fail so."""
    part = PartFile.open(destination(root), ID)

    def fail(fd: int) -> None:
        if fd == part._directory:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(part_file.os, "fsync", fail)
    try:
        with pytest.raises(StorageFailed, match="Input/output"):
            part.publish(0o644)
        part.discard()
    finally:
        part.close()
    assert list((root / "a" / "b").iterdir()) == []


def test_more_than_the_file_system_has_is_refused(root: Path) -> None:
    """The error says how much is free."""
    part = PartFile.open(destination(root), ID)
    try:
        with pytest.raises(NoSpace) as caught:
            part.check_space(1 << 60)
        assert caught.value.data["size"] == 1 << 60
    finally:
        part.close()


def test_find_file_sees_plain_files_only(root: Path) -> None:
    """Neither nothing nor a link is a placed file."""
    final = root / "a" / "b" / "disk"
    assert find_file(destination(root)) is None
    final.symlink_to("/etc/passwd")
    assert find_file(destination(root)) is None
    final.unlink()
    final.write_bytes(b"12345")
    found = find_file(destination(root))
    assert found is not None
    assert found.st_size == 5
