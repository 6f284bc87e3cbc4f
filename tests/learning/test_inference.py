"""What each kind of inference answers with, against matrices written out."""

import numpy as np
import pytest
from inference_helpers import SITES, ask, experts

from cosim.learning.adapter import Adapter, Layout
from cosim.learning.errors import LearningError
from cosim.learning.inference.argmax import Argmax
from cosim.learning.inference.arrow import Arrow
from cosim.learning.inference.base import Codes
from cosim.learning.inference.concat import Concat
from cosim.learning.inference.implicit import Implicit
from cosim.learning.inference.linear import Linear
from cosim.learning.inference.oracle import Oracle
from cosim.learning.inference.spectral import Spectral
from cosim.learning.inference.sum import Sum
from cosim.learning.methods.base import Expert
from cosim.learning.mixture import Mixture


def product(adapter, site):
    """s B A, [d_out, d_in]."""
    layout = adapter.layout
    a, b = layout.a(adapter.vector, site), layout.b(adapter.vector, site)
    return adapter.scale * b.astype(np.float64) @ a.astype(np.float64)


def assert_product(adapter, expected):
    for site in range(len(SITES)):
        np.testing.assert_allclose(product(adapter, site), expected(site), atol=1e-6)


def mean(matrices):
    return sum(matrices) / len(matrices)


def test_sum_adds_products_of_any_rank():
    known = experts((0,), (1, 2), (3,), ranks=(2, 3, 4))
    assert_product(
        ask(Sum(), known), lambda site: sum(product(each.adapter, site) for each in known)
    )


def test_concat_weighs_by_members():
    known = experts((0,), (1, 2, 4), ranks=(2, 3))
    expected = (0.25, 0.75)
    assert_product(
        ask(Concat(), known),
        lambda site: sum(
            w * product(e.adapter, site) for w, e in zip(expected, known, strict=True)
        ),
    )


@pytest.mark.parametrize(("alpha", "singles", "cluster"), [("one", 1, 1), ("normalised", 0.2, 0.6)])
def test_linear_lets_summed_a_meet_the_mean_of_b(alpha, singles, cluster):
    known = experts((0,), (1, 2, 4), (3,))

    def expected(site):
        first, many, last = (each.adapter for each in known)
        a = singles * sum(e.layout.a(e.vector, site).astype(np.float64) for e in (first, last))
        b = mean([e.layout.b(e.vector, site).astype(np.float64) for e in (first, last)])
        return first.scale * b @ a + cluster * product(many, site)

    assert_product(ask(Linear(alpha=alpha), known), expected)


def test_linear_needs_factors_that_can_be_added():
    with pytest.raises(LearningError, match=r"rank 4 .* of devices \(1,\) beside rank 2"):
        ask(Linear(), experts((0,), (1,), ranks=(2, 4)))


def test_oracle_takes_the_adapters_of_those_that_train_the_task():
    known = experts((0,), (1, 2), (3,))
    tasks = {0: frozenset({0}), 1: frozenset({1}), 2: frozenset({2}), 3: frozenset({2, 4})}
    own, cluster, other = (each.adapter for each in known)
    assert ask(Oracle(), known, task=0, tasks_of=tasks) is own
    assert ask(Oracle(), known, task=1, tasks_of=tasks) is cluster
    assert ask(Oracle(), known, task=4, tasks_of=tasks) is other
    assert_product(
        ask(Oracle(), known, task=2, tasks_of=tasks),
        lambda site: mean([product(cluster, site), product(other, site)]),
    )
    assert ask(Oracle(), known, task=9, tasks_of=tasks) is own
    assert ask(Oracle(), known[1:], task=9, tasks_of=tasks, answer="the method's") == "the method's"


def codes(*devices):
    rng = np.random.default_rng(1)
    center = tuple(rng.standard_normal(site.d_in).astype(np.float32) for site in SITES)
    return Codes(center, {d: rng.standard_normal((3, 3)).astype(np.float32) for d in devices})


@pytest.mark.parametrize("kind", [Argmax(), Arrow(), Spectral(), Implicit()])
def test_one_adapter_alone_needs_no_routing(kind):
    (own,) = experts((0,))
    assert ask(kind, (own,), codes=codes(0)) is own.adapter
    found = ask(kind, experts((0,), (1,)), codes=codes(0, 1))
    assert isinstance(found, Mixture)
    assert len(found.adapters) == 2


def test_the_code_of_several_is_the_mean_of_those_that_are_known():
    found = codes(0, 2, 5)
    np.testing.assert_array_equal(found.of((2,)), found.known[2])
    mean = (found.known[0] + found.known[5]) / 2
    np.testing.assert_allclose(found.of((0, 1, 5)), mean, rtol=1e-6)
    assert found.of((1, 3)) is None


def test_who_has_no_code_of_an_adapter_does_not_route_to_it():
    known = experts((0,), (1, 7), (2,))
    mixture = ask(Implicit(), known, codes=codes(0, 7))
    assert mixture.adapters == (known[0].adapter, known[1].adapter)
    assert ask(Implicit(), known, codes=codes(2)) is known[2].adapter
    assert ask(Implicit(), known, codes=codes(9), answer="the method's") == "the method's"
    with pytest.raises(LearningError, match="needs the devices' codes, got none"):
        ask(Implicit(), experts((0,), (1,)))


def test_a_head_is_the_mean_of_the_heads():
    layout = Layout(SITES, 1, head=SITES[2])
    vectors = [np.full(layout.size, value, np.float32) for value in (1.0, 2.0, 6.0)]
    known = tuple(Expert((i,), Adapter(layout, each, 1.0)) for i, each in enumerate(vectors))
    size = layout.part_head.stop - layout.part_head.start
    np.testing.assert_array_equal(ask(Arrow(), known).head, np.full(size, 3.0, np.float32))


@pytest.mark.parametrize("inference", [Sum(), Concat(), Linear()])
def test_a_head_is_the_mean_by_members_where_products_add_up(inference):
    layout = Layout(SITES, 1, head=SITES[2])
    heads = []
    for seed, members in enumerate([(0,), (1,), (2, 3)]):
        vector = np.random.default_rng(seed).normal(size=layout.size).astype(np.float32)
        heads.append((members, Adapter(layout, vector, 2.0)))
    known = tuple(Expert(members, each) for members, each in heads)
    answer = ask(inference, known)
    parts = [len(e.members) / 4 * e.adapter.vector[layout.part_head] for e in known]
    found = answer.vector[answer.layout.part_head]
    np.testing.assert_allclose(found, sum(parts), rtol=1e-5, atol=1e-6)
