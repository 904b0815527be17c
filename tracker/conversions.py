"""From an agent's wish to a torrent: published already, or converted on demand.

The waiting is here, and the rule by which it ends (:func:`final_error`, :func:`late_error`). Who
was asked and what they said is kept in ``tracker/demands.py``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarm.deadline import within
from swarm.errors import ImageFailed, ImageNotReady, ImageUnknown, NoSeeder, Unavailable
from swarm.messages import VariantState
from swarm.web.problems import TABLE, error_of
from tracker.demands import Wanted

if TYPE_CHECKING:
    from swarm.errors import SwarmError
    from swarm.messages import Refusal, Variant
    from tracker.demands import Demand, Demands
    from tracker.registry.repository import Registry, StoredVariant

#: How long the seeders have to say that an image does not exist, even if the caller won't wait.
_GRACE_SECONDS = 2.0
_UNKNOWN = TABLE[ImageUnknown].code


@dataclass(frozen=True)
class Outlook:
    """What is known of one demand at one moment, while there is no torrent."""

    wanted: Wanted
    is_registered: bool
    state: VariantState | None = None
    reason: str | None = None
    is_withdrawn: bool = False
    seeder_count: int = 0
    #: Whether a connected seeder has still to answer.
    is_pending: bool = False
    #: One for each seeder that refused; an asked one that left unheard makes the list incomplete.
    refusals: tuple[Refusal, ...] = ()
    has_every_answer: bool = False


def final_error(outlook: Outlook) -> SwarmError | None:
    """Return the error that no waiting can change, or None while there is hope.

    An image that is registered and that each connected seeder denies is left to hope: the seeder
    that registered it may come back.
    """
    image_id, variant = outlook.wanted
    if outlook.is_withdrawn:
        return ImageUnknown(f"image {image_id} was withdrawn", image_id=image_id)
    if outlook.state is VariantState.FAILED:
        why = outlook.reason or "its seeder gave no reason"
        return ImageFailed(
            f"image {image_id}, variant {variant.value}, could not be converted: {why}",
            image_id=image_id,
        )
    if not outlook.has_every_answer:
        return None
    for refusal in outlook.refusals:
        if refusal.code != _UNKNOWN:
            return _error_of(refusal)
    return (
        None
        if outlook.is_registered
        else ImageUnknown(f"no source has an active image {image_id}", image_id=image_id)
    )


def _error_of(refusal: Refusal) -> SwarmError:
    # A code of a newer seeder is taken for something that may pass.
    unavailable = TABLE[Unavailable].status
    return error_of(unavailable, {"code": refusal.code, "detail": refusal.detail})


def late_error(outlook: Outlook) -> SwarmError:
    """Return what to say when the time is up and nothing is final."""
    image_id, variant = outlook.wanted
    if outlook.is_pending:
        return ImageNotReady(
            f"image {image_id}, variant {variant.value}, is not converted yet", image_id=image_id
        )
    if outlook.seeder_count:
        return NoSeeder(f"no connected seeder has image {image_id}", image_id=image_id)
    return NoSeeder(
        f"image {image_id} is not published, and no seeder is connected that could convert it",
        image_id=image_id,
    )


class Conversions:
    """Hands out torrents, and has those converted that are not there yet."""

    def __init__(
        self, registry: Registry, demands: Demands, *, grace_seconds: float = _GRACE_SECONDS
    ) -> None:
        self._registry = registry
        self._demands = demands
        self._grace_seconds = grace_seconds

    async def torrent(self, image_id: str, variant: Variant, *, wait_seconds: float) -> bytes:
        """Return the metainfo of a variant, waiting for its conversion if need be.

        Raises :class:`~swarm.errors.ImageUnknown`, :class:`~swarm.errors.ImageFailed` or what the
        seeders refused it for as soon as that is certain; when ``wait_seconds`` are over,
        :class:`~swarm.errors.ImageNotReady` or :class:`~swarm.errors.NoSeeder`.
        """
        wanted = Wanted(image_id, variant)
        stored = await self._registry.find_variant(image_id, variant)
        if stored is not None and stored.metainfo is not None:
            return stored.metainfo
        error = final_error(_first_outlook(wanted, stored))
        if error is not None:
            raise error
        with self._demands.waiting_for(wanted) as demand:
            return await self._wait(demand, wait_seconds)

    async def _wait(self, demand: Demand, wait_seconds: float) -> bytes:
        clock = asyncio.get_running_loop().time
        start = clock()
        while True:
            change = demand.change
            stored = await self._registry.find_variant(*demand.wanted)
            if stored is not None and stored.metainfo is not None:
                return stored.metainfo
            outlook = self._outlook(demand, stored)
            error = final_error(outlook)
            if error is not None:
                raise error
            if self._demands.is_closed:
                raise Unavailable("the tracker is shutting down")
            seconds_left = start + self._patience(outlook, wait_seconds) - clock()
            if seconds_left <= 0:
                raise late_error(outlook)
            await _wait_for(change, seconds_left)

    def _patience(self, outlook: Outlook, wait_seconds: float) -> float:
        if outlook.is_pending and not outlook.is_registered:
            return max(wait_seconds, self._grace_seconds)
        return wait_seconds

    def _outlook(self, demand: Demand, stored: StoredVariant | None) -> Outlook:
        document = stored.document if stored else None
        answers = demand.answers.values()
        return Outlook(
            wanted=demand.wanted,
            is_registered=stored is not None,
            state=document.state if document else None,
            reason=document.reason if document else None,
            is_withdrawn=demand.is_withdrawn,
            seeder_count=self._demands.seeder_count,
            is_pending=self._demands.is_pending(demand),
            refusals=tuple(demand.refusals),
            has_every_answer=bool(answers) and None not in answers,
        )


def _first_outlook(wanted: Wanted, stored: StoredVariant | None) -> Outlook:
    document = stored.document if stored else None
    return Outlook(
        wanted,
        is_registered=stored is not None,
        state=document.state if document else None,
        reason=document.reason if document else None,
    )


async def _wait_for(change: asyncio.Event, seconds: float) -> None:
    try:
        await within(seconds, change.wait())
    except asyncio.TimeoutError:
        return  # the caller looks once more, and at the clock
