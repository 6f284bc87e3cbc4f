"""Servers in a learner: no data, nothing trained, nothing that collides; and movements."""

from dataclasses import replace

import numpy as np
import pytest
from learner_helpers import FakePool, answer_of, delivered, learner, setting, train

from cosim.boundary import Payload
from cosim.learning.adapter_learner import AdapterLearner
from cosim.learning.errors import LearningError
from cosim.learning.inference.implicit import Implicit
from cosim.learning.methods.ffa_lora import FfaLora
from cosim.learning.methods.flexlora import Flexlora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal
from cosim.learning.pool.none import NonePool
from cosim.learning.pool.surrogate import Surrogate


def with_server(method, servers=(0,), num_devices=3, **keys):
    asked = setting(method, num_devices=num_devices)
    return AdapterLearner(replace(asked, servers=frozenset(servers), **keys), FakePool())


def update(made, client, server=0, round=1):
    return delivered(made.update_payload(client, server, round))


def test_a_server_holds_no_data_and_is_judged_on_every_task():
    made = with_server(Lora(rank=2), servers=(1,))
    assert [made.num_examples(device) for device in range(3)] == [10, 0, 10]
    own = {(score.device, score.task): score.own for score in made.evaluate([0, 1, 2])}
    tasks = sorted({task for _, task in own})
    assert [own[1, task] for task in tasks] == [True, True]
    # Clients 0 and 2 have the tasks that devices 0 and 1 would have without a server.
    assert [[own[client, task] for task in tasks] for client in (0, 2)] == [
        [True, False],
        [False, True],
    ]


def test_a_servers_forecast_is_of_its_broadcast_and_no_training():
    made = with_server(FfaLora(rank=2))
    before = made.forecast()
    assert before.density.tolist() == [0.0, 1.0, 1.0]
    assert before.work.flops[0] == 0.0 < before.work.flops[1]
    train(made, [1, 2], 1)
    made.merge(0, [update(made, 1), update(made, 2)], [0.5, 0.5])
    bits = made.forecast().update_bits
    # The list of the members whose training it holds is not foreseen.
    assert bits[0] == pytest.approx(8 * made.broadcast_payload(0, 1, 2).num_bytes, rel=0.1)


def test_servers_do_not_collide():
    made = with_server(Lora(rank=2))
    assert made.overlap([0, 1]) == 0.0
    assert made.overlap([0, 1, 2]) == 1.0


def test_a_broadcast_comes_after_the_first_merge_and_is_adopted():
    made = with_server(Lora(rank=2))
    assert made.broadcast_payload(0, 1, 1) is None
    train(made, [1, 2], 1)
    made.merge(0, [update(made, 1)], [1.0])
    payload = made.broadcast_payload(0, 2, 2, [1])
    assert (payload.kind, payload.src, payload.dst) == ("broadcast", 0, 2)
    made.adopt(2, delivered(payload))
    np.testing.assert_array_equal(answer_of(made, 2).vector, answer_of(made, 1).vector)


def test_movements_are_sent_and_added_to_what_the_server_has_by_then():
    made = with_server(Lora(rank=2), sends_movements=True)
    plain = with_server(Lora(rank=2))
    start = plain._states[0].vector
    for each in (made, plain):
        train(each, [1, 2], 1)
    moved = [plain._states[client].vector - start for client in (1, 2)]
    made.merge(0, [update(made, 1)], [0.5])
    made.merge(0, [update(made, 2)], [0.25])  # from the start, which is no more what the server has
    np.testing.assert_allclose(
        made._states[0].vector, start + 0.5 * moved[0] + 0.25 * moved[1], atol=1e-6
    )
    plain.merge(0, [update(plain, 1)], [0.5])
    plain.merge(0, [update(plain, 2)], [0.25])
    blended = 0.75 * (start + 0.5 * moved[0]) + 0.25 * (start + moved[1])
    np.testing.assert_allclose(plain._states[0].vector, blended, atol=1e-6)


def test_a_movement_is_of_the_last_training_alone():
    made = with_server(Lora(rank=2), sends_movements=True)
    train(made, [1], 1)
    first = made._states[1].vector
    train(made, [1], 2)
    start, second = made._states[0].vector, made._states[1].vector - first
    made.merge(0, [update(made, 1, round=2)], [1.0])
    np.testing.assert_allclose(made._states[0].vector, start + second, atol=1e-6)


def test_movements_of_products_are_refused():
    with pytest.raises(LearningError, match=r"adds up how far clients have moved.*'flexlora'"):
        with_server(Flexlora(rank=2), sends_movements=True)


def test_without_a_server_nothing_changes():
    made, _ = learner(Lora(rank=2))
    assert made.num_examples(0) == 10
    assert made.forecast().density.tolist() == [1.0] * 3


@pytest.mark.parametrize("pool", [NonePool(density=0.5), Surrogate(density=0.5)])
def test_pools_without_a_model_have_servers_too(pool):
    asked = setting(Lora(rank=2))
    made = pool.learner(replace(asked, servers=frozenset({0})))
    assert made.num_examples(0) == 0 < made.num_examples(1)
    forecast = made.forecast()
    assert forecast.density.tolist() == [0.0, 0.5, 0.5]
    assert forecast.work.flops[0] == 0.0
    assert made.overlap([0, 1]) == 0.0
    assert made.overlap([0, 1, 2]) == pytest.approx(0.25)
    assert made.broadcast_payload(0, 1, 1) is None
    train(made, [1], 1)
    made.merge(0, [update(made, 1)], [1.0])
    payload = made.broadcast_payload(0, 2, 2)
    assert isinstance(payload, Payload)
    made.adopt(2, delivered(payload))


def test_a_surrogate_client_adopts_what_the_server_knows():
    asked = replace(setting(Lora(rank=2)), servers=frozenset({0}))
    made = Surrogate().learner(asked)
    train(made, [1, 2], 1)
    made.merge(0, [update(made, 1), update(made, 2)], [0.5, 0.5])
    of_server = made.effective(0)
    made.adopt(1, delivered(made.broadcast_payload(0, 1, 2)))
    np.testing.assert_allclose(made.effective(1), of_server)


def test_a_server_passes_on_the_codes_of_its_clients_and_has_none():
    asked = setting(SparseOrthogonal(rank=2, density=0.5))
    learning = asked.learning.model_copy(update={"inference": Implicit()})
    asked = replace(asked, learning=learning, servers=frozenset({0}))
    made = AdapterLearner(asked, FakePool())
    train(made, [1, 2], 1)
    made.merge(0, [update(made, 1), update(made, 2)], [0.5, 0.5])
    assert set(made._codes.known(0).known) == {1, 2}
    assert set(made._codes.known(1).known) == {1}
    made.adopt(1, delivered(made.broadcast_payload(0, 1, 2)))
    assert set(made._codes.known(1).known) == {1, 2}
    assert made._codes.has_told(1)  # the server has the client's code: it need not be sent again
