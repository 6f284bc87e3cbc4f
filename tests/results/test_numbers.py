import math

import pytest

from cosim.results.numbers import scaled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 "),
        (0.25, "0.25 "),
        (999.0, "999 "),
        (1000.0, "1 k"),
        (-23_450.0, "-23.4 k"),
        (3.5e9, "3.5 G"),
        (2e15, "2e+03 T"),
        (math.nan, "none "),
    ],
)
def test_scaled(value, text):
    assert scaled(value) == text
