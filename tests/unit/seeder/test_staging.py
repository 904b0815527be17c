"""Staged files and records: whole or not there, and trusted only while they are unchanged."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from seeder.conversion import Conversion, hash_file
from seeder.records import Made, Records, Stamp
from seeder.staging import Staging
from swarm.errors import ConfigurationError, NoSpace
from swarm.messages import ImageDescription, Variant
from swarm.torrent_version import TorrentVersion
from tests.unit.seeder.workshop import IMAGE, describe, settled

ORIGINAL = Variant.ORIGINAL
V1, V2, HYBRID = TorrentVersion.V1, TorrentVersion.V2, TorrentVersion.HYBRID


def conversion_of(image: ImageDescription, path: Path, version: TorrentVersion = V2) -> Conversion:
    """Return the conversion of a file."""
    return asyncio.run(hash_file(image, ORIGINAL, path, image.size, version))


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Records, ImageDescription, Path]:
    """Return records with one conversion, its image, and its file."""
    path = settled(tmp_path / "image", b"bytes")
    image = describe(b"bytes")
    records = Records(tmp_path)
    records.keep(image, Made(Stamp.of(path), conversion_of(image, path)))
    return records, image, path


def test_only_a_committed_part_has_the_final_name(tmp_path: Path) -> None:
    """A part that was given up leaves nothing; one that was committed leaves the whole file."""
    staging = Staging(tmp_path)

    async def give_up() -> None:
        async with staging.part(IMAGE, ORIGINAL) as part:
            part.write_bytes(b"half")
            raise NoSpace("full")

    async def finish() -> Path:
        async with staging.part(IMAGE, ORIGINAL) as part:
            part.write_bytes(b"whole")
            return staging.commit(part)

    with pytest.raises(NoSpace):
        asyncio.run(give_up())
    assert list(tmp_path.iterdir()) == []
    assert asyncio.run(finish()) == staging.path(IMAGE, ORIGINAL)
    assert [path.name for path in tmp_path.iterdir()] == [f"{IMAGE}.original"]


def test_what_a_crash_left_is_removed_at_start(tmp_path: Path) -> None:
    """Parts go; whole files stay."""
    (tmp_path / f"{IMAGE}.raw.part").write_bytes(b"half")
    (tmp_path / f"{IMAGE}.original").write_bytes(b"whole")
    with Staging(tmp_path).opened():
        names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{IMAGE}.original", "lock"}


def test_two_seeders_do_not_share_a_directory(tmp_path: Path) -> None:
    """The second one is told so, at its start."""
    with (
        Staging(tmp_path).opened(),
        pytest.raises(ConfigurationError, match="another seeder"),
        Staging(tmp_path).opened(),
    ):
        pass


def test_a_directory_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    """The sentence names the option."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="state_dir"),
        Staging(tmp_path / "file" / "below").opened(),
    ):
        pass


def test_space_is_looked_at_first(tmp_path: Path) -> None:
    """An image that can't fit is not begun."""
    staging = Staging(tmp_path)
    staging.require_space(1)
    with pytest.raises(NoSpace, match="bytes free"):
        staging.require_space(1 << 60)


def test_a_record_outlives_a_restart(
    tmp_path: Path, kept: tuple[Records, ImageDescription, Path]
) -> None:
    """The torrent and the hash come back without a look at the bytes."""
    before, image, path = kept
    after = Records(tmp_path)
    after.load()
    found = after.find(image, ORIGINAL)
    assert found is not None
    assert found.file.path == str(path)
    assert found.conversion.seconds is None
    assert found == before.find(image, ORIGINAL)
    assert after.images() == [image]
    assert after.variants(IMAGE) == {ORIGINAL}


def test_a_renamed_image_keeps_its_record(
    kept: tuple[Records, ImageDescription, Path],
) -> None:
    """A name says nothing about bytes."""
    records, image, _ = kept
    renamed = image.model_copy(update={"name": "other"})
    records.remember(renamed)
    assert records.find(renamed, ORIGINAL) is not None
    assert records.images() == [renamed]


def test_an_image_described_differently_has_no_record(
    kept: tuple[Records, ImageDescription, Path],
) -> None:
    """Another hash means other bytes, whatever the file looks like."""
    records, _, _ = kept
    assert records.find(describe(b"octet"), ORIGINAL) is None


def change(path: Path) -> None:
    """Write other bytes of the same length."""
    path.write_bytes(b"octet")


@pytest.mark.parametrize("harm", [change, Path.unlink, os.truncate])
def test_a_changed_file_has_no_record(
    kept: tuple[Records, ImageDescription, Path], harm: object
) -> None:
    """Size or time tell; the torrent that was made of it stays known for comparison."""
    records, image, path = kept
    assert records.changed() == []
    if harm is os.truncate:
        path.write_bytes(b"byte")
    elif callable(harm):
        harm(path)
    assert records.find(image, ORIGINAL) is None
    assert records.changed() == [(IMAGE, ORIGINAL)]
    assert records.torrent(IMAGE, ORIGINAL) is not None


def test_a_raw_form_falls_with_its_original(tmp_path: Path) -> None:
    """A raw form is true only as long as the file that it was made of is the same."""
    raw = settled(tmp_path / "raw", b"bytes")
    origin = settled(tmp_path / "original", b"qcow2")
    image = describe(b"bytes")
    records = Records(tmp_path)
    conversion = asyncio.run(hash_file(image, Variant.RAW, raw, 5, V2))
    records.keep(image, Made(Stamp.of(raw), conversion, Stamp.of(origin)))
    assert records.find(image, Variant.RAW) is not None
    origin.write_bytes(b"other")
    assert records.find(image, Variant.RAW) is None


def test_a_record_that_cannot_be_read_is_removed(
    tmp_path: Path, kept: tuple[Records, ImageDescription, Path]
) -> None:
    """A torn file costs a conversion, and not the start of the seeder."""
    _, image, _ = kept
    (tmp_path / f"{IMAGE}.json").write_bytes(b'{"image": {')
    records = Records(tmp_path)
    records.load()
    assert records.find(image, ORIGINAL) is None
    assert not (tmp_path / f"{IMAGE}.json").exists()


def test_a_torrent_of_another_image_is_not_believed(
    tmp_path: Path, kept: tuple[Records, ImageDescription, Path]
) -> None:
    """The name inside has to be the one outside."""
    records, image, path = kept
    other = image.model_copy(update={"id": "00000000-0000-4000-8000-000000000000"})
    torrent = conversion_of(other, path).metainfo
    (tmp_path / f"{IMAGE}.original.torrent").write_bytes(torrent.data)
    assert records.find(image, ORIGINAL) is None


def test_a_forgotten_image_leaves_nothing(
    tmp_path: Path, kept: tuple[Records, ImageDescription, Path]
) -> None:
    """The file of the source is not ours to remove."""
    records, _, path = kept
    records.forget(IMAGE)
    assert list(tmp_path.iterdir()) == [path]
    assert records.images() == []


def test_what_a_torrent_replaces_is_remembered(
    kept: tuple[Records, ImageDescription, Path], tmp_path: Path
) -> None:
    """Over restarts, since the tracker may still have it; the same torrent again adds nothing."""
    records, image, path = kept
    assert records.replaced(IMAGE, ORIGINAL) == []
    made = {v: Made(Stamp.of(path), conversion_of(image, path, v)) for v in TorrentVersion}
    hashes = {version: one.conversion.metainfo.info_hash.hex() for version, one in made.items()}
    for version in (V2, HYBRID, HYBRID, V1):
        records.keep(image, made[version])
    assert records.replaced(IMAGE, ORIGINAL) == [hashes[V2], hashes[HYBRID]]
    after = Records(tmp_path)
    after.load()
    assert after.replaced(IMAGE, ORIGINAL) == [hashes[V2], hashes[HYBRID]]
    for _ in range(10):
        records.keep(image, made[V2])
        records.keep(image, made[V1])
    assert len(records.replaced(IMAGE, ORIGINAL)) == 8, "there is a bound"
