"""What a controller asks of the method, the band, the protocol and the pool."""

from collections.abc import Iterator

from cosim.plugin import kind_of
from cosim.scenario.document import Path
from cosim.scenario.tree import Scenario

_Found = Iterator[tuple[Path, str]]


def control_misfits(scenario: Scenario) -> _Found:
    """Yield the path and the message of everything that does not go with the controller."""
    if not scenario.control.acts:
        return
    yield from _protocol(scenario)
    yield from _rule(scenario)
    if hasattr(scenario.learning.pool, "payload_bits"):
        yield from _nominal(scenario)
    else:
        rank = list(_rank(scenario))
        yield from rank or _density(scenario)


def _protocol(scenario: Scenario) -> _Found:
    control, protocol = scenario.control, scenario.protocol
    name, closes_rounds = kind_of(protocol), getattr(protocol, "closes_rounds", False)
    if not (control.is_constant or closes_rounds):
        yield (
            ("control",),
            f"expected fixed with protocol {name!r}, whose rounds do not wait for updates (those "
            f"of federated, dfl and clustered_dfl do), got {kind_of(control)!r}",
        )
    elif control.chooses_rank and not _has_server(scenario):
        yield (
            ("control",),
            f"expected a protocol with a server, federated, with {kind_of(control)!r}, which "
            f"chooses the rank by clients' links to it, got protocol {name!r}; use osfa, which "
            "takes the rank as it is",
        )


def _has_server(scenario: Scenario) -> bool:
    """Return whether there is one, or there ought to be, which others tell."""
    try:
        return bool(scenario.servers)
    except ValueError:
        return True


def _rule(scenario: Scenario) -> _Found:
    control, rule = scenario.control, kind_of(scenario.spectrum.rule)
    by_itself = control.follows_delay and rule == "delay_equalising"
    if not control.needs_weights or rule == "weighted" or by_itself or ":" in rule:
        return
    or_so = " (or delay_equalising, which finds them by itself)" if control.follows_delay else ""
    yield (
        ("spectrum", "rule"),
        f"expected weighted, by which links have the shares that control {kind_of(control)!r} "
        f"gives them{or_so}, got {rule!r}",
    )


def _nominal(scenario: Scenario) -> _Found:
    control, pool = scenario.control, scenario.learning.pool
    if (control.sets_density or control.chooses_rank) and pool.density == 0.0:
        yield (
            ("learning", "pool", "density"),
            f"expected a density above 0, with which the payload grows under control "
            f"{kind_of(control)!r}, got 0",
        )


def _rank(scenario: Scenario) -> _Found:
    control, learning = scenario.control, scenario.learning
    if not control.chooses_rank:
        return
    name, method = kind_of(control), learning.method
    if getattr(method, "ranks", ()) and not method.takes_density:
        yield (
            ("learning", "method"),
            f"expected one rank for all devices, which control {name!r} chooses, got "
            f"{kind_of(method)!r} with ranks {list(method.ranks)}; use a method such as soft",
        )
    if learning.start is not None:
        yield (
            ("learning", "start"),
            f"expected none with control {name!r}, which chooses the rank, as adapters that are "
            f"given have one, got {learning.start!r}; leave it out, or use control: osfa",
        )


def _density(scenario: Scenario) -> _Found:
    control, method = scenario.control, scenario.learning.method
    if not control.sets_density:
        return
    name = kind_of(control)
    try:
        method.at_density(1.0)
    except ValueError as error:
        yield ("control",), f"with {name!r}, which sets densities: {error}"
        return
    if control.follows_delay and method.settles_density:
        yield (
            ("control",),
            f"expected deadline or fixed with method {kind_of(method)!r}, whose masks are as dense "
            f"for good as they are after the first training, got {name!r}, which changes densities "
            "from round to round; or use a method such as soft",
        )
