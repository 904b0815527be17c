"""Connection ids: whose they are, how long they last, and that nobody else can make one."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.tracker.lab import Clock
from tracker.announce import connection_id
from tracker.announce.connection_id import LIFETIME_SECONDS, SKEW_SECONDS, ConnectionIds

addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
moments = st.integers(200, 1 << 33)


def ids_at(moment: float, secret: bytes = b"secret") -> ConnectionIds:
    """Return the ids of a tracker whose clock stands."""
    clock = Clock()
    clock.now = moment
    return ConnectionIds(secret, clock=clock)


@given(addresses, moments, st.integers(-SKEW_SECONDS, LIFETIME_SECONDS - 1))
def test_an_id_is_good_for_two_minutes(address: bytes, moment: int, age: int) -> None:
    """At every replica with the secret, and if that one's clock is a little behind."""
    issued = ids_at(moment).issue(address)
    assert len(issued) == 8
    assert ids_at(moment + age).is_valid(issued, address)


@given(addresses, moments, st.integers(LIFETIME_SECONDS, 1 << 18))
def test_an_id_that_is_over_stays_over(address: bytes, moment: int, age: int) -> None:
    """Also after 65536 seconds, when the time in it comes round."""
    assert not ids_at(moment + age).is_valid(ids_at(moment).issue(address), address)


@given(addresses, moments, st.integers(SKEW_SECONDS + 1, 1 << 18))
def test_an_id_from_the_future_is_refused(address: bytes, moment: int, ahead: int) -> None:
    """Nobody has issued it."""
    assert not ids_at(moment).is_valid(ids_at(moment + ahead).issue(address), address)


@given(addresses, addresses, moments)
def test_an_id_is_no_good_elsewhere(one: bytes, other: bytes, moment: int) -> None:
    """It proves that one receives at that address, and at no other."""
    assume(one != other)
    ids = ids_at(moment)
    issued = ids.issue(one)
    assert not ids.is_valid(issued, other)
    assert ids.is_valid(issued, one)
    assert not ids.is_valid(issued, other), "although it is known by now"


@given(addresses, moments, st.integers(0, 63))
def test_one_bit_spoils_it(address: bytes, moment: int, bit: int) -> None:
    """Whichever it is."""
    ids = ids_at(moment)
    bent = (int.from_bytes(ids.issue(address), "big") ^ (1 << bit)).to_bytes(8, "big")
    assert not ids.is_valid(bent, address)


@given(st.binary(min_size=8, max_size=8), addresses)
def test_guesses_are_refused(guess: bytes, address: bytes) -> None:
    """Whatever they are."""
    assert not ConnectionIds().is_valid(guess, address)


def test_another_secret_makes_other_ids() -> None:
    """A given one, or one made at the start."""
    address = bytes([127, 0, 0, 1])
    assert not ids_at(1000, b"one").is_valid(ids_at(1000, b"other").issue(address), address)
    assert not ConnectionIds().is_valid(ConnectionIds().issue(address), address)


def test_what_was_proved_ends_too() -> None:
    """An id that is used all the time is over in time as any other."""
    clock = Clock()
    ids = ConnectionIds(b"secret", clock=clock)
    issued = ids.issue(bytes(4))
    for _ in range(LIFETIME_SECONDS):
        assert ids.is_valid(issued, bytes(4))
        clock.now += 1
    assert not ids.is_valid(issued, bytes(4))


def test_what_is_remembered_is_bounded() -> None:
    """A flood from many addresses fills no memory."""
    ids = ids_at(1000)
    for number in range(connection_id.MOST_REMEMBERED + 10):
        address = number.to_bytes(4, "big")
        assert ids.is_valid(ids.issue(address), address)
    assert ids.remembered <= connection_id.MOST_REMEMBERED
