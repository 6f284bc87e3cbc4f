"""Codes on the air: who knows whose, what they cost, and what a lost packet does."""

from dataclasses import replace

import numpy as np
import pytest
from learner_helpers import SITES, FakePool, delivered, setting, train
from method_table import METHODS

from cosim.learning.adapter import Layout
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.inference.by_method import ByMethod
from cosim.learning.inference.implicit import Implicit
from cosim.learning.mixture import Mixture

NUM = 2 * 4  # sites and rank


class ReadingPool(FakePool):
    """Mean inputs that hang on what is read, so that devices' codes differ."""

    def mean_inputs(self, examples):
        seed = [ord(each.prompt[0]) + len(each.prompt) for each in examples]
        rng = np.random.default_rng(seed)
        return [rng.standard_normal(site.d_in).astype(np.float32) for site in SITES]

    def evaluate(self, jobs):
        self.evaluated.append(list(jobs))
        first = [j.adapter.adapters[0] if isinstance(j.adapter, Mixture) else None for j in jobs]
        same = [replace(j, adapter=a) if a else j for j, a in zip(jobs, first, strict=True)]
        return super().evaluate(same)


def learner(name="sparse_orthogonal", inference=Implicit(), **keys):  # noqa: B008
    pool = ReadingPool()
    asked = setting(METHODS[name], **keys)
    learning = asked.learning.model_copy(update={"inference": inference})
    return AdapterLearner(replace(asked, learning=learning), pool), pool


def known_to(subject, device):
    return sorted(subject._codes.known(device).known)


def deliver(subject, src, dst, round=1, lost=()):
    payload = subject.update_payload(src, dst, round)
    subject.merge(dst, [delivered(payload, lost)], [0.5])
    return payload


def test_a_code_is_a_of_how_far_the_own_mean_is_from_that_of_all_tasks():
    subject, pool = learner()
    tasks = [task.examples("train", None) for task in subject._setting.learning.tasks.use]
    center = pool.mean_inputs([example for task in tasks for example in task[:8]])
    for device in range(3):
        mean = pool.mean_inputs(subject._data[device].examples)
        code = subject._codes.known(device).known[device]
        assert code.shape == (2, 4)
        layout, vector = subject._cohort.layout, subject._states[device].vector
        for site in range(2):
            wanted = layout.a(vector, site).astype(float) @ (mean[site] - center[site])
            np.testing.assert_allclose(code[site], wanted, rtol=1e-4, atol=1e-6)


def test_a_code_arrives_with_the_first_update_and_costs_its_bytes():
    subject, _ = learner(segment_bytes=1460)
    without, _ = learner(inference=ByMethod(), segment_bytes=1460)
    for each in (subject, without):
        train(each, range(3), 1)
    assert known_to(subject, 1) == [1]
    first, plain = deliver(subject, 0, 1), deliver(without, 0, 1)
    assert first.num_bytes == plain.num_bytes + 20 + 4 * NUM  # a header and float32
    assert known_to(subject, 1) == [0, 1]
    assert known_to(subject, 2) == [2]
    code = subject._codes.known(0).known[0]
    np.testing.assert_array_equal(subject._codes.known(1).known[0], code)
    second = deliver(subject, 0, 1, 2)
    assert second.num_bytes == deliver(without, 0, 1, 2).num_bytes
    both = subject.update_payload(0, 1, 2, also=(2,))  # 2 has it not
    assert both.num_bytes > second.num_bytes


def test_a_lost_code_comes_again_and_until_then_none_routes_to_its_device():
    subject, pool = learner()
    train(subject, range(3), 1)
    payload = subject.update_payload(0, 1, 1)
    subject.merge(1, [delivered(payload, (payload.num_packets - 1,))], [0.5])
    assert known_to(subject, 1) == [1]
    np.testing.assert_array_equal(subject._states[1].members, (0, 1))
    subject.evaluate([1])
    assert pool.evaluated[-1][0].adapter.layout.rank == 4  # its own adapter, and no other
    deliver(subject, 0, 1, 2)
    assert known_to(subject, 1) == [0, 1]
    before = len(pool.evaluated)
    subject.evaluate([1])
    mixture = pool.evaluated[before][0].adapter
    assert len(mixture.adapters) == 2


def test_parts_of_a_code_make_a_whole():
    subject, _ = learner(segment_bytes=40)  # two values and headers a packet
    train(subject, range(3), 1)
    payload = subject.update_payload(0, 1, 1)
    last = payload.num_packets - 1
    subject.merge(1, [delivered(payload, (last,))], [0.5])
    assert known_to(subject, 1) == [1]
    again = subject.update_payload(0, 1, 2)
    subject.merge(1, [delivered(again, range(again.num_packets - 1))], [0.5])
    assert known_to(subject, 1) == [0, 1]
    np.testing.assert_array_equal(
        subject._codes.known(1).known[0], subject._codes.known(0).known[0]
    )


@pytest.mark.parametrize("name", ["sparse_orthogonal", "ffa_lora"])
def test_gateways_pass_codes_on(name):
    """0 and 1 are a cluster, 2 is alone; 1 tells 2, and 2 tells 1, which spreads it to 0."""
    subject, _ = learner(name)
    train(subject, range(3), 1)
    sent = [subject.update_payload(s, d, 1) for s, d in ((0, 1), (1, 0))]
    for payload in sent:
        subject.merge(payload.dst, [delivered(payload)], [0.5])
    subject.merge(2, [], [])
    subject.store(2, [delivered(subject.exchange_payload(1, 2, 1))])
    assert known_to(subject, 2) == [0, 1, 2]
    back = delivered(subject.exchange_payload(2, 1, 1))
    subject.store(1, [back])
    subject.store(0, [delivered(subject.spread_payload(1, 0, 1, [back]))])
    assert known_to(subject, 0) == [0, 1, 2]


def test_the_forecast_counts_a_code_until_it_has_been_told():
    subject, _ = learner(segment_bytes=1460)
    without, _ = learner(inference=ByMethod(), segment_bytes=1460)
    assert subject.forecast().update_bits[0] - without.forecast().update_bits[0] == 32 * NUM
    for each in (subject, without):
        train(each, range(3), 1)
        deliver(each, 0, 1)
    bits, plain = (each.forecast().update_bits for each in (subject, without))
    assert bits[0] == plain[0]
    assert bits[1] == plain[1] + 32 * NUM


def test_a_named_architecture_sends_a_code_for_each_of_its_layers():
    scaled = {}
    for inference in (Implicit(), ByMethod()):
        subject, pool = learner(inference=inference, segment_bytes=1460)
        coding = subject._setting.learning.payload.model_copy(update={"scale_as": "distilbert"})
        learning = subject._setting.learning.model_copy(update={"payload": coding})
        subject = AdapterLearner(replace(subject._setting, learning=learning), pool)
        train(subject, range(3), 1)
        payload = subject.update_payload(0, 1, 1)
        scaled[type(inference)] = payload.num_bytes
        subject.merge(1, [delivered(payload)], [0.5])
        assert inference.asks_for_codes is False or known_to(subject, 1) == [0, 1]
    packing, size = subject._packing, subject._cohort.layout.size
    code = 4 * 36  # rank, and layers of DistilBERT: 6 blocks of 6
    assert packing.scale.count(packing.layout, np.arange(size, size + NUM)) == code
    # Packets hold whole values, so that bytes are right to less than a hundredth.
    rounding = scaled[ByMethod] / 100
    assert abs(scaled[Implicit] - scaled[ByMethod] - 4 * code) < rounding


def test_layout_is_what_codes_are_behind():
    subject, _ = learner()
    size = Layout(SITES, 4).size
    assert subject._codes.end == size + NUM
    (code,) = subject._codes.riding(0, (1,), 1, [subject._method.start(subject._cohort, 0)])
    assert code.coordinates[0] == size
