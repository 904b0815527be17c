"""Discovery's decisions, as values."""

from __future__ import annotations

from seeder.discovery import eager_variants, plan
from swarm.messages import Variant
from tests.unit.seeder.workshop import IMAGE, describe

IMAGE_A = describe(b"a")
IMAGE_B = describe(b"b", id="00000000-0000-4000-8000-000000000001")


def test_what_is_listed_and_unknown_is_new() -> None:
    """And what is known and listed is left alone."""
    assert plan([IMAGE_A, IMAGE_B], {IMAGE: IMAGE_A}) == ([IMAGE_B], [])


def test_what_is_known_and_not_listed_is_gone() -> None:
    """Also if it was registered by an earlier run only."""
    assert plan([IMAGE_A], {IMAGE: IMAGE_A, IMAGE_B.id: None}) == ([], [IMAGE_B.id])


def test_what_is_described_differently_is_registered_again() -> None:
    """A name or a property can change in Glance; the id stays."""
    renamed = IMAGE_A.model_copy(update={"name": "other"})
    assert plan([renamed], {IMAGE: IMAGE_A}) == ([renamed], [])


def test_what_the_tracker_may_have_forgotten_is_registered_again() -> None:
    """None stands for an image that was registered over an earlier connection."""
    assert plan([IMAGE_A], {IMAGE: None}) == ([IMAGE_A], [])


def test_an_image_listed_twice_is_registered_once() -> None:
    """A page boundary in Glance's listing can repeat one."""
    assert plan([IMAGE_A, IMAGE_A], {}) == ([IMAGE_A], [])


def test_raw_is_made_only_of_what_has_a_raw_form() -> None:
    """For a raw image the original is the raw form."""
    both = [Variant.ORIGINAL, Variant.RAW]
    assert eager_variants(describe(b"a", disk_format="qcow2"), both) == set(both)
    assert eager_variants(describe(b"a", disk_format="raw"), both) == {Variant.ORIGINAL}
    assert eager_variants(describe(b"a", disk_format="qcow2"), []) == set()
