"""How far the fast engine looks ahead at the channel; what it finds does not depend on it."""

import numpy as np
import pytest
from network_helpers import NO_HEADER, Run, TableWorld


class CountingWorld(TableWorld):
    """Counts how often it is asked for gains."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_calls = 0

    def gain(self, src, dst, t_s):
        self.num_calls += 1
        return super().gain(src, dst, t_s)


def calls_of_each(num_flows, num_bytes, interval_s=1e-3):
    """Send one flow after the other; return how often each asked for gains, and the run."""
    gains = 1e-12 * np.random.default_rng(3).exponential(size=997)
    world = CountingWorld(2, gains, interval_s)
    run = Run(world, packets=False, deadline="1000 s", **NO_HEADER)
    calls = []
    for _ in range(num_flows):
        before = world.num_calls
        run.send(0, 1, num_bytes)
        run.env.run()
        calls.append(world.num_calls - before)
    return calls, run


def test_a_flow_like_those_before_is_looked_at_at_once():
    calls, run = calls_of_each(4, 150_000)
    lasted_s = [flow.end_s - flow.start_s for flow in run.flows]
    assert 0.1 < min(lasted_s) <= max(lasted_s) < 0.5  # more samples than 64, fewer than 1024
    assert calls[0] > 1
    assert calls[1:] == [1, 1, 1]


@pytest.mark.parametrize("num_bytes", [1, 3_000_000])
def test_a_first_look_is_bounded(num_bytes):
    """Of at least 64 samples, and of at most 16 times as many."""
    _, run = calls_of_each(1, 150_000)
    world = run.network._world
    before = world.num_read
    run.send(0, 1, num_bytes)
    run.env.run(until=run.env.now + 1e-9)
    assert world.num_read - before == (64 if num_bytes == 1 else 1024)


def test_an_ended_sending_is_let_go_before_its_deadline():
    _, run = calls_of_each(3, 1_000)
    assert not run.network._deadlines._waiting
    assert run.outcomes() == ["delivered"] * 3
