"""Given clusters held against the limits, as the literal formulas have it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_oracle import feasible, limits, make_view, views

from cosim.planning.constraints import Constraints
from cosim.planning.feasibility import broken
from cosim.planning.planners.agnes import Agnes


def numbered(view, numbers):
    """Return cluster numbers from 0 on without gaps, -1 for the dead."""
    cluster = np.full(view.num_devices, -1)
    alive = np.flatnonzero(view.alive)
    if len(alive):
        _, cluster[alive] = np.unique(np.array(numbers)[alive], return_inverse=True)
    return cluster


@settings(max_examples=400, deadline=None, derandomize=True)
@given(views(), limits(), st.lists(st.integers(0, 3), min_size=7, max_size=7))
def test_equals_the_literal_limits(view, fields, numbers):
    planner = Agnes().model_copy(update=fields)
    cluster = numbered(view, numbers)
    found = broken(Constraints(planner, view), cluster)
    assert len(found) == cluster.max(initial=-1) + 1
    for number, is_broken in enumerate(found.tolist()):
        members = tuple(np.flatnonzero(cluster == number).tolist())
        assert is_broken == (len(members) > 1 and not feasible(view, planner, members))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(views(), limits())
def test_what_a_planner_has_just_planned_is_not_broken(view, fields):
    planner = Agnes().model_copy(update=fields)
    assert not broken(Constraints(planner, view), planner.plan(view).cluster).any()


@pytest.mark.parametrize(("link_dbm", "is_broken"), [(20.0, False), (20.1, True)])
def test_fixed_powers_are_within_the_limit_together(link_dbm, is_broken):
    view = make_view(3, {(0, 1): 1e-8, (0, 2): 1e-8, (1, 2): 1e-8})
    planner = Agnes(power="fixed", link_power_dbm=link_dbm, max_collision=1.0)
    assert broken(Constraints(planner, view), np.zeros(3, int)).tolist() == [is_broken]


def test_one_device_alone_is_never_broken():
    view = make_view(2, {}, compute_s=np.array([9.0, 1.0]))
    planner = Agnes().model_copy(update={"max_compute_s": 5.0, "max_collision": 0.0})
    assert broken(Constraints(planner, view), np.array([0, 1])).tolist() == [False, False]
