"""Rates and sizes as people write them."""

from __future__ import annotations

import pytest

from benchmarks import quantities


@pytest.mark.parametrize(
    ("text", "bits"),
    [("0", 0), ("50M", 50_000_000), ("2.5G", 2_500_000_000), ("64k", 64_000), ("7", 7)],
)
def test_rates_are_decimal(text: str, bits: int) -> None:
    """As links are sold."""
    assert quantities.rate(text) == bits


@pytest.mark.parametrize(("text", "count"), [("64M", 64 << 20), ("1G", 1 << 30), ("4096", 4096)])
def test_sizes_are_binary(text: str, count: int) -> None:
    """As images are."""
    assert quantities.size(text) == count


@pytest.mark.parametrize("text", ["", "fast", "-1", "5X", "5 M", "1e6", "M"])
def test_what_is_no_number_is_refused(text: str) -> None:
    """With an example of what is one."""
    with pytest.raises(ValueError, match="50M"):
        quantities.rate(text)
    with pytest.raises(ValueError, match="64M"):
        quantities.size(text)


def test_people_read_them_again() -> None:
    """In the units in which they were written."""
    assert quantities.rate_text(32_000_000) == "32 Mbit/s"
    assert quantities.rate_text(0) == "not shaped"
    assert quantities.size_text(64 << 20) == "64 MiB"
    assert quantities.size_text(100) == "100 B"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.05, "0.05"),
        (1.0134, "1.013"),
        (1.5, "1.500"),
        (2.97, "2.97"),
        (81.83, "81.8"),
        (714.2, "714"),
        (12345.6, "12,346"),
    ],
)
def test_ratios_near_one_have_three_places(value: float, text: str) -> None:
    """The targets are told in hundredths."""
    assert quantities.number_text(value) == text
