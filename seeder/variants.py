"""From an image in the source to a variant that can be seeded: the steps, and who waits for whom.

original: read in place where the source has a local file, else streamed into staging. raw: from
the verified original, through qemu-img, into staging. What is on record and still true is not done
again.
"""

from __future__ import annotations

import asyncio
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seeder.conversion import hash_file, hash_stream
from seeder.raw import check_has_raw_form
from seeder.records import Made, Stamp
from swarm.blocking import in_thread
from swarm.errors import ImageCorrupt, SourceUnreachable
from swarm.messages import Variant

if TYPE_CHECKING:
    from seeder.conversion import Conversion
    from seeder.raw import RawConverter
    from seeder.records import Records
    from seeder.sources.source import Source
    from seeder.staging import Staging
    from swarm.messages import ImageDescription
    from swarm.torrent_version import TorrentVersion


class VariantMaker:
    """Makes variants; two of one image one after the other, since raw is made of the original.

    ``version`` is that of all torrents: what is on record with another one is hashed anew, where it
    lies, and neither fetched nor converted again.
    """

    def __init__(
        self,
        *,
        source: Source,
        staging: Staging,
        records: Records,
        raw: RawConverter,
        version: TorrentVersion,
    ) -> None:
        self._source = source
        self._staging = staging
        self._records = records
        self._raw = raw
        self._version = version
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock]
        self._turns = weakref.WeakValueDictionary()

    async def make(self, image: ImageDescription, variant: Variant) -> Made:
        """Return the variant, on record and ready to be seeded.

        Raises :class:`~swarm.errors.ImageRefused` for what no second attempt would mend, and
        :class:`~swarm.errors.Unavailable`, :class:`~swarm.errors.NoSpace` or
        :class:`~swarm.errors.StorageFailed` for what one may.
        """
        turn = self._turns.setdefault(image.id, asyncio.Lock())
        async with turn:
            make = self._original if variant is Variant.ORIGINAL else self._raw_form
            return await make(image)

    async def _on_record(self, image: ImageDescription, variant: Variant) -> Made | None:
        """Return what is on record; with a torrent of another version, it is hashed anew."""
        found = await in_thread(partial(self._records.find, image, variant))
        if found is None or found.conversion.metainfo.version is self._version:
            return found
        try:
            again = await self._hash(image, variant, Path(found.file.path), found.file.size)
        except (ImageCorrupt, SourceUnreachable):
            return None
        if not _same_bytes(found.conversion, again):
            return None
        made = found._replace(conversion=again)
        await in_thread(partial(self._records.keep, image, made))
        return made

    async def _hash(
        self, image: ImageDescription, variant: Variant, path: Path, size: int
    ) -> Conversion:
        return await hash_file(image, variant, path, size, self._version)

    async def _original(self, image: ImageDescription) -> Made:
        found = await self._on_record(image, Variant.ORIGINAL)
        if found is not None:
            return found
        path = await self._source.local_path(image)
        made = await (self._streamed(image) if path is None else self._in_place(image, path))
        await in_thread(partial(self._records.keep, image, made))
        return made

    async def _in_place(self, image: ImageDescription, path: Path) -> Made:
        # The stamp is taken first: a change from here on makes it untrue.
        stamp = await in_thread(partial(_stamp, path))
        return Made(stamp, await self._hash(image, Variant.ORIGINAL, path, image.size))

    async def _streamed(self, image: ImageDescription) -> Made:
        await in_thread(partial(self._staging.require_space, image.size))
        async with self._staging.part(image.id, Variant.ORIGINAL) as part:
            conversion = await hash_stream(image, self._source.read(image), part, self._version)
            path = await in_thread(partial(self._staging.commit, part))
        return Made(await in_thread(partial(_stamp, path)), conversion)

    async def _raw_form(self, image: ImageDescription) -> Made:
        check_has_raw_form(image)
        found = await self._on_record(image, Variant.RAW)
        if found is not None:
            return found
        original = await self._original(image)
        # How much of the disk is holes is not known yet; the image's own size is the least.
        await in_thread(partial(self._staging.require_space, image.size))
        async with self._staging.part(image.id, Variant.RAW) as part:
            size = await self._raw.convert(image, Path(original.file.path), part)
            conversion = await self._hash(image, Variant.RAW, part, size)
            path = await in_thread(partial(self._staging.commit, part))
        made = Made(await in_thread(partial(_stamp, path)), conversion, original.file)
        await in_thread(partial(self._records.keep, image, made))
        return made


def _same_bytes(one: Conversion, other: Conversion) -> bool:
    return (one.hash_algo, one.hash_value) == (other.hash_algo, other.hash_value)


def _stamp(path: Path) -> Stamp:
    try:
        return Stamp.of(path)
    except OSError as error:
        raise SourceUnreachable(f"{path} can't be read: {error.strerror}") from error
