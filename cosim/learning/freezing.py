"""Layers whose adapters a device leaves as they are in its own training."""

from collections.abc import Sequence
from dataclasses import dataclass

from cosim.learning.adapter import Layout, Mask
from cosim.learning.errors import LearningError
from cosim.learning.layer_names import listed, matches

_HEAD = "head"


@dataclass(frozen=True)
class Frozen:
    """What is frozen: numbers of sites, and the head or not."""

    sites: tuple[int, ...]
    head: bool

    @classmethod
    def of(cls, layout: Layout, names: Sequence[str]) -> "Frozen":
        """Return what `learning.local.freeze` names.

        Args:
            layout: of the adapters.
            names: ends of layers' paths, patterns of whole paths, or `head`.

        Raises:
            LearningError: a name matches nothing that is trained, or nothing is left to train.
        """
        paths = [site.name for site in layout.sites]
        for name in names:
            known = any(matches(path, name) for path in paths)
            if not known and not (name == _HEAD and layout.head is not None):
                also = "" if layout.head is None else f"; or {_HEAD}"
                raise LearningError(
                    f"learning.local.freeze: {name!r} matches no layer that has an adapter; there "
                    f"are {listed(paths, name)}{also}"
                )
        sites = tuple(
            number for number, path in enumerate(paths) if any(matches(path, n) for n in names)
        )
        head = layout.head is not None and _HEAD in names
        if len(sites) == len(paths) and (head or layout.head is None):
            raise LearningError(
                "learning.local.freeze: expected a layer that is left to train, got "
                f"{list(names)}, which are all {len(paths)}; name fewer"
            )
        return cls(sites, head)

    def unfrozen(self, layout: Layout, trainable: Mask) -> Mask:
        """Return the coordinates of `trainable` that are not frozen.

        Args:
            layout: over the same sites and head, of any rank.
            trainable: [layout.size].
        """
        if not self.sites and not self.head:
            return trainable
        left = trainable.copy()
        for site in self.sites:
            left[layout.slices_a[site]] = False
            left[layout.slices_b[site]] = False
        if self.head:
            left[layout.part_head] = False
        return left
