"""Shadowing: its law by state of sight, what it needs to know, and where it comes from."""

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.rng import Draws
from cosim.world.path_loss.base import Shadow
from cosim.world.shadowing.base import ShadowingInstant
from cosim.world.shadowing.gudmundson import Gudmundson
from cosim.world.shadowing.none import NoShadowing

LOW, HIGH = np.triu_indices(150, 1)  # 11,175 links
LAW = Shadow(4.0, 10.0)


def instant(travelled_m=0.0, sight=True, law=LAW, low=LOW, high=HIGH) -> ShadowingInstant:
    shape = np.broadcast_shapes(np.shape(low), np.shape(travelled_m))
    travelled_m = np.broadcast_to(np.asarray(travelled_m, dtype=float), shape)
    at_m = np.zeros((*shape, 2))
    return ShadowingInstant(low, high, travelled_m, at_m, at_m, sight, law)


def shadow_db(model=None, **options):
    return (model or Gudmundson()).loss_db(Draws(5), instant(**options))


def test_keys_overrule_the_model_one_by_one():
    base = shadow_db(travelled_m=3.0)
    assert (shadow_db(Gudmundson(sigma_db=8.0), travelled_m=3.0) == 2.0 * base).all()
    moved = shadow_db(Gudmundson(decorrelation_m=20.0), travelled_m=6.0)
    assert np.abs(moved - base).max() < 1e-9
    both = Gudmundson(sigma_db=8.0, decorrelation_m=20.0)
    assert (shadow_db(both, travelled_m=6.0, law=None) == 2.0 * moved).all()


def test_states_of_sight_have_processes_of_their_own():
    # Independent: 4 sigma of n = 11,175.
    seen, unseen = shadow_db(sight=True), shadow_db(sight=False)
    assert abs(np.corrcoef(seen, unseen)[0, 1]) < 4 / np.sqrt(seen.size)
    sight = np.arange(LOW.size) % 3 == 0
    assert (shadow_db(sight=sight) == np.where(sight, seen, unseen)).all()


def test_a_link_back_in_sight_goes_on_where_its_process_is():
    travelled_m = np.arange(0.0, 40.0)
    sight = (travelled_m < 10.0) | (travelled_m > 20.0)
    law = Shadow(np.where(sight, 4.0, 8.0), np.where(sight, 10.0, 13.0))
    low, high = np.array([3]), np.array([7])
    mixed = shadow_db(travelled_m=travelled_m, sight=sight, law=law, low=low, high=high)
    clear = shadow_db(travelled_m=travelled_m, low=low, high=high)
    assert (mixed[sight] == clear[sight]).all()
    assert (mixed[~sight] != clear[~sight]).all()


def test_no_shadowing_is_zero_and_sigma_zero_too():
    assert (shadow_db(NoShadowing(), travelled_m=3.0) == 0.0).all()
    assert np.abs(shadow_db(Gudmundson(sigma_db=0.0))).max() == 0.0


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({}, ("sigma", "decorrelation")),
        ({"sigma": "6 dB"}, ("decorrelation",)),
        ({"decorrelation": "20 m"}, ("sigma",)),
        ({"sigma": "6 dB", "decorrelation": "20 m"}, ()),
    ],
)
def test_what_nobody_gives_is_named(keys, missing):
    model = Gudmundson.model_validate(keys)
    assert model.missing_keys(None) == missing
    assert model.missing_keys(LAW) == ()
    if missing:
        with pytest.raises(ValueError, match=f"expected {' and '.join(missing)}, because"):
            shadow_db(model, law=None)
    assert NoShadowing().missing_keys(None) == ()


@pytest.mark.parametrize("keys", [{"decorrelation": "0 m"}, {"sigma": "-1 dB"}])
def test_nonsense_is_refused(keys):
    with pytest.raises(ValidationError):
        Gudmundson.model_validate(keys)
