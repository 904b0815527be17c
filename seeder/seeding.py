"""Make -> publish -> seed, for one variant after the other.

It owns the workers, the torrents in the engine, and a task beside each torrent that waits for its
file to fail. What is to be done next is decided in ``jobs.py``; how a variant is made, in
``variants.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seeder.jobs import Agenda, Job, JobKey, JobState
from seeder.raw import check_has_raw_form
from swarm.blocking import in_thread
from swarm.deadline import within
from swarm.errors import (
    ImageRefused,
    ImageUnknown,
    QueueFull,
    SwarmError,
    TorrentConflict,
)
from swarm.messages import Convert, Refusal, SeedDocument, Variant, VariantReport, VariantState
from swarm.web import problems

if TYPE_CHECKING:
    from seeder.records import Made, Records
    from seeder.sources.source import Source
    from seeder.staging import Staging
    from seeder.variants import VariantMaker
    from swarm.engine import Engine, Torrent
    from swarm.messages import ImageDescription, ImageDocument
    from swarm.tracker_client import TrackerClient

_LOG = logging.getLogger(__name__)

#: More agents' wishes than that are refused until some are met.
MOST_DEMANDS = 1000
_REASON_CHARACTERS = 1000


class Seed(NamedTuple):
    """A torrent of ours in the engine, and the task that waits for its file to fail."""

    made: Made
    torrent: Torrent
    watcher: asyncio.Task[None]


class Seeding:
    """Everything between the wish for a variant and its torrent in the engine."""

    def __init__(
        self,
        *,
        source: Source,
        maker: VariantMaker,
        staging: Staging,
        records: Records,
        tracker: TrackerClient,
        engine: Engine,
        workers: int = 1,
    ) -> None:
        self._source = source
        self._maker = maker
        self._staging = staging
        self._records = records
        self._tracker = tracker
        self._engine = engine
        self._workers = workers
        self._agenda = Agenda()
        self._changed = asyncio.Event()
        self._running: dict[JobKey, asyncio.Task[None]] = {}
        self._seeds: dict[JobKey, Seed] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        workers = [
            asyncio.create_task(self._work(), name=f"seeder worker {number}")
            for number in range(self._workers)
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            await _end([*workers, *self._watchers])

    def request(self, image: ImageDescription, variant: Variant) -> None:
        """Let a variant be made and seeded, unless it is already."""
        self._request(image, variant, is_demanded=False)

    def _request(self, image: ImageDescription, variant: Variant, *, is_demanded: bool) -> Job:
        job = self._agenda.request(image, variant, is_demanded=is_demanded, now=time.monotonic())
        if job.state is JobState.WAITING:
            self._changed.set()
        return job

    async def on_convert(self, demand: Convert) -> Refusal | None:
        """Take an agent's wish on; return why not, if it is refused."""
        try:
            image = await self._source.show_image(demand.image_id)
            if demand.variant is Variant.RAW:
                check_has_raw_form(image)
            if self._agenda.demands_waiting() >= MOST_DEMANDS:
                raise QueueFull(f"{MOST_DEMANDS} images wait for their conversion already")
            job = self._request(image, demand.variant, is_demanded=True)
            if job.error is not None:
                raise job.error.with_traceback(None)
            if job.state is JobState.SEEDING:
                # The tracker would not ask if it had this torrent.
                await self._publish(job, self._seeds[job.key].made)
        except SwarmError as error:
            return Refusal(
                image_id=demand.image_id,
                variant=demand.variant,
                code=problems.row_of(error).code,
                detail=error.detail[:_REASON_CHARACTERS],
            )
        return None

    async def withdraw(self, image_id: str) -> None:
        """Stop whatever is done with an image, and remove what is kept of it here."""
        for job in self._agenda.of_image(image_id):
            self._agenda.remove(job)
            if (task := self._running.get(job.key)) is not None:
                await _end([task])
            await self._stop_seeding(job.key)
        await in_thread(partial(self._records.forget, image_id))
        for variant in Variant:
            await in_thread(partial(self._staging.discard, image_id, variant))

    async def remake_changed(self) -> None:
        """Take out of the swarm what is not any more what was hashed, and make it again."""
        for image_id, variant in await in_thread(self._records.changed):
            job = self._agenda.find(JobKey(image_id, variant))
            if job is not None and job.state is JobState.SEEDING:
                _LOG.warning("the file of image %s %s was changed", image_id, variant.value)
                await self._make_again(job)

    async def reopen(self, document: ImageDocument) -> None:
        """Take back failures that nobody here knows of: they are an earlier run's.

        Else the tracker would tell agents of them for ever, and ask no seeder again. Raises
        :class:`~swarm.errors.TrackerUnreachable`.
        """
        for variant in document.variants:
            job = self._agenda.find(JobKey(document.id, variant.variant))
            if variant.state is VariantState.FAILED and (job is None or job.error is None):
                report = VariantReport(state=VariantState.KNOWN)
                await self._tracker.report_variant(document.id, variant.variant, report)

    async def republish(self) -> None:
        """Tell the tracker again what it may have forgotten.

        Raises :class:`~swarm.errors.TrackerUnreachable`.
        """
        for job in self._agenda.all():
            seed = self._seeds.get(job.key)
            if seed is not None:
                await self._publish_again(job, seed.made)
            elif job.error is not None:
                await self._send_report(job, VariantState.FAILED, job.error.detail)

    async def _publish_again(self, job: Job, made: Made) -> None:
        try:
            await self._publish(job, made)
        except TorrentConflict as error:
            # Announces for ours are refused by now; the next attempt decides whose it is.
            _LOG.warning("%s", error.detail)
            await self._make_again(job)

    def seeds(self) -> list[SeedDocument]:
        """Return what is being seeded now."""
        return [_document(key, seed) for key, seed in self._seeds.items()]

    async def _work(self) -> None:
        while True:
            self._changed.clear()
            job = self._agenda.next_due(time.monotonic())
            if job is None:
                pause = self._agenda.seconds_to_next(time.monotonic())
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(pause, self._changed.wait())
            else:
                await self._do(job)

    async def _do(self, job: Job) -> None:
        """Do a job in a task of its own, which a withdrawal can cancel."""
        job.step(JobState.MAKING)
        task = asyncio.create_task(self._bring_up(job), name=f"seed {job.key}")
        self._running[job.key] = task
        try:
            await asyncio.wait([task])
        finally:
            await _end([task])
            del self._running[job.key]
        if not task.cancelled() and (error := task.exception()) is not None:
            await self._failed(job, error)

    async def _bring_up(self, job: Job) -> None:
        await self._tracker.register_image(job.image)
        await in_thread(partial(self._records.remember, job.image))
        await self._send_report(job, VariantState.CONVERTING)
        made = await self._maker.make(job.image, job.variant)
        try:
            await self._publish(job, made)
        except TorrentConflict:
            if not await self._is_replaced(job):
                raise
            await self._withdraw_replaced(job)
            await self._publish(job, made)
        await self._seed(job, made)

    async def _is_replaced(self, job: Job) -> bool:
        """Tell whether what the tracker has is an earlier torrent of ours.

        That is: of a file that was changed since, or of another version.
        """
        published = (await self._tracker.show_image(job.image.id)).variant(job.variant)
        replaced = await in_thread(partial(self._records.replaced, *job.key))
        return published is not None and published.info_hash in replaced

    async def _withdraw_replaced(self, job: Job) -> None:
        """Withdraw the image, which is the only way, but not what else is seeded of it."""
        await self._tracker.withdraw_image(job.image.id)
        for other in self._agenda.of_image(job.image.id):
            if (seed := self._seeds.get(other.key)) is not None:
                await self._publish(other, seed.made)

    async def _publish(self, job: Job, made: Made) -> None:
        await self._tracker.register_image(job.image)
        await self._tracker.publish_torrent(
            job.image.id,
            job.variant,
            made.conversion.metainfo.data,
            hash_algo=made.conversion.hash_algo,
            hash_value=made.conversion.hash_value,
        )

    async def _seed(self, job: Job, made: Made) -> None:
        # Published first: the tracker refuses announces for what it does not know.
        torrent = await self._engine.add(
            made.conversion.metainfo,
            Path(made.file.path),
            announce_url=self._tracker.announce_url,
            have_all=True,
        )
        watcher = asyncio.create_task(self._watch(job, torrent), name=f"watch {job.key}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        self._seeds[job.key] = Seed(made, torrent, watcher)
        job.step(JobState.SEEDING)
        _LOG.info(
            "seeding %s %s (%s, %d bytes) from %s",
            *(job.image.id, job.variant.value, job.image.name),
            *(made.file.size, made.file.path),
        )

    async def _watch(self, job: Job, torrent: Torrent) -> None:
        error = await torrent.failed()
        _LOG.warning("image %s %s: its file failed: %s", *job.key, error.detail)
        await self._make_again(job)

    async def _make_again(self, job: Job) -> None:
        await self._stop_seeding(job.key)
        job.retry(time.monotonic())
        self._changed.set()

    async def _stop_seeding(self, key: JobKey) -> None:
        seed = self._seeds.pop(key, None)
        if seed is None:
            return
        if seed.watcher is not asyncio.current_task():
            await _end([seed.watcher])
        await seed.torrent.remove()

    async def _failed(self, job: Job, error: BaseException) -> None:
        """Decide whether another attempt makes sense, and say so."""
        if isinstance(error, ImageUnknown):
            _LOG.info("image %s is gone", job.image.id)
            self._agenda.remove(job)
            return
        reason = error.detail if isinstance(error, SwarmError) else repr(error)
        what = f"image {job.image.id} {job.variant.value}"
        if isinstance(error, ImageRefused):
            job.refuse(error)
            _LOG.error("%s is refused: %s", what, reason)
            state = VariantState.FAILED
        else:
            pause = job.retry(time.monotonic())
            known = isinstance(error, SwarmError)
            _LOG.warning(
                "%s: %s; next attempt in %.0f s", what, reason, pause, exc_info=not known and error
            )
            state = VariantState.KNOWN
        with contextlib.suppress(SwarmError):
            await self._send_report(job, state, reason)

    async def _send_report(self, job: Job, state: VariantState, reason: str | None = None) -> None:
        text = None if reason is None else reason[:_REASON_CHARACTERS]
        report = VariantReport.model_validate({"state": state, "reason": text})
        await self._tracker.report_variant(*job.key, report)


def _document(key: JobKey, seed: Seed) -> SeedDocument:
    progress = seed.torrent.progress()
    return SeedDocument(
        image_id=key.image_id,
        variant=key.variant,
        info_hash=seed.made.conversion.metainfo.info_hash.hex(),
        size=seed.made.file.size,
        uploaded=progress.uploaded,
        upload_rate=progress.upload_rate,
        peers=progress.peers,
        conversion_seconds=seed.made.conversion.seconds,
    )


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have ended; their errors are their own."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
