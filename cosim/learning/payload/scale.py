"""How much larger a named architecture's adapter is than the one that trains."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cosim.learning.adapter import Layout, Site
from cosim.learning.errors import LearningError
from cosim.learning.methods.base import Coordinates
from cosim.learning.payload.architectures import ARCHITECTURES, Architecture

_BLOCK = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class Scale:
    """A named architecture's adapter beside the own one: A, B and the head grow each by its ratio.

    Attributes:
        ratios: entries of A, of B and of the head in the named architecture, over those in the
            own model; the rank is the same in both.
        num_parameters: parameters of the named architecture that multiply every token.
        layers: adapted layers of the named architecture over those of the own model, by which
            codes grow, `rank` numbers for each.
    """

    ratios: tuple[Fraction, Fraction, Fraction]
    num_parameters: int
    layers: Fraction

    def count(self, layout: Layout, coordinates: Coordinates) -> int:
        """Return as many coordinates as the named architecture has where the own has these.

        Args:
            layout: of the own adapter, of any rank.
            coordinates: ascending, [k]; those behind the adapter's are a code's.
        """
        ends = (layout.part_a.stop, layout.part_b.stop, layout.part_head.stop)
        marks = [*np.searchsorted(coordinates, ends), len(coordinates)]
        num_of: NDArray[np.int64] = np.diff(marks, prepend=0)
        pairs = zip(num_of.tolist(), (*self.ratios, self.layers), strict=True)
        return sum(round(num * ratio) for num, ratio in pairs)


def scale_as(
    name: str, sites: Sequence[Site], head: Site | None, targets: object = "all_linear"
) -> Scale:
    """Return the scale of a named architecture.

    With targets `all_linear` every linear layer of the architecture's blocks has an adapter; else
    those that are called as the own adapted layers are. Own blocks 0 to n - 1 stand for all blocks
    of the architecture, and any other choice for the blocks of the same numbers.

    Args:
        name: one of `ARCHITECTURES`.
        sites: the own adapted layers.
        head: the own trained output layer, if there is one; that of the architecture has as many
            outputs.
        targets: the scenario's choice of layers.

    Raises:
        LearningError: the architecture has no layer or block of these names.
    """
    architecture = ARCHITECTURES[name]
    linears = _linears(name, architecture, sites, targets)
    adapted = linears * _num_blocks(name, architecture, sites)
    named_head = None if head is None else Site(head.name, architecture.hidden, head.d_out)
    named, own = Layout(adapted, 1, named_head), Layout(tuple(sites), 1, head)
    return Scale(
        (
            Fraction(named.size_a, own.size_a),
            Fraction(named.size_b, own.size_b),
            Fraction(1) if head is None else Fraction(_size_head(named), _size_head(own)),
        ),
        architecture.num_multiplied,
        Fraction(len(adapted), len(sites)),
    )


def _size_head(layout: Layout) -> int:
    return layout.size - layout.size_a - layout.size_b


def _linears(
    name: str, architecture: Architecture, sites: Sequence[Site], targets: object
) -> tuple[Site, ...]:
    if targets == "all_linear":
        return architecture.linears
    there = {_last_part(linear): linear for linear in architecture.linears}
    wanted = {_last_part(site) for site in sites}
    unknown = sorted(wanted - set(there))
    if unknown:
        raise LearningError(
            f"payload.scale_as: expected adapted layers that {name} has too "
            f"({', '.join(there)}), got {', '.join(unknown)}; adapt all linear layers, or name "
            f"an architecture like the model that trains"
        )
    return tuple(linear for part, linear in there.items() if part in wanted)


def _num_blocks(name: str, architecture: Architecture, sites: Sequence[Site]) -> int:
    """How many blocks of the architecture have adapters."""
    found = (_BLOCK.search(site.name) for site in sites)
    blocks = {int(match.group(1)) for match in found if match}
    if blocks == set(range(len(blocks))):
        return architecture.num_blocks
    if max(blocks) >= architecture.num_blocks:
        raise LearningError(
            f"payload.scale_as: expected adapted blocks that {name} has too (0 to "
            f"{architecture.num_blocks - 1}), got {max(blocks)}"
        )
    return len(blocks)


def _last_part(site: Site) -> str:
    return site.name.rpartition(".")[2]
