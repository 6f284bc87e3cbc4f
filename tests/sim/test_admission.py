"""Who may go on the air, by hand: half duplex, so many at a time, queues and what they drop."""

import numpy as np
import pytest
import simpy
from network_helpers import BOTH, FAST, NO_HEADER, Run, steady

from cosim.sim.admission import Admission, Request

HALF = {"duplex": "half"}


def started(run, number):
    """When a transfer's first packet went on the air."""
    return run.packets_of(number).start_s[0]


@BOTH
def test_half_duplex_receives_then_sends(engine):
    run = Run(steady(), engine=engine, rate=FAST, spectrum=HALF, **NO_HEADER)
    run.send(0, 1, 3000, power_w=1.0)
    run.at(0.0005, lambda: run.send(1, 2, 1000, power_w=1.0))  # 1 receives until 3 ms
    run.at(0.001, lambda: run.send(2, 0, 1000, power_w=1.0))  # 0 sends until 3 ms, 2 receives then
    run.at(0.001, lambda: run.send(3, 1, 1000, power_w=1.0))  # 1 receives from two at once
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.003, 0.004, 0.005, 0.002], rtol=1e-9)
    start_s = [started(run, n) for n in range(4)]
    np.testing.assert_allclose(start_s, [0.0, 0.003, 0.004, 0.001], atol=1e-12)
    assert run.flow(1).start_s == 0.0005  # when it was handed over, not when it went on the air
    np.testing.assert_allclose([flow.energy_j for flow in run.flows], [0.001, 0.003, 0.001, 0.001])


@BOTH
def test_full_duplex_waits_for_nobody(engine):
    run = Run(steady(), engine=engine, rate=FAST, **NO_HEADER)
    run.send(0, 1, 3000)
    run.at(0.0005, lambda: run.send(1, 2, 1000))
    run.at(0.001, lambda: run.send(2, 0, 1000))
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.003, 0.0015, 0.002], rtol=1e-9)


@BOTH
def test_half_duplex_multicast_waits_for_every_receiver(engine):
    run = Run(steady(), engine=engine, rate=FAST, spectrum=HALF, **NO_HEADER)
    run.send(2, 3, 2000)
    run.at(0.0002, lambda: run.multicast(0, [1, 2], 1000))  # 2 sends until 2 ms
    run.at(0.0005, lambda: run.send(1, 3, 1000))  # 1 is free until the multicast begins
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.002, 0.003, 0.003, 0.0015], rtol=1e-9)


@BOTH
def test_one_at_a_time_goes_in_order(engine):
    run = Run(steady(), engine=engine, rate=FAST, parallel=1, **NO_HEADER)
    for dst, num_bytes in ((1, 1000), (2, 500), (1, 2000)):
        run.send(0, dst, num_bytes)
    run.send(3, 2, 1000)  # another device has a queue of its own
    run.env.run()
    np.testing.assert_allclose(run.ends_s(), [0.001, 0.0015, 0.0035, 0.001], rtol=1e-9)


@BOTH
def test_two_at_a_time_share_the_band(engine):
    run = Run(steady(), engine=engine, rate=FAST, parallel=2, **NO_HEADER)
    for num_bytes in (1000, 2000, 1000):
        run.send(0, 1, num_bytes)
    run.env.run()
    # Halves until 2 ms; the third takes the place of the first, and has as much to send.
    np.testing.assert_allclose(run.ends_s(), [0.002, 0.004, 0.004], rtol=1e-9)


@BOTH
def test_a_full_queue_drops_what_comes(engine):
    run = Run(steady(), engine=engine, rate=FAST, parallel=1, queue="1500 B", **NO_HEADER)
    for num_bytes in (9000, 1000, 1000, 500):  # goes, waits, does not fit, fits
        run.send(0, 1, num_bytes)
    run.at(0.0095, lambda: run.send(0, 1, 1000))  # 500 B wait: there is room for it again
    run.env.run()
    assert run.outcomes() == ["delivered", "delivered", "dropped", "delivered", "delivered"]
    ends_s = [0.009, 0.01, 0.0, 0.0105, 0.0115]
    np.testing.assert_allclose(run.ends_s(), ends_s, rtol=1e-9, atol=1e-12)
    dropped, (at_s, delivery) = run.flow(2), run.deliveries[2]
    assert (at_s, delivery.arrived.tolist()) == (pytest.approx(0.0, abs=1e-12), [False])
    assert (dropped.num_attempts, dropped.num_lost, dropped.num_unsent) == (0, 0, 1)
    assert dropped.air_bits == dropped.delivered_bits == dropped.energy_j == 0.0
    assert len(run.packets_of(2).packet) == 0


@BOTH
def test_no_queue_at_all(engine):
    run = Run(steady(), engine=engine, rate=FAST, parallel=1, queue="0 B", **NO_HEADER)
    run.send(0, 1, 1000)
    run.send(0, 2, 1)
    run.send(0, 2, 0)  # nothing to send needs no air
    run.at(0.0011, lambda: run.send(0, 2, 1000))
    run.env.run()
    assert run.outcomes() == ["delivered", "dropped", "delivered", "delivered"]
    assert run.flow(3).end_s == pytest.approx(0.0021)


@BOTH
def test_a_queue_limit_does_not_matter_where_nothing_waits(engine):
    run = Run(steady(), engine=engine, rate=FAST, queue="0 B", **NO_HEADER)
    run.send(0, 1, 1000)
    run.send(0, 1, 1000)
    run.env.run()
    assert run.outcomes() == ["delivered", "delivered"]


@BOTH
def test_deadlines_pass_in_the_queue_too(engine):
    """The first is through; the second is cut after half a packet; the third never goes."""
    run = Run(steady(), engine=engine, rate=FAST, parallel=1, deadline="2.5 ms", **NO_HEADER)
    for num_bytes in (2000, 1000, 1000):
        run.send(0, 1, num_bytes, power_w=1.0)
    run.env.run()
    assert run.outcomes() == ["delivered", "expired", "expired"]
    np.testing.assert_allclose(run.ends_s(), [0.002, 0.0025, 0.0025])
    assert [run.flow(n).num_attempts for n in range(3)] == [2, 1, 0]
    np.testing.assert_allclose([run.flow(n).energy_j for n in range(3)], [0.002, 0.0005, 0.0])


@BOTH
def test_what_is_aborted_in_the_queue_leaves_its_room_and_turn(engine):
    run = Run(steady(), engine=engine, rate=FAST, parallel=1, queue="1000 B", **NO_HEADER)
    run.send(0, 1, 2000)
    waiting = run.send(0, 1, 1000)
    run.at(0.001, lambda: run.network.abort(waiting))
    run.at(0.001, lambda: run.send(0, 2, 1000))
    run.env.run()
    assert run.outcomes() == ["delivered", "aborted", "delivered"]
    np.testing.assert_allclose(run.ends_s(), [0.002, 0.001, 0.003], rtol=1e-9)


@BOTH
def test_a_device_that_leaves_frees_those_that_wait_for_it(engine):
    run = Run(steady(), engine=engine, rate=FAST, spectrum=HALF, **NO_HEADER)
    run.send(0, 1, 9000)
    run.send(1, 2, 1000)  # waits for 1 to have received
    run.send(2, 0, 1000)  # waits for 0 to have sent
    run.at(0.001, lambda: run.network.abort_device(0))
    run.env.run()
    assert run.outcomes() == ["aborted", "delivered", "aborted"]
    np.testing.assert_allclose(run.ends_s(), [0.001, 0.002, 0.001], rtol=1e-9)


@BOTH
def test_finish_empties_the_queues(engine):
    run = Run(steady(), engine=engine, rate=FAST, parallel=1, **NO_HEADER)
    for _ in range(3):
        run.send(0, 1, 1000)
    run.env.run(until=0.0005)
    run.network.finish()
    assert run.outcomes() == ["aborted"] * 3
    assert run.network.in_flight == ()


class Desk:
    """An admission whose requests note when they go; each call is an instant of its own."""

    def __init__(self, **limits):
        self.env = simpy.Environment()
        self.admission, self.gone = Admission(self.env, 5, **limits), []
        self.number = 0

    def ask(self, name, src, *receivers, num_bytes=10):
        request = self.ask_at_once(name, src, *receivers, num_bytes=num_bytes)
        self.env.run()
        return request

    def ask_at_once(self, name, src, *receivers, num_bytes=10):
        self.number += 1
        request = Request(
            self.number,
            src,
            receivers,
            num_bytes,
            go=lambda: self.gone.append(name),
            drop=lambda: self.gone.append(f"no room for {name}"),
        )
        self.admission.ask(request)
        return request

    def release(self, *requests):
        for request in requests:
            self.admission.release(request)
        self.env.run()


def test_those_that_ask_first_go_first():
    desk = Desk(half_duplex=True)
    first = desk.ask("a", 0, 1)
    for name, src, receivers in (("b", 1, (2,)), ("c", 2, (0,)), ("d", 1, (3,))):
        desk.ask(name, src, *receivers)
    assert desk.gone == ["a"]
    desk.release(first)
    # b and d send from 1 now; c would send from 2, which receives b.
    assert desk.gone == ["a", "b", "d"]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_what_comes_free_at_one_instant_comes_free_together(order):
    """c asked first and needs both; with one after the other d, which needs one, would go."""
    desk = Desk(half_duplex=True)
    busy = {"a": desk.ask("a", 0, 1), "b": desk.ask("b", 2, 3)}
    desk.ask("c", 1, 2)
    desk.ask("d", 4, 0)
    desk.release(*(busy[name] for name in order))
    assert desk.gone == ["a", "b", "c", "d"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_who_asks_at_one_instant_goes_in_the_order_of_devices(order):
    desk = Desk(half_duplex=True)
    for src in order:
        desk.ask_at_once(src, src, (src + 1) % 3)
    desk.env.run()
    assert desk.gone == [0]  # 1 would send while it receives, and 2 to one that sends
    late = Desk(parallel=1)
    for name in "ab":
        late.ask_at_once(name, 0, 1)
    late.env.run()
    assert late.gone == ["a"]


def test_who_asks_as_another_comes_free_waits_for_those_before():
    desk = Desk(parallel=1)
    first = desk.ask("a", 0, 1)
    desk.ask("b", 0, 2)
    desk.admission.release(first)
    desk.ask_at_once("c", 0, 3)
    desk.env.run()
    assert desk.gone == ["a", "b"]


def test_one_that_may_not_go_yet_does_not_hold_up_others():
    desk = Desk(half_duplex=True)
    desk.ask("a", 0, 1)
    desk.ask("b", 2, 3, 0)  # 0 sends
    desk.ask("c", 2, 3)
    assert desk.gone == ["a", "c"]


def test_a_withdrawn_request_does_not_come_back():
    desk = Desk(parallel=1, limit_bytes=10)
    first = desk.ask("a", 0, 1)
    second = desk.ask("b", 0, 1)
    desk.ask("c", 0, 1)
    assert desk.gone == ["a", "no room for c"]
    assert second.is_waiting
    desk.admission.withdraw(second)
    assert not second.is_waiting
    third = desk.ask("d", 0, 1)
    asked = desk.ask_at_once("e", 3, 4)
    desk.admission.withdraw(asked)  # before it is decided on
    desk.release(first)
    assert desk.gone == ["a", "no room for c", "d"]
    assert not third.is_waiting


def test_without_limits_it_is_open():
    assert Desk().admission.is_open
    assert not Desk(parallel=1).admission.is_open
    assert not Desk(half_duplex=True).admission.is_open
