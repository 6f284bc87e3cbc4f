"""What every running pool asks of its jobs."""

from collections.abc import Iterable

from cosim.learning.adapter import Adapter, Site
from cosim.learning.errors import LearningError


def check_layouts(sites: tuple[Site, ...], head: Site | None, adapters: Iterable[Adapter]) -> None:
    """Raise LearningError unless all adapters are for these layers and have their size."""
    for adapter in adapters:
        if adapter.layout.sites != sites:
            raise LearningError(
                f"expected adapters of the model's {len(sites)} layers {_names(sites)}, got one "
                f"of {len(adapter.layout.sites)} layers {_names(adapter.layout.sites)}; make the "
                "layout from the pool's sites"
            )
        if adapter.layout.head != head:
            raise LearningError(
                f"expected adapters with the model's head {head}, got one with "
                f"{adapter.layout.head}; make the layout from the pool's sites and head"
            )
        if adapter.vector.shape != (adapter.layout.size,):
            raise LearningError(
                f"expected a vector of {adapter.layout.size} coordinates, got shape "
                f"{adapter.vector.shape}"
            )


def _names(sites: tuple[Site, ...]) -> str:
    names = [site.name for site in sites]
    return ", ".join(names if len(names) <= 2 else [names[0], "...", names[-1]])
