"""The blocks below the first adapted one: all adapters read the same there, so it is read once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from cosim.learning.pool._lora import forwards


def blocks_below(network: nn.Module, targets: Sequence[str]) -> list[nn.Module]:
    """Return the transformer blocks before the first that has an adapted layer.

    There are none where the adapted layers are not all in one list of blocks that run in turn,
    each once.

    Args:
        network: the model.
        targets: module paths of the adapted layers.
    """
    count = getattr(getattr(network, "config", None), "num_hidden_layers", None)
    for path, module in network.named_modules():
        if not isinstance(module, nn.ModuleList) or len(module) != count:
            continue
        prefix = f"{path}."
        if all(name.startswith(prefix) for name in targets):
            first = min(int(name[len(prefix) :].partition(".")[0]) for name in targets)
            return list(module)[:first]
    return []


@contextmanager
def read_once(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Let these blocks run in the first forward; in others they return what they did there.

    All forwards are of the same inputs, and nothing is trained in them.
    """
    kept: list[Any] = []

    def replaying(forward: Any, *, last: bool) -> Any:
        def run(*args: Any, **options: Any) -> Any:
            if kept:  # what the last of them returned is all that is needed
                return kept[0]
            found = forward(*args, **options)
            if last:
                kept.append(found)
            return found

        return run

    replays = [replaying(block.forward, last=block is blocks[-1]) for block in blocks]
    with forwards(blocks, replays):
        yield
