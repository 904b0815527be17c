"""Rates and sizes as people write them: ``50M`` bits per second, ``64M`` bytes."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kKMGT]?)")
_PREFIXES = ("", "K", "M", "G", "T")


def rate(text: str) -> int:
    """Return bits per second: ``50M`` is 50,000,000. Raises :class:`ValueError`."""
    return _scaled(text, 1000, "a rate is a number of bits per second, such as 50M or 1G; 0: none")


def size(text: str) -> int:
    """Return bytes: ``64M`` is 64 MiB. Raises :class:`ValueError`."""
    return _scaled(text, 1024, "a size is a number of bytes, such as 64M or 1G")


def _scaled(text: str, base: int, what: str) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: {what}")
    return int(float(match[1]) * base ** _PREFIXES.index(match[2].upper()))


def rate_text(bits_per_second: int) -> str:
    """Return a rate for a person."""
    if not bits_per_second:
        return "not shaped"
    value, prefix = _down(bits_per_second, 1000)
    return f"{value:g} {prefix.replace('K', 'k')}bit/s"


def size_text(count: int) -> str:
    """Return a number of bytes for a person."""
    value, prefix = _down(count, 1024)
    return f"{value:.4g} {prefix}{'i' if prefix else ''}B"


def _down(value: float, base: int) -> tuple[float, str]:
    for prefix in _PREFIXES:
        if value < base:
            return value, prefix
        value /= base
    return value * base, _PREFIXES[-1]


def number_text(value: float) -> str:
    """Return a figure with three digits, and a ratio near 1 with three places."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3f}" if 0.9 <= value < 2 else f"{value:.3g}"
