"""What only the whole scenario can tell: references to nothing, and keys that contradict."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cosim import units
from cosim.limits import LARGEST, LARGEST_WHOLE, WHY_WIDEST_AREA, WIDEST_AREA_M
from cosim.plugin import Section, kind_of
from cosim.scenario.control_checks import control_misfits
from cosim.scenario.document import Path
from cosim.scenario.effort import endless
from cosim.scenario.tree import Scenario
from cosim.wording import show

# Keys of a figure or a kind that hold numbers of devices.
_DEVICE_KEYS = ("device", "devices", "link", "links")


def contradictions(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield the path and the message of every mistake between keys that are right by themselves."""
    yield from _groups(scenario)
    yield from _positions(scenario)
    yield from _local(scenario)
    yield from _channel(scenario)
    yield from _payload(scenario)
    yield from _inference(scenario)
    yield from _start(scenario)
    yield from _files(scenario)
    yield from _link(scenario)
    yield from _combining(scenario)
    yield from _transport(scenario)
    yield from _queues(scenario)
    yield from _power(scenario)
    yield from _replanning(scenario)
    large = list(_large(scenario, ()))
    yield from large
    sizes = list(_sizes(scenario))
    yield from sizes
    if not (sizes or large):  # without the number of devices, nothing can be said of them
        yield from _protocol(scenario)
        yield from control_misfits(scenario)
        endless_numbers = list(endless(scenario))
        yield from endless_numbers
        if not endless_numbers:
            yield from figure_misfits(scenario.plots, scenario)


def as_written(path: Path, data: Any) -> Path:
    """Return a path with its keys as the file has them: `carrier`, or the resolved `carrier_hz`."""
    written: list[str | int] = []
    for part in path:
        if isinstance(data, Mapping) and isinstance(part, str) and part not in data:
            same = (key for key in data if units.yaml_key(key) == units.yaml_key(part))
            part = next(same, part)
        data = data[part] if _holds(data, part) else None
        written.append(part)
    return tuple(written)


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, tuple) and isinstance(part, int) and part < len(data)


def _groups(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    first: dict[str, int] = {}
    for index, group in enumerate(scenario.devices):
        before = first.setdefault(group.group, index)
        if before != index:
            yield (
                ("devices", index, "group"),
                f"expected a name of its own for each group, got {group.group!r}, "
                f"which devices.{before} has",
            )


def _local(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """How a group trains otherwise than `learning.local` says."""
    for index, group in enumerate(scenario.devices):
        try:
            group.local.over(scenario.learning.local)
        except ValueError as error:
            yield ("devices", index, "local"), f"with learning.local: {error}"


def _positions(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    area = scenario.area
    x0, y0, x1, y1 = area.extent_m()
    if max(x1 - x0, y1 - y0) > WIDEST_AREA_M:
        yield (
            ("area",),
            f"expected an area of at most {WIDEST_AREA_M:g} m from end to end ({WHY_WIDEST_AREA}), "
            f"got {max(x1 - x0, y1 - y0):g} m",
        )
    for index, group in enumerate(scenario.devices):
        here: Path = ("devices", index, "mobility")
        single_m = getattr(group.mobility, "position_m", None)
        points_m = {} if single_m is None else {(*here, "position"): single_m}
        for number, point_m in enumerate(getattr(group.mobility, "positions_m", None) or ()):
            points_m[(*here, "positions", number)] = point_m
        for path, point_m in points_m.items():
            if not area.contains(np.array(point_m)):
                yield (
                    path,
                    f"expected a point in the area ({kind_of(area)}, x {x0:g} to {x1:g} m, "
                    f"y {y0:g} to {y1:g} m), got [{point_m[0]:g} m, {point_m[1]:g} m]",
                )


def _large(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Find numbers that nobody means, in keys that have no bounds of their own."""
    if isinstance(value, Section):
        for name in type(value).model_fields:
            if units.dimension_of(name) is None:
                yield from _large(getattr(value, name), (*path, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _large(item, (*path, index))
    elif isinstance(value, int) and path != ("seed",) and abs(value) > LARGEST_WHOLE:
        yield path, f"expected a whole number of at most {LARGEST_WHOLE} (2^53), got {value:.4g}"
    elif isinstance(value, float) and abs(value) > LARGEST:
        yield path, f"expected a number of at most {LARGEST:g}, got {value:g}"
    elif isinstance(value, float) and 0.0 < abs(value) < 1.0 / LARGEST:
        yield path, f"expected 0 or a number of at least {1.0 / LARGEST:g}, got {value:g}"


def _sizes(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """What mobility models, such as traces, say of how many devices they have."""
    for index, group in enumerate(scenario.devices):
        here: Path = ("devices", index)
        try:
            own = group.mobility.num_members(pathlib.Path(scenario.data_root))
        except (OSError, ValueError) as error:
            yield (*here, "mobility"), str(error)
            continue
        if own is not None and group.count is not None and group.count > own:
            yield (
                (*here, "count"),
                f"expected at most {own}, which is what {kind_of(group.mobility)} has, "
                f"got {group.count}; leave it out to have them all",
            )
        if group.count is not None and group.density_per_km2 is not None:
            yield (*here, "density"), "expected count or density, got both; remove one"
        elif group.density_per_km2 is not None and own is not None:
            yield (
                (*here, "density"),
                f"expected no density with {kind_of(group.mobility)!r}, which says itself how many "
                f"devices there are ({own}), got {group.density_per_km2:g} /km2; remove it, or "
                "give a `count` to have fewer",
            )


def _channel(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    channel = scenario.channel
    path_loss, fading = channel.path_loss, channel.fading
    lowest_hz, highest_hz = path_loss.carrier_range_hz
    if not lowest_hz <= channel.carrier_hz <= highest_hz:
        yield (
            ("channel", "carrier"),
            f"expected {lowest_hz / 1e9:g} to {highest_hz / 1e9:g} GHz, where the path loss "
            f"{kind_of(path_loss)!r} holds, got {channel.carrier_hz / 1e9:g} GHz",
        )
    missing = channel.shadowing.missing_keys(path_loss.shadow(np.array(True)))
    if missing:
        yield (
            ("channel", "shadowing"),
            f"expected the keys {' and '.join(missing)}, of which the path loss "
            f"{kind_of(path_loss)!r} says nothing, got none",
        )
    is_selective = channel.delay_profile.taps() is not None
    if is_selective and not hasattr(fading, "amplitudes"):
        yield (
            ("channel", "fading"),
            "expected a fading with a phase (rayleigh, rayleigh_jakes, rician) under the delay "
            f"profile {kind_of(channel.delay_profile)!r}, got {kind_of(fading)!r}",
        )
    if getattr(fading, "k_db", 0.0) is None and path_loss.rician_k_db is None:
        yield (
            ("channel", "fading"),
            f"expected the key 'k', of which the path loss {kind_of(path_loss)!r} says nothing, "
            "got none; give it in dB",
        )
    if is_selective and scenario.spectrum.resource_blocks is None:
        yield (
            ("spectrum", "resource_blocks"),
            "expected resource blocks, over which a frequency-selective channel varies, got none; "
            "write `resource_blocks: {}` for those of 3GPP 38.101-1 at 15 kHz",
        )


def _payload(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """A named architecture's bits are sent for those of a model that trains."""
    learning = scenario.learning
    if learning.payload.scale_as is not None and hasattr(learning.pool, "payload_bits"):
        yield (
            ("learning", "payload", "scale_as"),
            f"expected a pool that trains, got pool {kind_of(learning.pool)}, whose payload is "
            f"given by the key learning.pool.payload; leave scale_as out",
        )


def _inference(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """How devices answer, and with the adapters of which method."""
    learning = scenario.learning
    misfit = learning.inference.misfit(learning.method)
    if misfit is not None and not hasattr(learning.pool, "payload_bits"):
        yield (
            ("learning", "inference"),
            f"{misfit}; method {kind_of(learning.method)!r} does not go with "
            f"{kind_of(learning.inference)!r}",
        )


def _start(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Who starts from adapters that they are given."""
    learning = scenario.learning
    if learning.start is None:
        return
    misfit = learning.method.start_misfit()
    if hasattr(learning.pool, "payload_bits"):
        misfit = (
            f"expected a pool with a model, got {kind_of(learning.pool)!r}, which has no adapters; "
            f"leave `start` out, or use pool: stacked"
        )
    if misfit is not None:
        yield ("learning", "start"), misfit


def _protocol(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """What a protocol asks of the rest."""
    yield from scenario.protocol.misfits(scenario)


def _files(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    try:
        scenario.channel.path_loss.sample_interval_s(pathlib.Path(scenario.data_root))
    except (OSError, ValueError) as error:
        yield ("channel", "path_loss"), str(error)


def _combining(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    link, transport = scenario.link, scenario.transport
    once = transport.reliability == "best_effort"
    if link.combining == "chase" and not link.error.depends_on_snr:
        yield (
            ("link", "combining"),
            "expected an error that depends on the SNR (finite_blocklength, cqi_bler), which is "
            f"what combining adds up, got {kind_of(link.error)!r}",
        )
    if link.combining == "chase" and once:
        yield (
            ("link", "combining"),
            "expected `transport: {reliability: reliable}`, since a packet that is sent once has "
            "nothing to combine, got best_effort",
        )
    if transport.ack_delay_s > 0.0 and once:
        yield (
            ("transport", "ack_delay"),
            "expected no acknowledgements with `reliability: best_effort`, which sends each packet "
            f"once, got {transport.ack_delay_s:g} s",
        )


def _link(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    rate, error = kind_of(scenario.link.rate), kind_of(scenario.link.error)
    gap_db = getattr(scenario.link.rate, "gap_db", None)
    if error == "finite_blocklength" and gap_db == 0.0:
        yield (
            ("link", "rate"),
            "expected a gap to capacity under the error 'finite_blocklength', such as `gap: 1 dB`: "
            "at capacity itself every other packet is lost, whatever its length; got gap: 0 dB",
        )
    if error in ("finite_blocklength", "cqi_bler") and rate == "fixed":
        yield (
            ("link", "error"),
            f"expected an error that does not go by the modulation in use, which the rate 'fixed' "
            f"does not have, got {error!r}; use the rate shannon or cqi",
        )
    tables = [getattr(each, "table", None) for each in (scenario.link.rate, scenario.link.error)]
    if None not in tables and tables[0] != tables[1]:
        yield (
            ("link", "error", "table"),
            f"expected the table of the rate ({tables[0]}), got {tables[1]}",
        )
    blocks = scenario.spectrum.resource_blocks
    if blocks is not None:
        used_hz = 12 * (blocks.count or 1) * blocks.spacing_hz
        if used_hz > scenario.spectrum.bandwidth_hz:
            yield (
                ("spectrum", "resource_blocks", "count" if blocks.count else "spacing"),
                f"expected blocks that fit into the band of {scenario.spectrum.bandwidth_hz:g} Hz, "
                f"got {blocks.count or 1}, which take {used_hz:g} Hz",
            )


def _queues(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    waits = scenario.transport.parallel is not None or scenario.spectrum.duplex == "half"
    if scenario.transport.queue_bytes is not None and not waits:
        yield (
            ("transport", "queue"),
            "expected `parallel` or `spectrum: {duplex: half}` with a limit of the queue, which is "
            "empty where a device sends everything at once, got neither",
        )


def _power(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    full = getattr(scenario.topology.planner, "power", None) == "full"
    if full and scenario.transport.parallel != 1:
        yield (
            ("topology", "planner", "power"),
            "expected `transport: {parallel: 1}` with power 'full', which a device has for one "
            f"transfer at a time, got parallel: {show(scenario.transport.parallel)}",
        )
    link_dbm = getattr(scenario.topology.planner, "link_power_dbm", None)
    most_dbm = max(group.radio.tx_power_dbm for group in scenario.devices)
    if link_dbm is not None and link_dbm > most_dbm:
        yield (
            ("topology", "planner", "link_power"),
            f"expected at most the largest tx_power, {most_dbm:g} dBm, got {link_dbm:g} dBm",
        )


def _replanning(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    topology, protocol = scenario.topology, scenario.protocol
    if topology.in_flight == "migrate" and not protocol.sends_anew:
        yield (
            ("topology", "in_flight"),
            "expected finish or abort, since devices send nothing anew within a round of protocol "
            f"{kind_of(protocol)!r} (they do with clustered_dfl and dfl), got migrate",
        )
    if topology.min_improvement is not None and not hasattr(topology.planner, "broken"):
        yield (
            ("topology", "min_improvement"),
            "expected a planner whose clusters can be kept (agnes, random, or one of a given "
            f"shape), got {kind_of(topology.planner)!r}, which is always followed; leave "
            "min_improvement out",
        )


def _transport(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    transport = scenario.transport
    for key, size in (("mtu", transport.mtu_bytes), ("header", transport.header_bytes)):
        if not size.is_integer():
            yield ("transport", key), f"expected a whole number of bytes, got {size:g} B"
    if transport.header_bytes >= transport.mtu_bytes:
        yield (
            ("transport", "header"),
            f"expected less than transport.mtu ({transport.mtu_bytes:g} B), which holds header "
            f"and data, got {transport.header_bytes:g} B",
        )
    if transport.reliability == "best_effort" and transport.max_attempts is not None:
        yield (
            ("transport", "max_attempts"),
            "expected no max_attempts with `reliability: best_effort`, which sends each packet "
            f"once, got {transport.max_attempts}; remove it, set it to null, or set "
            "`reliability: reliable`",
        )


def figure_misfits(figures: Sequence[Any], scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """Yield the path, from `plots` on, and the message of what figures ask for in vain."""
    for index, figure in enumerate(figures):
        here: Path = ("plots", index)
        for rows in ("packets", "measures"):
            if getattr(figure, f"needs_{rows}") and not getattr(scenario.record, rows):
                yield (
                    here,
                    f"expected `record: {{{rows}: true}}` for the figure {kind_of(figure)!r}, "
                    f"which draws {rows}, got {rows}: false",
                )
        for key in _DEVICE_KEYS:
            for path, device in _numbers(getattr(figure, key, None), (*here, key)):
                if not 0 <= device < scenario.num_devices:
                    yield path, _no_device(scenario, device)


def _numbers(value: Any, path: Path) -> Iterator[tuple[Path, int]]:
    """Yield the whole numbers in a value and its lists."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _numbers(item, (*path, index))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value


def _no_device(scenario: Scenario, device: int) -> str:
    last = scenario.num_devices - 1
    groups, start = [], 0
    for group, size in zip(scenario.devices, scenario.group_sizes, strict=True):
        groups.append(f"{group.group}: {start} to {start + size - 1}")
        start += size
    return f"expected a device, 0 to {last} ({'; '.join(groups)}), got {show(device)}"
