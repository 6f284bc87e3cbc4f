"""What vectorised models must not do: give an element another value for where it stands."""

import numpy as np

LENGTHS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 1000, 5001)


def assert_position_independent(function, seed):
    """Check f(x)[i] == f(x[i : i + 1])[0] bit for bit, over lengths, starts and strides.

    Loops over arrays work on several elements at once and on the rest in another way.
    """
    rng = np.random.default_rng(seed)
    values = 10.0 ** rng.uniform(-6.0, 6.0, 5003)
    single = np.array([function(values[i : i + 1])[0] for i in range(len(values))])
    for length in LENGTHS:
        for start in (0, 1, 2):
            np.testing.assert_array_equal(
                function(values[start : start + length]), single[start : start + length]
            )
    np.testing.assert_array_equal(function(values[::3]), single[::3])
    np.testing.assert_array_equal(function(values[:5000].reshape(5, 1000)).ravel(), single[:5000])
