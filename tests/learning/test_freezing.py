"""Layers that a device leaves as they are."""

import numpy as np
import pytest

from cosim.learning.adapter import Layout, Site
from cosim.learning.errors import LearningError
from cosim.learning.freezing import Frozen

SITES = tuple(Site(f"layers.{i}.{name}", 3, 4) for i in range(2) for name in ("q_proj", "v_proj"))
HEAD = Site("head", 3, 2)


def left(layout, *names):
    mask = Frozen.of(layout, names).unfrozen(layout, np.ones(layout.size, dtype=bool))
    return [
        (bool(mask[a].all()), bool(mask[a].any()), bool(mask[b].any()))
        for a, b in zip(layout.slices_a, layout.slices_b, strict=True)
    ], bool(mask[layout.part_head].any())


TRAINS, STILL = (True, True, True), (False, False, False)


@pytest.mark.parametrize("rank", [1, 3])
def test_what_is_named_is_frozen(rank):
    layout = Layout(SITES, rank, HEAD)
    assert left(layout) == ([TRAINS] * 4, True)
    assert left(layout, "q_proj") == ([STILL, TRAINS, STILL, TRAINS], True)
    assert left(layout, "layers.0.*") == ([STILL, STILL, TRAINS, TRAINS], True)
    assert left(layout, "layers.1.v_proj", "head") == ([TRAINS, TRAINS, TRAINS, STILL], False)


def test_what_does_not_train_stays_so():
    layout = Layout(SITES, 1)
    nothing = np.zeros(layout.size, dtype=bool)
    assert not Frozen.of(layout, ("q_proj",)).unfrozen(layout, nothing).any()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("k_proj",), "'k_proj' matches no layer that has an adapter; there are q_proj, v_proj"),
        (("layers.7.*",), "there are layers.*.q_proj, layers.*.v_proj"),
        (("head",), "'head' matches no layer"),
        (("*",), "expected a layer that is left to train, got ['*'], which are all 4"),
    ],
)
def test_mistakes(names, message):
    with pytest.raises(LearningError) as error:
        Frozen.of(Layout(SITES, 2), names)
    assert message in str(error.value)
