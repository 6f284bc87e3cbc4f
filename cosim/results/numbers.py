"""Numbers for people to read."""

import math

_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def scaled(value: float) -> str:
    """Return a value with three digits and the prefix of its unit: `12.3 M`, `4 `."""
    if math.isnan(value):
        return "none "
    factor, prefix = next(((f, p) for f, p in _SCALES if abs(value) >= f), (1.0, ""))
    return f"{value / factor:.3g} {prefix}"
