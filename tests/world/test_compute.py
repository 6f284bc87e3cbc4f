"""Compute time against its formulas."""

import numpy as np
import pytest
from scipy import stats

from cosim.rng import Draws
from cosim.world.compute.base import Work
from cosim.world.compute.flops import Flops
from cosim.world.compute.paper import Paper

WORK = Work(flops=6e12, num_parameters=1_000_000, num_samples=80, batch_size=8)


def test_paper_is_alpha_parameters_samples_over_batch():
    compute = Paper.model_validate({"alpha": "2e-7 s"})
    assert compute.time_s(Draws(1), 0, WORK) == pytest.approx(2e-7 * 1e6 * 80 / 8)
    assert compute.time_s(Draws(1), 0, WORK) == compute.time_s(Draws(2), 5, WORK)


def test_flops_of_a_fixed_rate():
    compute = Flops.model_validate({"rate": "0.5 TFLOP/s", "utilisation": 0.4})
    assert compute.time_s(Draws(1), 3, WORK) == pytest.approx(6e12 / (0.5e12 * 0.4))


def test_each_device_keeps_a_rate_of_its_own():
    compute = Flops(rate_flops=(1e12, 3e12))
    times_s = [compute.time_s(Draws(1), device, WORK) for device in range(50)]
    assert times_s == [compute.time_s(Draws(1), device, WORK) for device in range(50)]
    assert len(set(times_s)) == 50


def test_rates_are_uniform_over_devices():
    # n = 3000 devices, false-alarm rate 1e-3 over seeds.
    compute = Flops(rate_flops=(1e12, 3e12))
    rates = np.array([compute.device_rate_flops(Draws(8), device) for device in range(3000)])
    assert stats.kstest((rates - 1e12) / 2e12, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    "bad", [{}, {"rate": "0 FLOP/s"}, {"rate": "1 GFLOP/s", "utilisation": 1.5}, {"rate": 1e12}]
)
def test_mistakes_are_refused(bad):
    with pytest.raises(ValueError, match="validation error"):
        Flops.model_validate(bad)


def test_times_of_many_devices_are_those_of_each():
    compute = Flops(rate_flops=(1e9, 4e9))
    works = [Work(1e9 * (k + 1), 10, 20, 4) for k in range(6)]
    together = compute.time_s(Draws(1), np.arange(6), Work.of(works))
    assert together.tolist() == [compute.time_s(Draws(1), k, work) for k, work in enumerate(works)]
    alike = Work.of([works[2]] * 6)
    assert alike.taken(np.array(4)) == works[2]
    assert compute.time_s(Draws(1), np.arange(6), alike)[3] == compute.time_s(Draws(1), 3, works[2])
