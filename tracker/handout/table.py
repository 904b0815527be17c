"""The handout policies by name: what ``[tracker] handout`` chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.handout.completeness import Completeness
from tracker.handout.rack_aware import RackAware
from tracker.handout.uniform import Uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.handout.policy import Policy

POLICIES: Mapping[str, Policy] = {
    "rack_aware": RackAware(),
    "uniform": Uniform(),
    "completeness": Completeness(),
}
