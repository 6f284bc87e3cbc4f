"""The table of methods: of every kind, in every variant, what it claims.

A kind that is missing here, or a value of one of its options, fails `test_methods_properties.py`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from method_helpers import NUM_AB, NUM_B, devices

from cosim.learning.methods._movements import Sparsified
from cosim.learning.methods.base import Method
from cosim.learning.methods.dec_lora import DecLora
from cosim.learning.methods.fedlodrop import Fedlodrop
from cosim.learning.methods.fedsa_lora import FedsaLora
from cosim.learning.methods.ffa_lora import FfaLora
from cosim.learning.methods.flasc import Flasc
from cosim.learning.methods.flexlora import Flexlora
from cosim.learning.methods.flora import Flora
from cosim.learning.methods.hetlora import Hetlora
from cosim.learning.methods.ilora import Ilora
from cosim.learning.methods.lora import Lora
from cosim.learning.methods.lori import Lori
from cosim.learning.methods.n_lora import NLora
from cosim.learning.methods.rlora import Rlora
from cosim.learning.methods.rolora import Rolora
from cosim.learning.methods.soft import Soft
from cosim.learning.methods.sparse_orthogonal import SparseOrthogonal


@dataclass(frozen=True)
class Row:
    """What a method claims.

    Attributes:
        sends: of which coordinates an update is, the head aside.
        budget: how many coordinates of A and B it has; None where it is not the same for all.
        exact: what a device's answer is exactly, after a clique has merged with equal weights: the
            mean or the sum of the answers before, or of its own B with all A. None: nothing.
        fixed_mask: what is trained is the same from the second training on.
        server: what a server gets of its clients: the average of coordinates, or of products, or
            what it had and their movements; None where it is tested by itself.
        answers: the sum of the experts, or their mean by members.
        lost: what a lost coordinate counts as: the device's own value, what it sent itself (its
            base where it sent nothing), or nothing.
        trainings: how many there must be before an update.
        memory: name of the state's memory of what was not sent.
        agrees: after a merge of a clique all answer alike.
    """

    method: Method
    sends: Literal["all", "a", "b", "turns", "mask", "part", "ranks", "dropped"]
    budget: int | None = None
    exact: Literal["mean", "sum", "own_b"] | None = None
    fixed_mask: bool = True
    server: Literal["average", "products", "movements"] | None = "average"
    answers: Literal["mean", "sum"] = "mean"
    lost: Literal["own", "sent", "nothing"] = "own"
    trainings: int = 1
    memory: str | None = None
    agrees: bool = True


def _masked(method, **claims):
    keys = {"budget": NUM_B // 4, "server": None, "answers": "sum", "agrees": False} | claims
    return Row(method, "mask", **keys)


def _sparse(**keys):
    return SparseOrthogonal(**({"rank": 4, "density": 0.25} | keys))


def _lori(**keys):
    return Lori(**({"rank": 4, "density": 0.25} | keys))


_PART = 53  # ceil(0.3 x 176)

TABLE = {
    # A and B averaged
    "lora": Row(Lora(rank=4), "all", NUM_AB),
    "lora gaussian": Row(Lora(rank=4, init="gaussian"), "all", NUM_AB),
    "lora own-start": Row(Lora(rank=4, common_start=False), "all", NUM_AB),
    "ilora": Row(Ilora(rank=4), "all", NUM_AB),
    "dec_lora": Row(DecLora(rank=4), "all", NUM_AB),
    "dec_lora lazy": Row(DecLora(rank=4, gossip_step=0.5), "all", NUM_AB, agrees=False),
    "n_lora": Row(
        NLora(rank=4),
        "all",
        NUM_AB,
        exact="sum",
        server=None,
        answers="sum",
        lost="nothing",
    ),
    "n_lora average": Row(NLora(rank=4, combine="average"), "all", NUM_AB),
    # One factor
    "ffa_lora": Row(FfaLora(rank=4), "b", NUM_B, exact="mean"),
    "fedsa_lora": Row(FedsaLora(rank=4), "a", NUM_AB - NUM_B, exact="own_b", agrees=False),
    "rolora": Row(Rolora(rank=4), "turns", exact="mean", fixed_mask=False),
    "rolora both": Row(Rolora(rank=4, send="both"), "all", NUM_AB, exact="mean", fixed_mask=False),
    # Products
    "flora": Row(Flora(rank=4), "all", NUM_AB, exact="mean", server="products"),
    "flexlora": Row(Flexlora(rank=4), "all", NUM_AB, server="products"),
    "flexlora ranks": Row(Flexlora(ranks=(2, 4, 1)), "ranks", server="products", agrees=False),
    # Ranks
    "hetlora": Row(Hetlora(ranks=(2, 4)), "ranks", server=None, agrees=False),
    "hetlora p3": Row(
        Hetlora(sense="p3", rank=4, density=0.6),
        "ranks",
        2 * NUM_AB // 4,
        server="movements",
        agrees=False,
    ),
    # A part
    "rlora": Row(Rlora(rank=4, density=0.3), "part", _PART, server="movements", agrees=False),
    "flasc": Row(Flasc(rank=4, density=0.3), "part", _PART, server="movements", agrees=False),
    "flasc download": Row(
        Flasc(rank=4, density=0.3, download_density=0.6),
        "part",
        _PART,
        server="movements",
        agrees=False,
    ),
    "flasc feedback": Row(
        Flasc(rank=4, density=0.3, error_feedback=True),
        "part",
        _PART,
        server="movements",
        memory="waiting",
        agrees=False,
    ),
    "soft": Row(
        Soft(rank=4, drop=0.7), "part", _PART, server="movements", lost="sent", memory="memory"
    ),
    "soft weights": Row(
        Soft(rank=4, drop=0.7, feedback="weights"),
        "part",
        _PART,
        server="movements",
        lost="sent",
        memory="memory",
    ),
    "fedlodrop": Row(
        Fedlodrop(rank=4, drop=0.4), "dropped", server="movements", fixed_mask=False, lost="sent"
    ),
    "fedlodrop p3": Row(
        Fedlodrop(rank=4, drop=0.7, sense="p3"), "part", _PART, server="movements", lost="sent"
    ),
    # Masks
    "sparse_orthogonal": _masked(_sparse()),
    "sparse_orthogonal mean": _masked(_sparse(agg="mean")),
    "sparse_orthogonal sum": _masked(_sparse(agg="sum"), lost="nothing"),
    "sparse_orthogonal apart": _masked(_sparse(agg="none"), exact="sum", lost="nothing"),
    "sparse_orthogonal normalised": _masked(
        _sparse(agg="none", alpha="normalised"), exact="mean", answers="mean", lost="nothing"
    ),
    "sparse_orthogonal linear": _masked(_sparse(combine="linear")),
    "sparse_orthogonal printed": _masked(
        _sparse(orthogonal="literal", keep="signed", agg="mean", combine="linear")
    ),
    "sparse_orthogonal exact": _masked(_sparse(rank=2, orthogonal="exact"), budget=NUM_B // 8),
    "sparse_orthogonal layers": _masked(_sparse(mask_scope="layer_wise")),
    "sparse_orthogonal widths": _masked(_sparse(mask_scope="layer_wise", importance="d_in")),
    "lori": _masked(_lori(agg="none"), exact="sum", lost="nothing", trainings=2),
    "lori p1": _masked(_lori(agg="mean"), trainings=2),
    "lori goes-on": _masked(_lori(restart=False)),
}
"""By kind and variant."""

_ALIKE = ("own-start", "gaussian", "mean", "sum", "normalised", "printed", "exact", "widths")
DIFFERENT = [name for name in TABLE if not name.endswith(_ALIKE)]
"""All but variants that differ in numbers alone, not in what is sent and kept."""

METHODS = {name: row.method for name, row in TABLE.items()}


def cohort_of(row, cohort):
    """The devices of a row: of the method's rank."""
    return replace(cohort, layout=replace(cohort.layout, rank=row.method.rank))


def kind(name):
    return name.partition(" ")[0]


def where(**claims):
    """The names of the rows with these claims."""
    return [
        name for name, row in TABLE.items() if all(getattr(row, k) == v for k, v in claims.items())
    ]


def own_values(row, cohort, state):
    """What a coordinate of each counts as at a device when it was lost, [layout.size]."""
    if row.lost == "own":
        return np.where(state.trainable, state.vector, 0) if row.sends == "mask" else state.vector
    method = row.method
    assert isinstance(method, Sparsified)
    chosen = method.chosen(cohort, state)
    return np.where(chosen, method.wanted(state), method.counted_from(state))


def row_of(name, cohort):
    """A row, its method, and its devices."""
    row = TABLE[name]
    return row, row.method, cohort_of(row, cohort)


def ready(name, cohort, more=0, count=4):
    """Devices that have an update to send."""
    row, method, cohort = row_of(name, cohort)
    return devices(method, cohort, count, row.trainings + more)
