"""Which linear layers get adapters: all, by name or pattern, in all blocks or in some."""

from collections.abc import Sequence
from typing import Literal

from torch import nn
from torch.nn import Linear

from cosim.learning.errors import LearningError
from cosim.learning.layer_names import listed, matches


def choose(
    network: nn.Module,
    output: nn.Module | None,
    targets: Literal["all_linear"] | Sequence[str],
    blocks: Sequence[int] | None,
) -> tuple[str, ...]:
    """Return the module paths of the chosen layers, in the model's order.

    Args:
        network: the model.
        output: its output layer, which is never chosen.
        targets: `all_linear`, last parts of paths, or patterns of whole paths.
        blocks: only the layers of these transformer blocks; None for all.

    Raises:
        LearningError: a target or a block is not there; the message says what there is.
    """
    kind = type(network).__name__
    there = tuple(
        name
        for name, module in network.named_modules()
        if isinstance(module, Linear) and module is not output
    )
    if not there:
        raise LearningError(
            f"expected a model with torch.nn.Linear layers, got a {kind}, which has none beside "
            "its output head"
        )
    chosen = there if blocks is None else _in_blocks(network, there, blocks)
    if targets == "all_linear":
        return chosen
    for target in targets:
        if not any(matches(name, target) for name in there):
            whole = f"*.{target}"
            is_part = any(matches(name, whole) for name in there)
            hint = f"; a pattern is of whole names: did you mean {whole!r}?" if is_part else ""
            raise LearningError(
                f"targets: {target!r} matches no linear layer of the {kind}; "
                f"there are {listed(there, target)}{hint}"
            )
        if not any(matches(name, target) for name in chosen):
            raise LearningError(
                f"targets: {target!r} matches no linear layer of blocks {list(blocks or ())}"
            )
    return tuple(name for name in chosen if any(matches(name, target) for target in targets))


def _in_blocks(network: nn.Module, names: Sequence[str], blocks: Sequence[int]) -> tuple[str, ...]:
    """Return the layers of some transformer blocks: members of the list with most layers."""
    lists = [
        (f"{path}.", len(module))
        for path, module in network.named_modules()
        if isinstance(module, nn.ModuleList)
    ]
    if not lists:
        raise LearningError(
            f"blocks: expected a model made of blocks, got a {type(network).__name__}, which has "
            "no list of modules; leave blocks out"
        )
    prefix, count = max(lists, key=lambda each: sum(name.startswith(each[0]) for name in names))
    beyond = [block for block in blocks if block >= count]
    if beyond:
        raise LearningError(
            f"blocks: expected numbers from 0 to {count - 1}, as the {type(network).__name__} has "
            f"{count} transformer blocks, got {', '.join(map(str, beyond))}"
        )
    wanted = tuple(f"{prefix}{block}." for block in blocks)
    return tuple(name for name in names if name.startswith(wanted))
