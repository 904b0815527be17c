"""A trial: one contestant set up in one lab, beside the limit that its figures are ratios to.

Most scenarios are one function that makes a run of a :class:`Trial`, given to :func:`trials`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from benchmarks.contestants.chain import copy
from benchmarks.contestants.roles import roles
from benchmarks.contestants.table import CONTESTANTS
from benchmarks.crowd import crowd, discard
from benchmarks.lab.image import make
from benchmarks.lab.lab import running_lab
from benchmarks.lab.plan import Shape
from benchmarks.scenario import Limit, failed, run_of
from swarm.errors import ConfigurationError, SwarmError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from benchmarks.contestants.contract import Distribution
    from benchmarks.contestants.roles import Roles
    from benchmarks.crowd import Crowd
    from benchmarks.lab.lab import Lab
    from benchmarks.scenario import Options, Run

    Case = Mapping[str, int | str]

D = TypeVar("D", bound="Distribution")


@dataclass(frozen=True)
class Trial(Generic[D]):
    """What a run is made of."""

    contestant: str
    case: Case
    options: Options
    lab: Lab
    limit: Limit
    distribution: D

    def run(self, done: Crowd) -> Run:
        """Return the run that a crowd was."""
        return run_of(self.contestant, dict(self.case), done, self.limit)


def trials(
    options: Options,
    once: Callable[[Trial[Distribution]], Awaitable[Run]],
    *,
    case: Case | None = None,
    limit_bytes: int | None = None,
    rates: Mapping[int, int] | None = None,
) -> AsyncGenerator[Run, None]:
    """Yield the runs that ``once`` makes, number of hosts by number of hosts.

    ``case`` is what is varied beside that number; ``limit_bytes`` of how many bytes a plain copy is
    the limit, by default of an image's; ``rates`` are those of hosts with links of their own.
    """
    setups = {name: CONTESTANTS[name] for name in options.contestants}
    setting = _Setting(options, case or {}, limit_bytes or options.image_bytes, rates or {})
    return _each(setups, setting, once)


def our_trials(
    options: Options,
    once: Callable[[Trial[Roles]], Awaitable[Run]],
    *,
    case: Case | None = None,
    agent: str = "",
) -> AsyncGenerator[Run, None]:
    """As :func:`trials`, of our roles, for what no other contestant can be asked for.

    ``agent`` is text for the agents' configuration. Raises
    :class:`~swarm.errors.ConfigurationError` if another contestant is asked for.
    """
    if set(options.contestants) != {"roles"}:
        raise ConfigurationError("--contestants: this scenario asks for what only our roles have")
    setting = _Setting(options, case or {}, options.image_bytes, {})
    return _each({"roles": partial(roles, agent=agent)}, setting, once)


class _Setting(NamedTuple):
    options: Options
    case: Case
    limit_bytes: int
    rates: Mapping[int, int]


async def _each(
    setups: Mapping[str, Callable[[Lab], AbstractAsyncContextManager[D]]],
    setting: _Setting,
    once: Callable[[Trial[D]], Awaitable[Run]],
) -> AsyncGenerator[Run, None]:
    options = setting.options
    for hosts in options.hosts:
        shape = Shape(hosts, options.racks, options.rate, options.uplink, setting.rates)
        for contestant, setup in setups.items():
            async with running_lab(shape) as lab:
                limit = await limit_of(lab, setting.limit_bytes)
                case = {"hosts": hosts, **setting.case}
                runs = _repeated(setup, lab, limit, contestant, case, options, once)
                async with contextlib.aclosing(runs):
                    async for run in runs:
                        yield run


async def _repeated(
    setup: Callable[[Lab], AbstractAsyncContextManager[D]],
    lab: Lab,
    limit: Limit,
    contestant: str,
    case: Case,
    options: Options,
    once: Callable[[Trial[D]], Awaitable[Run]],
) -> AsyncGenerator[Run, None]:
    """Yield the repeats; one that fails is the last, as its programs are in no state for more."""
    try:
        async with setup(lab) as distribution:
            trial = Trial(contestant, case, options, lab, limit, distribution)
            for _ in range(options.repeat):
                yield await once(trial)
    except SwarmError as error:
        yield failed(contestant, dict(case), error)


async def limit_of(lab: Lab, size: int) -> Limit:
    """Return what one plain TCP copy of so many bytes takes, from the source to the first host."""
    image = make(lab.images, size)
    async with copy(lab) as distribution:
        done = await crowd(lab, distribution, image, hosts=lab.hosts[:1])
    discard(image, done.files.values())
    return Limit(done.last, done.reading.sent["source"])
