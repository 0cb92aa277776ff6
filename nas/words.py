"""Numbers as people read them, alike in the terminal and on the page: millions, percentages, points, milliseconds."""

from __future__ import annotations

import math
from collections.abc import Sequence


def amount(value: float, digits: int | None = None) -> str:
    """A count with three significant digits, so that columns line up: 0.65 M, 1.20 G. With `digits`, as many as that
    at most: 1.2 G.
    """
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{_rounded(value / size, digits)} {prefix}"
    return f"{value:.{digits or 6}g}"


def percent(share: float, decimals: int = 2) -> str:
    """0.9644 -> 96.44 %."""
    return f"{100 * share:.{decimals}f} %"


def share(part: float) -> str:
    """A share of a space, however small: 34 %, 0.02 %, 1.3e-06."""
    if part >= 0.001:
        return f"{100 * part:.3g} %"
    return f"{part:.2g}" if part > 0 else "0"


def points(difference: float) -> str:
    """A difference of two accuracies in percentage points, with its sign."""
    return f"{100 * difference:+.2f}"


def significant(value: float) -> str:
    """Three significant digits."""
    return _rounded(value)


def milliseconds(value: float) -> str:
    """Three significant digits."""
    return f"{significant(value)} ms"


def duration(nanoseconds: float, digits: int | None = None) -> str:
    """Three significant digits, or as many as `digits` at most: 3.20 ms, 850 us, 1.25 s."""
    return _from_nano(nanoseconds, "s", digits)


def energy(nanojoules: float, digits: int | None = None) -> str:
    """The same of energy: 3.20 mJ."""
    return _from_nano(nanojoules, "J", digits)


def _from_nano(value: float, unit: str, digits: int | None) -> str:
    for size, prefix in ((1e9, ""), (1e6, "m"), (1e3, "u")):
        if abs(value) >= size:
            return f"{_rounded(value / size, digits)} {prefix}{unit}"
    return f"{value:.{digits or 6}g} n{unit}"


def seconds(value: float) -> str:
    """12.3 s, 4 min 05 s, 2 h 11 min."""
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def gigabytes(size: float) -> str:
    """Bytes as 12.3 GB (10^9), or, of less than one, 320 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def roughly(duration: float) -> str:
    """Seconds of what is only estimated, with one or two digits: 20 s, 4 min, 1.5 h, 3 days."""
    for unit, length, most in (("s", 1.0, 90.0), ("min", 60.0, 90.0), ("h", 3600.0, 48.0), ("days", 86400.0, math.inf)):
        if duration < most * length:
            value = duration / length
            return f"{value:.1f} {unit}" if value < 3 else f"{value:.0f} {unit}"
    raise AssertionError(duration)


def architectures(count: str | int) -> str:
    """An exact count while it is short, then its magnitude: 4,096; 3.4e+17."""
    number = int(count)
    if number < 10**9:
        return f"{number:,}"
    exponent = len(str(number)) - 1
    return f"{number // 10 ** (exponent - 1) / 10:.1f}e+{exponent}"


def listed(parts: Sequence[str]) -> str:
    """One, two and three: "a", "a and b", "a, b and c"."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: int, thing: str) -> str:
    """1 epoch, 2 epochs, 10,000 epochs."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first names of many: "a, b, c, d, e, ..."."""
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])])


def _rounded(value: float, digits: int | None = None) -> str:
    return f"{value:.{digits}g}" if digits else f"{value:.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    return max(0, 2 - math.floor(math.log10(abs(value)))) if 0 < abs(value) < 1000 else 0
