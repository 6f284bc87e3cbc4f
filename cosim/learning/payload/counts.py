"""How many parameters an adapter of a named architecture has, and how many of them are sent.

For an adapter of rank r over linear layers d_in -> d_out: A has r sum(d_in) entries and B has
r sum(d_out). LoRA trains and sends both. Where A is frozen and drawn from an address, B is all that
is trained, and a mask keeps ceil(s r sum(d_out)) entries of it.
"""

from collections.abc import Collection
from dataclasses import dataclass

from cosim.learning.adapter import Layout, Site
from cosim.learning.methods._apportion import budget_of
from cosim.learning.payload.architectures import ARCHITECTURES


@dataclass(frozen=True)
class AdapterCounts:
    """Parameters of one adapter.

    Attributes:
        base: of the model that it is for.
        a, b: entries of all A, and of all B.
        sent: values in one update.
        stored: values that must be kept to answer with it; an A that is drawn is not.
        mask_bits: where the kept entries of B are, sent once: a bitmap, or a position each if that
            is shorter; 0 of a dense B.
    """

    base: int
    a: int
    b: int
    sent: int
    stored: int
    mask_bits: int


def adapter_counts(
    architecture: str,
    rank: int,
    targets: Collection[str] | None = None,
    *,
    frozen_a: bool = False,
    density: float = 1.0,
) -> AdapterCounts:
    """Return the counts of an adapter over all blocks.

    Args:
        architecture: one of `ARCHITECTURES`.
        rank: of every layer.
        targets: last parts of the adapted layers' names, such as q_proj; None for all.
        frozen_a: whether A is drawn, so that neither it is sent nor stored.
        density: part of B that is kept; of a frozen A.

    Raises:
        ValueError: the architecture has no layer of such a name, or a dense A meets a sparse B.
    """
    if density < 1.0 and not frozen_a:
        raise ValueError(f"expected density 1 where A is trained, got {density}")
    whole = ARCHITECTURES[architecture]
    names = {linear.name.rpartition(".")[2]: linear for linear in whole.linears}
    unknown = sorted(set(targets or ()) - set(names))
    if unknown:
        raise ValueError(
            f"expected layers of {architecture} ({', '.join(names)}), got {', '.join(unknown)}"
        )
    chosen = [linear for name, linear in names.items() if targets is None or name in targets]
    sites = tuple(
        Site(f"{block}.{linear.name}", linear.d_in, linear.d_out)
        for block in range(whole.num_blocks)
        for linear in chosen
    )
    layout = Layout(sites, rank)
    kept = budget_of(density, layout.size_b)
    return AdapterCounts(
        base=whole.num_parameters,
        a=layout.size_a,
        b=layout.size_b,
        sent=kept if frozen_a else layout.size,
        stored=kept if frozen_a else layout.size,
        mask_bits=0
        if kept == layout.size_b
        else min(layout.size_b, kept * (layout.size_b - 1).bit_length()),
    )
