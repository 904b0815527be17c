"""Which variants are to be made, in which order, and how far each is. No I/O, no clock of its own.

::

    waiting ──> making ──> seeding
       ^  ^        │ │        │
       │  └────────┘ └─> refused
       └──────────────────────┘      its file was changed or lost
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from swarm.errors import IllegalTransition

if TYPE_CHECKING:
    from swarm.errors import SwarmError
    from swarm.messages import ImageDescription, Variant

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 300.0


class JobState(enum.Enum):
    """How far a variant is."""

    WAITING = "waiting"
    MAKING = "making"
    SEEDING = "seeding"
    REFUSED = "refused"
    """For good: until the image changes, or the seeder is started again."""


STEPS = {
    JobState.WAITING: {JobState.MAKING},
    JobState.MAKING: {JobState.SEEDING, JobState.WAITING, JobState.REFUSED},
    JobState.SEEDING: {JobState.WAITING},
    JobState.REFUSED: set(),
}


class JobKey(NamedTuple):
    """One variant of one image."""

    image_id: str
    variant: Variant


@dataclass(eq=False)
class Job:
    """The making of one variant."""

    image: ImageDescription
    variant: Variant
    number: int
    #: An agent waits for it.
    is_demanded: bool
    #: Monotonic seconds before which it is not tried.
    due: float
    state: JobState = field(default=JobState.WAITING, init=False)
    attempts: int = field(default=0, init=False)
    #: Why it was refused.
    error: SwarmError | None = field(default=None, init=False)

    @property
    def key(self) -> JobKey:
        """Return what the job is known by."""
        return JobKey(self.image.id, self.variant)

    def step(self, state: JobState) -> None:
        """Go to ``state``. Raises :class:`~swarm.errors.IllegalTransition`."""
        if state not in STEPS[self.state]:
            raise IllegalTransition(f"a job can't go from {self.state.value} to {state.value}")
        self.state = state

    def refuse(self, error: SwarmError) -> None:
        """End it for good."""
        self.step(JobState.REFUSED)
        self.error = error

    def retry(self, now: float) -> float:
        """Let it wait for another attempt; return for how many seconds: 2, 4, ... 300."""
        self.step(JobState.WAITING)
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(self.attempts, 16), _LONGEST_PAUSE_SECONDS)
        self.attempts += 1
        self.due = now + pause
        return pause


class Agenda:
    """All jobs; at most one for each variant of an image."""

    def __init__(self) -> None:
        self._jobs: dict[JobKey, Job] = {}
        self._numbers = 0

    def request(
        self, image: ImageDescription, variant: Variant, *, is_demanded: bool, now: float
    ) -> Job:
        """Return the job of a variant, a new one unless there is one already.

        A job that was refused begins anew if the image is described differently now.
        """
        key = JobKey(image.id, variant)
        job = self._jobs.get(key)
        if job is None or (job.state is JobState.REFUSED and job.image != image):
            self._numbers += 1
            job = self._jobs[key] = Job(image, variant, self._numbers, is_demanded, now)
        job.is_demanded |= is_demanded
        return job

    def next_due(self, now: float) -> Job | None:
        """Return the job to do next: what agents wait for first, then by age."""
        due = [job for job in self._waiting() if job.due <= now]
        return min(due, key=lambda job: (not job.is_demanded, job.number), default=None)

    def seconds_to_next(self, now: float) -> float | None:
        """Return the seconds until a waiting job is due; None if none waits."""
        return min((max(0.0, job.due - now) for job in self._waiting()), default=None)

    def demands_waiting(self) -> int:
        """Return how many jobs agents wait for."""
        return sum(job.is_demanded for job in self._waiting())

    def of_image(self, image_id: str) -> list[Job]:
        """Return the jobs of an image."""
        return [job for job in self._jobs.values() if job.image.id == image_id]

    def find(self, key: JobKey) -> Job | None:
        """Return a job, or None."""
        return self._jobs.get(key)

    def all(self) -> list[Job]:
        """Return every job."""
        return list(self._jobs.values())

    def remove(self, job: Job) -> None:
        """Forget a job."""
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    def _waiting(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.state is JobState.WAITING]
