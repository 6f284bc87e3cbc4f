import numpy as np
import pytest
from synthetic import make_run

from cosim.results.outcomes import cut_by_end, delay_distribution, end_s
from cosim.results.run import Run


def test_kaplan_and_meiers_own_example():
    # J. Am. Stat. Assoc. 53 (1958), section 2: deaths at 0.8, 3.1, 5.4, 9.2 months, losses at 1.0,
    # 2.7, 7.0, 12.1; survival 7/8, 7/10, 21/40, 21/80.
    delays_s, fraction = delay_distribution(
        np.array([3.1, 0.8, 9.2, 5.4]), 0, np.array([7.0, 1.0, 12.1, 2.7])
    )
    assert delays_s.tolist() == [0.8, 3.1, 5.4, 9.2]
    np.testing.assert_allclose(1.0 - fraction, [7 / 8, 7 / 10, 21 / 40, 21 / 80])


def test_without_cuts_it_is_the_empirical_distribution():
    delays_s = np.array([5.0, 1.0, 2.0, 2.0])
    _, fraction = delay_distribution(delays_s, 2, np.array([]))
    np.testing.assert_allclose(fraction, np.arange(1, 5) / 6)


def test_one_that_is_cut_at_a_delay_was_still_there_at_it():
    _, fraction = delay_distribution(np.array([1.0, 2.0]), 0, np.array([1.0]))
    np.testing.assert_allclose(fraction, [1 / 3, 1.0])


def test_cuts_do_not_bend_the_distribution():
    # Delays of mean 1, windows of mean 1.5, all exponential: n = 20,000. The standard error of F is
    # at most sqrt(F (1 - F) / n_seen), n_seen > 2,000 up to t = 1; 4.5 sigma at three instants:
    # 2e-5 of seeds.
    rng = np.random.default_rng(5)
    delay_s, window_s = rng.exponential(1.0, 20_000), rng.exponential(1.5, 20_000)
    seen = delay_s <= window_s
    at_s, fraction = delay_distribution(delay_s[seen], 0, window_s[~seen])
    for t_s in (0.2, 0.5, 1.0):
        estimate = fraction[np.searchsorted(at_s, t_s) - 1]
        assert abs(estimate - (1.0 - np.exp(-t_s))) < 4.5 * 0.5 / np.sqrt(2_000)
    naive = seen & (delay_s <= 1.0)
    assert naive.mean() < 0.55 < 1.0 - np.exp(-1.0) - 0.05  # what counting cuts as late gives


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), num_rounds=2, packets=False)


def test_the_end_of_a_run_is_that_of_its_devices(run):
    assert end_s(run) == run.energy["t_s"].max() == run.rounds["t_s"].max()


def test_only_transfers_aborted_at_the_end_were_cut_by_it(run):
    assert not cut_by_end(run).any()
    run, last_s = Run(run.path), end_s(run)
    flows = run.flows.copy()
    flows.loc[[0, 1], "outcome"] = "aborted"
    flows.loc[[0, 2], "end_s"] = last_s
    run.flows = flows  # 0 was cut, 1 was aborted before, 2 was delivered at the end
    assert cut_by_end(run)[[0, 1, 2]].tolist() == [True, False, False]
    assert cut_by_end(run).sum() == 1
