"""Which methods can send and merge several times between two trainings."""

import numpy as np
import pytest
from method_helpers import PLAIN, clique, devices

from cosim.plugin import find, kinds

KINDS = {kind: find("method", kind) for kind in kinds("method")}


def second_updates(kind):
    """What three devices send after a training and a merge, and what they hold then."""
    method = kind.model_validate({"rank": 4} if kind.__name__ != "Hetlora" else {"ranks": (4,)})
    # Lori throws its first training away.
    merged = clique(method, PLAIN, devices(method, PLAIN, count=3, trainings=2))
    updates = [method.update(PLAIN, state, 3) for state in merged]
    return [(update, state.vector) for update, state in zip(updates, merged, strict=True)]


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.mixes_again])
def test_an_update_after_a_merge_tells_what_the_merge_came_to(name):
    for update, vector in second_updates(KINDS[name]):
        np.testing.assert_array_equal(update.values, vector[update.coordinates])
        assert update.values.any()


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.mixes_again])
def test_others_tell_something_else_or_nothing_of_it(name):
    """Flora's module is new and its product zero; soft sends what it has not sent before."""
    assert name in ("flora", "soft")
    for update, vector in second_updates(KINDS[name]):
        dense = update.dense(PLAIN.layout)
        nothing = not dense[PLAIN.layout.part_b].any()
        assert nothing or (update.values != vector[update.coordinates]).any()
