"""The agenda: what is done next, and which steps there are."""

from __future__ import annotations

import re

import pytest

from seeder import jobs
from seeder.jobs import STEPS, Agenda, JobKey, JobState
from swarm.errors import IllegalTransition, ImageCorrupt
from swarm.messages import Variant
from tests.unit.seeder.workshop import describe

FIRST = describe(b"first", id="00000000-0000-4000-8000-000000000001")
SECOND = describe(b"second", id="00000000-0000-4000-8000-000000000002")
ORIGINAL = Variant.ORIGINAL


def test_what_agents_wait_for_goes_first() -> None:
    """A demand overtakes older jobs; otherwise the oldest is next."""
    agenda = Agenda()
    eager = agenda.request(FIRST, ORIGINAL, is_demanded=False, now=0)
    demanded = agenda.request(SECOND, ORIGINAL, is_demanded=True, now=1)
    assert agenda.next_due(1) is demanded
    demanded.step(JobState.MAKING)
    assert agenda.next_due(1) is eager


def test_a_wish_twice_is_one_job() -> None:
    """The second wish can only make it more urgent."""
    agenda = Agenda()
    job = agenda.request(FIRST, ORIGINAL, is_demanded=False, now=0)
    assert agenda.request(FIRST, ORIGINAL, is_demanded=True, now=5) is job
    assert agenda.request(FIRST, ORIGINAL, is_demanded=False, now=6) is job
    assert job.is_demanded
    assert agenda.demands_waiting() == 1
    assert agenda.all() == [job] == agenda.of_image(FIRST.id)


def test_a_failed_job_waits_longer_each_time() -> None:
    """2, 4, 8 s ... up to five minutes; it is not due before."""
    agenda = Agenda()
    job = agenda.request(FIRST, ORIGINAL, is_demanded=False, now=0)
    pauses = []
    for _ in range(10):
        job.step(JobState.MAKING)
        pauses.append(job.retry(100))
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses[-1] == 300
    assert agenda.next_due(100) is None
    assert agenda.seconds_to_next(150) == 250
    assert agenda.next_due(400) is job


def test_a_refused_job_is_not_tried_again() -> None:
    """Unless the image is described differently: it is another one then."""
    agenda = Agenda()
    job = agenda.request(FIRST, ORIGINAL, is_demanded=False, now=0)
    job.step(JobState.MAKING)
    job.refuse(ImageCorrupt("two hashes"))
    assert agenda.request(FIRST, ORIGINAL, is_demanded=True, now=1) is job
    assert agenda.next_due(1) is None
    assert agenda.seconds_to_next(1) is None
    changed = FIRST.model_copy(update={"os_hash_value": "00"})
    assert agenda.request(changed, ORIGINAL, is_demanded=False, now=2) is not job


def test_a_removed_job_can_be_wished_for_again() -> None:
    """Removing the old job afterwards does not touch the new one."""
    agenda = Agenda()
    old = agenda.request(FIRST, ORIGINAL, is_demanded=False, now=0)
    agenda.remove(old)
    new = agenda.request(FIRST, ORIGINAL, is_demanded=False, now=0)
    agenda.remove(old)
    assert agenda.find(JobKey(FIRST.id, ORIGINAL)) is new


@pytest.mark.parametrize("start", JobState)
@pytest.mark.parametrize("end", JobState)
def test_only_the_steps_in_the_table_are_taken(start: JobState, end: JobState) -> None:
    """Every other step raises and changes nothing."""
    job = Agenda().request(FIRST, ORIGINAL, is_demanded=False, now=0)
    job.state = start
    if end in STEPS[start]:
        job.step(end)
        assert job.state is end
    else:
        with pytest.raises(IllegalTransition):
            job.step(end)
        assert job.state is start


def test_the_drawing_names_every_state() -> None:
    """The picture at the top of the module and the table speak of the same states."""
    drawn = set(re.findall(r"waiting|making|seeding|refused", jobs.__doc__ or ""))
    assert drawn == {state.value for state in JobState} == {state.value for state in STEPS}
