"""LoRI (Zhang et al. 2025, arXiv 2504.07448), P1's baseline of that name.

As published: A frozen, Kaiming-uniform; alpha / r = 2; a dense run of B; one threshold on |B| over
all layers that keeps a tenth; then B starts again from 0 under that mask, with the same A.
"""

from cosim.learning.adapter import Vector
from cosim.learning.methods._draw import kaiming_a
from cosim.learning.methods._masked import Masked
from cosim.learning.methods.base import Cohort


class Lori(Masked):
    """LoRI on every device; sent and merged as sparse_orthogonal is, so that the two compare.

    Resolved: exactly the top `density` of |B| is kept, not what ties with a threshold; every device
    draws an A of its own; the dense run is the device's first training (`warmup_steps`), after
    which nothing is sent unless `restart` is off. As published, the devices train apart and their
    adapters meet at inference: `agg: none`, with `combine: concat`. In P1's sense they are
    aggregated as sparse_orthogonal's are; `agg: mean` is that paper's literal aggregation.
    """

    restart: bool = True

    def frozen_a(self, cohort: Cohort, device: int) -> Vector:
        return kaiming_a(cohort, device)

    def restarts(self) -> bool:
        return self.restart
