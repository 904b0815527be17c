"""One simulated world as the answer to a question."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

from benchmarks.simulate.figures import figures
from benchmarks.simulate.swarm import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.simulate.world import World


@dataclass(frozen=True)
class Answer:
    """One simulated world, the question that it answers, and its figures."""

    question: str
    case: str
    world: World
    figures: dict[str, float]
    #: Of one processor.
    seconds: float


def answer(question: str, case: str, world: World) -> Answer:
    """Simulate one world."""
    began = time.process_time()
    found = figures(simulate(world))
    return Answer(question, case, world, found, time.process_time() - began)


def answers(asked: Sequence[tuple[str, str, World]], jobs: int) -> Iterator[tuple[int, Answer]]:
    """Yield answers with their numbers as they come, out of so many processes.

    The last begin first: they are the largest.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(answer, *asked[n]): n for n in reversed(range(len(asked)))}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
