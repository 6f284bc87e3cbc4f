"""What a run would take: numbers that are right by themselves and together never come to an end.

A slot of 1 ns is a number like any other, and in a run of an hour there are 3.6e12 of them. Here
the things that a run has many of are counted before it begins: slots, samples of the channel,
packets, pairs of neighbours, rows of a table. The limits are assumptions of this project, well
above what a patient user waits for; a number beyond them is a slip.
"""

import math
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from cosim.limits import MOST_DEVICES
from cosim.plugin import kind_of
from cosim.scenario.document import Path
from cosim.scenario.tree import Scenario

_MOST_AIR_STEPS = 1e8  # of one transfer: slots, samples; they are arrays in memory
_MOST_STEPS = 1e11  # of a run that is on the air all the time, as above
_MOST_ROWS = 1e9  # of a table
_MOST_LEGS = 1e9  # of the paths of all devices of a group
_MOST_EVENTS = 1e7  # of a loop that is worked through one by one
_MOST_PACKETS = 3e7  # of one payload, which are arrays in memory
_MOST_EVENT_PACKETS = 1e6  # of one payload, which are events each
_MOST_PAIRS = 5e7  # of neighbours, which are arrays in memory
_MOST_BLOCKS = 8800  # 32 carriers (38.331, maxNrofServingCells) of 275 (38.211, clause 4.4.2)
_SHORTEST_SLOT_S = 1e-6  # an OFDM symbol at 960 kHz is 1.04 us long (38.211, Table 4.2-1)
_LONGEST_SLOT_S = 60.0
_SHORTEST_PLAN_S = 1e-3  # a subframe (36.211, clause 4): no plan is signalled faster
_LIGHT_MPS = 299_792_458.0
_Found = Iterator[tuple[Path, str]]


def endless(scenario: Scenario) -> _Found:
    """Yield the path and the message of every number that a run would not come to an end with."""
    sizes = list(_devices(scenario))
    yield from sizes
    yield from _blocks(scenario)
    yield from _recurring(scenario)
    yield from _rounds(scenario)
    yield from _packets(scenario)
    if not sizes:
        yield from _traffic(scenario)
        yield from _records(scenario)
        yield from _movement(scenario)


def _span(scenario: Scenario) -> tuple[float, str]:
    """Return a time in s that is simulated for sure, and what it is called in messages.

    How long rounds take is the result of a run; of these, one transfer is counted.
    """
    if scenario.duration.time_s is not None:
        return scenario.duration.time_s, f"the duration of {scenario.duration.time_s:g} s"
    interval_s = getattr(scenario.protocol, "round_interval_s", None)
    if interval_s is not None and scenario.duration.rounds is not None:
        return scenario.duration.rounds * interval_s, f"{scenario.duration.rounds} rounds"
    return _transfer(scenario)


def _transfer(scenario: Scenario) -> tuple[float, str]:
    """Return how long one transfer may take at most, and a minute if it has longer than that."""
    one_s = min(scenario.transport.deadline_s, scenario.duration.time_s or math.inf, 60.0)
    return one_s, f"a transfer of {one_s:g} s"


def _too_many(
    interval_s: float, what: str, most: float, span: tuple[float, str], times: float = 1.0
) -> str | None:
    """Return the message of something that comes too often, or None."""
    span_s, name = span
    if times * span_s / interval_s <= most:
        return None
    least_s = times * span_s / most
    return (
        f"expected at least {least_s:.2g} s, which is {most:g} {what} in {name} (the most that are "
        f"simulated), got {interval_s:.10g} s"
    )


def _too_fine(scenario: Scenario, interval_s: float, what: str) -> str | None:
    """Return the message of something that comes too often while a transfer is on the air."""
    return _too_many(interval_s, what, _MOST_AIR_STEPS, _transfer(scenario)) or _too_many(
        interval_s, what, _MOST_STEPS, _span(scenario)
    )


def _devices(scenario: Scenario) -> _Found:
    for index, group in enumerate(scenario.devices):
        if group.density_per_km2 is None:
            continue
        mean = group.density_per_km2 * scenario.area.size_m2() / 1e6
        if mean > MOST_DEVICES:
            yield (
                ("devices", index, "density"),
                f"expected at most {MOST_DEVICES} devices, got {mean:.4g} in an area of "
                f"{scenario.area.size_m2() / 1e6:.4g} km2",
            )
            return
    total = scenario.num_devices
    if total == 0:
        yield ("devices",), "expected at least one device, got none: density times area is too low"
        return
    if total > MOST_DEVICES:
        yield ("devices",), f"expected at most {MOST_DEVICES} devices in all, got {total}"
        return
    near = min(1.0, math.pi * scenario.channel.range_m**2 / scenario.area.size_m2())
    pairs = 0.5 * total * total * near
    if pairs > _MOST_PAIRS:
        yield (
            ("channel", "range"),
            f"expected at most {_MOST_PAIRS:g} pairs of devices in range of each other, which are "
            f"held in memory, got about {pairs:.2g} with {total} devices in "
            f"{scenario.area.size_m2() / 1e6:.4g} km2; shorten the range, enlarge the area, or "
            "take fewer devices",
        )


def _blocks(scenario: Scenario) -> _Found:
    blocks = scenario.spectrum.resource_blocks
    if blocks is None:
        return
    fitting = scenario.spectrum.bandwidth_hz / (12.0 * blocks.spacing_hz)
    count = fitting if blocks.count is None else blocks.count
    if count > _MOST_BLOCKS:
        yield (
            ("spectrum", "resource_blocks", "spacing" if blocks.count is None else "count"),
            f"expected at most {_MOST_BLOCKS} resource blocks (32 carriers of 275: 3GPP 38.331 and "
            f"38.211), got {count:.10g}; use a wider spacing or a narrower band",
        )


def _recurring(scenario: Scenario) -> _Found:
    """What comes again and again at an interval that the scenario gives."""
    slot_s = getattr(scenario.spectrum.rule, "slot_s", None)
    if slot_s is not None and slot_s < _SHORTEST_SLOT_S:
        yield (
            ("spectrum", "rule", "slot"),
            f"expected at least {_SHORTEST_SLOT_S:g} s, the shortest OFDM symbol of 3GPP 38.211 "
            f"(Table 4.2-1), got {slot_s:.10g} s",
        )
        slot_s = None
    elif slot_s is not None and slot_s > _LONGEST_SLOT_S:
        yield (
            ("spectrum", "rule", "slot"),
            f"expected at most {_LONGEST_SLOT_S:g} s, within which a band is shared anew (a "
            f"subframe of 3GPP 36.211 and 38.211 is 1 ms), got {slot_s:.10g} s",
        )
    report_s = getattr(scenario.link.rate, "report_period_s", None)
    on_the_air: list[tuple[Path, float | None, str]] = [
        (("spectrum", "rule", "slot"), slot_s, "slots"),
        (("link", "rate", "report_period"), report_s, "reports"),
        (("channel", "sample_interval"), scenario.channel.sample_interval_s, "samples"),
        (
            ("channel", "fading", "coherence_time"),
            getattr(scenario.channel.fading, "coherence_time_s", None),
            "blocks",
        ),
        (
            ("channel", "path_loss", "interval"),
            getattr(scenario.channel.path_loss, "interval_s", None),
            "samples",
        ),
    ]
    for path, interval_s, what in on_the_air:
        message = interval_s and _too_fine(scenario, interval_s, what)
        if message:
            yield path, message
    one_by_one: list[tuple[Path, float | None, str]] = [
        (("evaluate", "every"), scenario.evaluate.every.time_s, "evaluations")
    ]
    if scenario.duration.rounds is None:
        round_s = getattr(scenario.protocol, "round_interval_s", None)
        one_by_one.append((("protocol", "round_interval"), round_s, "rounds"))
    for index, trigger in enumerate(scenario.topology.triggers):
        for name, key in (("interval_s", "interval"), ("min_interval_s", "min_interval")):
            here: Path = ("topology", "triggers", index, key)
            one_by_one.append((here, getattr(trigger, name, None), "plans"))
    for path, interval_s, what in one_by_one:
        if what == "plans" and interval_s is not None and interval_s < _SHORTEST_PLAN_S:
            yield (
                path,
                f"expected at least {_SHORTEST_PLAN_S:g} s, a subframe of 3GPP 36.211, since no "
                f"plan is signalled faster, got {interval_s:.10g} s",
            )
            continue
        message = interval_s and _too_many(interval_s, what, _MOST_EVENTS, _span(scenario))
        if message:
            yield path, message


def _rounds(scenario: Scenario) -> _Found:
    """Rounds that follow each other at once, where a training takes next to no time.

    What rounds take for sending cannot be reckoned with: a device without neighbours sends nothing.
    """
    flops = getattr(scenario.learning.pool, "flops", None)
    waits = getattr(scenario.protocol, "round_interval_s", None) is not None
    if flops is None or waits or scenario.duration.time_s is None:
        return
    trainings_s = []
    for group in scenario.devices:
        rate_flops = getattr(group.compute, "rate_flops", None)
        if rate_flops is None:
            return  # another model, which does not go by operations
        trainings_s.append(flops / rate_flops[1])
    if scenario.duration.time_s > _MOST_EVENTS * max(trainings_s):
        yield (
            ("learning", "pool", "flops"),
            f"expected at most {_MOST_EVENTS:g} rounds in the duration of "
            f"{scenario.duration.time_s:g} s, got trainings of {max(trainings_s):.2g} s, and "
            "devices without neighbours do nothing else; set `protocol: {kind: clustered_dfl, "
            "round_interval: 1 s}`, or more flops",
        )


def _packets(scenario: Scenario) -> _Found:
    transport = scenario.transport
    payload_bits = getattr(scenario.learning.pool, "payload_bits", None)
    data_bytes = transport.mtu_bytes - transport.header_bytes
    if payload_bits is None or data_bytes <= 0:
        return
    one_by_one = transport.engine == "per_packet"
    most = _MOST_EVENT_PACKETS if one_by_one else _MOST_PACKETS
    num = payload_bits / (8.0 * data_bytes)
    if num > most:
        where = " with `engine: per_packet`" if one_by_one else ""
        yield (
            ("transport", "mtu"),
            f"expected packets of which a payload of {payload_bits:.4g} bit needs at most "
            f"{most:g}{where}, got {num:.4g} packets of {data_bytes:g} B of data each; use a "
            "larger mtu, or a smaller payload",
        )


def _traffic(scenario: Scenario) -> _Found:
    for index, (group, count) in enumerate(
        zip(scenario.devices, scenario.group_sizes, strict=True)
    ):
        rate_bps = getattr(group.traffic, "rate_bps", None)
        size_bytes = getattr(group.traffic, "size_bytes", None)
        if rate_bps is None or size_bytes is None:
            continue
        span_s, span = _span(scenario)
        num = rate_bps / (8.0 * size_bytes) * span_s * count
        if num > _MOST_EVENTS * 10.0:
            yield (
                ("devices", index, "traffic", "rate"),
                f"expected at most {_MOST_EVENTS * 10.0:g} messages in {span}, got {num:.4g} of "
                f"{size_bytes:g} B from {count} devices; lower the rate, or make messages larger",
            )


def _records(scenario: Scenario) -> _Found:
    record = scenario.record
    if record.positions:
        message = _too_many(
            record.position_interval_s,
            "rows of positions",
            _MOST_ROWS,
            _span(scenario),
            scenario.num_devices,
        )
        if message:
            yield ("record", "position_interval"), message


def _movement(scenario: Scenario) -> _Found:
    """What mobility models can tell of themselves, and how often the channel is sampled then."""
    fastest_mps: list[float] = []
    root = FilePath(scenario.data_root)
    for index, (group, count) in enumerate(
        zip(scenario.devices, scenario.group_sizes, strict=True)
    ):
        if count == 0:
            continue
        here: Path = ("devices", index, "mobility")
        try:
            survey = group.mobility.survey(scenario.area, count, root)
        except (OSError, ValueError) as error:
            yield here, str(error)
            continue
        fastest_mps += [survey.max_speed_mps] * min(count, 2)
        span_s, span = _span(scenario)
        num = span_s / survey.leg_s * count if survey.leg_s > 0.0 else math.inf
        if num > _MOST_LEGS:
            yield (
                here,
                f"expected at most {_MOST_LEGS:g} legs in {span} for {count} devices, got legs "
                f"of about {survey.leg_s:.2g} s; let devices turn less often, move more slowly, or "
                "have a larger area",
            )
    try:
        scenario.channel.path_loss.survey(scenario.num_devices, root)
    except (OSError, ValueError) as error:
        yield ("channel", "path_loss"), str(error)
    try:
        scenario.topology.planner.survey(scenario.num_devices, root)
    except (OSError, ValueError) as error:
        yield ("topology", "planner"), str(error)
    message = _doppler(scenario, sum(sorted(fastest_mps)[-2:]))
    if message is not None:
        yield ("channel", "fading"), message


def _doppler(scenario: Scenario, speed_mps: float) -> str | None:
    """Return the message of a Doppler shift that asks for too many samples, or None."""
    channel = scenario.channel
    if channel.sample_interval_s is not None:
        return None
    doppler_hz = speed_mps * channel.carrier_hz / _LIGHT_MPS
    interval_s: Any = channel.fading.sample_interval_s(doppler_hz)
    message = _too_fine(scenario, interval_s, "samples of the channel")
    if message is None:
        return None
    return (
        f"{message} for the fading {kind_of(channel.fading)!r} at a Doppler shift of "
        f"{doppler_hz:.4g} Hz ({speed_mps:.4g} m/s between two devices); lower the speed or the "
        "carrier, or set `channel: {sample_interval: 1 ms}`"
    )
