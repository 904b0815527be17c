"""What was converted, kept over restarts: nothing is hashed twice.

One JSON file per image, and one ``.torrent`` per variant beside it. A record counts only as long as
the file that it speaks of has the size and the time that it had then, and the image is described as
it was. Records are a cache: one that is lost or can't be read costs a conversion.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pydantic

from seeder.conversion import Conversion
from swarm import metainfo
from swarm.disk_errors import translated
from swarm.errors import BadInput
from swarm.messages import Hex, ImageDescription, Message, Text, Variant
from swarm.metainfo import TorrentName

if TYPE_CHECKING:
    from swarm.metainfo import Metainfo

_LOG = logging.getLogger(__name__)

#: So many changes of one variant may go by without the tracker being reached.
_MOST_REPLACED = 8


class Stamp(Message):
    """What identifies the content of a file, short of reading it."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Return the stamp of the file as it is now. Raises OSError."""
        status = path.stat()
        return cls(path=str(path), size=status.st_size, mtime_ns=status.st_mtime_ns)

    def holds(self) -> bool:
        """Tell whether the file is still the same."""
        with contextlib.suppress(OSError):
            return Stamp.of(Path(self.path)) == self
        return False


class VariantRecord(Message):
    """One conversion."""

    file: Stamp
    #: The file that a raw form was made of.
    origin: Stamp | None = None
    hash_algo: Text
    hash_value: Hex
    #: Info-hashes of earlier torrents of the variant: the tracker may still have one of them.
    replaced: list[Hex] = pydantic.Field(default_factory=list)

    def holds(self) -> bool:
        """Tell whether the bytes are still those that were hashed."""
        return self.file.holds() and (self.origin is None or self.origin.holds())


class ImageRecord(Message):
    """An image that was registered with the tracker, and its conversions."""

    image: ImageDescription
    variants: dict[Variant, VariantRecord] = pydantic.Field(default_factory=dict)


class Made(NamedTuple):
    """A variant that can be seeded: the file with its bytes, and its torrent."""

    file: Stamp
    conversion: Conversion
    #: The file that a raw form was made of.
    origin: Stamp | None = None


class Records:
    """All records of one seeder; thread-safe. Its methods wait for the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._records: dict[str, ImageRecord] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read what an earlier run left; what can't be read is removed."""
        for path in self._directory.glob("*.json"):
            try:
                record = ImageRecord.model_validate_json(path.read_bytes())
            except (OSError, pydantic.ValidationError) as error:
                _LOG.warning("%s: can't be read, its image will be hashed again: %s", path, error)
                path.unlink(missing_ok=True)
                continue
            self._records[record.image.id] = record

    def images(self) -> list[ImageDescription]:
        """Return every image on record."""
        return [record.image for record in list(self._records.values())]

    def variants(self, image_id: str) -> set[Variant]:
        """Return the variants of an image that were converted at some time."""
        record = self._records.get(image_id)
        return set() if record is None else set(record.variants)

    def remember(self, image: ImageDescription) -> None:
        """Put an image on record, or bring its description up to date."""
        with self._lock:
            record = self._records.get(image.id)
            if record is None:
                self._write(ImageRecord(image=image))
            elif record.image != image:
                # Another content makes the old conversions worthless.
                kept = record.variants if _same_content(record.image, image) else {}
                self._write(ImageRecord(image=image, variants=kept))

    def keep(self, image: ImageDescription, made: Made) -> None:
        """Put a conversion on record; what it replaces is remembered by its info-hash."""
        torrent = made.conversion.metainfo
        variant = VariantRecord(
            file=made.file,
            origin=made.origin,
            hash_algo=made.conversion.hash_algo,
            hash_value=made.conversion.hash_value,
            replaced=self._replaced_by(torrent),
        )
        with self._lock, translated("keep a torrent"):
            _replace(self._torrent_path(image.id, torrent.name.variant), torrent.data)
            record = self._records.get(image.id)
            others = record.variants if record and _same_content(record.image, image) else {}
            variants = {**others, torrent.name.variant: variant}
            self._write(ImageRecord(image=image, variants=variants))

    def _replaced_by(self, torrent: Metainfo) -> list[Hex]:
        last = self.torrent(*torrent.name)
        is_new = last is not None and last.info_hash != torrent.info_hash
        earlier = self.replaced(*torrent.name)
        return [*earlier, last.info_hash.hex()][-_MOST_REPLACED:] if last and is_new else earlier

    def replaced(self, image_id: str, variant: Variant) -> list[Hex]:
        """Return the info-hashes that torrents of a variant had before the one on record."""
        record = self._records.get(image_id)
        found = None if record is None else record.variants.get(variant)
        return [] if found is None else found.replaced

    def find(self, image: ImageDescription, variant: Variant) -> Made | None:
        """Return a conversion on record if it is still true."""
        record = self._records.get(image.id)
        if record is None or not _same_content(record.image, image):
            return None
        found = record.variants.get(variant)
        torrent = self.torrent(image.id, variant)
        if found is None or torrent is None or not found.holds():
            return None
        if torrent.size != found.file.size:
            return None
        conversion = Conversion(torrent, found.hash_algo, found.hash_value)
        return Made(found.file, conversion, found.origin)

    def torrent(self, image_id: str, variant: Variant) -> Metainfo | None:
        """Return the last torrent that was made of a variant, whether still true or not."""
        try:
            found = metainfo.parse(self._torrent_path(image_id, variant).read_bytes())
        except (OSError, BadInput):
            return None
        return found if found.name == TorrentName(image_id, variant) else None

    def changed(self) -> list[tuple[str, Variant]]:
        """Return the conversions whose files are not any more what was hashed."""
        return [
            (image_id, variant)
            for image_id, record in list(self._records.items())
            for variant, found in record.variants.items()
            if not found.holds()
        ]

    def forget(self, image_id: str) -> None:
        """Remove all that is on record of an image."""
        with self._lock, translated("remove a record"):
            self._records.pop(image_id, None)
            for variant in Variant:
                self._torrent_path(image_id, variant).unlink(missing_ok=True)
            self._json_path(image_id).unlink(missing_ok=True)

    def _write(self, record: ImageRecord) -> None:
        with translated("keep a record"):
            _replace(self._json_path(record.image.id), record.model_dump_json().encode())
        self._records[record.image.id] = record

    def _json_path(self, image_id: str) -> Path:
        return self._directory / f"{image_id}.json"

    def _torrent_path(self, image_id: str, variant: Variant) -> Path:
        return self._directory / f"{TorrentName(image_id, variant)}.torrent"


def _same_content(one: ImageDescription, other: ImageDescription) -> bool:
    """Tell whether two descriptions speak of the same bytes; a name may change."""
    fields = ("id", "size", "disk_format", "container_format", "os_hash_algo", "os_hash_value")
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def _replace(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all (a host crash may lose it, which costs a hash)."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)
