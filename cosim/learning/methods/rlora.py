"""RLoRA in P3's sense: random coordinates of a dense training are sent (arXiv 2505.00333).

The baseline that tells what the choice of coordinates is worth: as many as the others send, chosen
by chance, anew for every device and round.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from cosim.learning.adapter import Layout, Vector
from cosim.learning.methods._budget import at_random
from cosim.learning.methods._clients import Moved
from cosim.learning.methods.base import Cohort, Coordinates, DeviceState


class Rlora(Moved):
    """Trains all of A and B; sends exactly ceil(density n) of their n coordinates, and the head.

    A coordinate that was not sent counts as the receiver's own. A server adds w_j times the
    movements that it is sent, as P3 has it, and broadcasts all. A device keeps what it has learned
    and not sent; a client, until the next broadcast. Gateways tell as many coordinates; of the
    rest, other clusters know the common start. Coordinates are drawn from device and round, which a
    receiver knows: only values are sent, but where a gateway passes on what it has received.
    """

    draws_coordinates: ClassVar[bool] = True

    density: Annotated[float, Field(gt=0, le=1)] = 0.25

    def _keys_at(self, density: float) -> dict[str, float]:
        return {"density": density}

    def start_in_common(self, layout: Layout) -> slice:
        return slice(0, layout.size)

    def sent(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        return at_random(cohort, self.density, "random_update", state.device, round)

    def told(self, cohort: Cohort, state: DeviceState, round: int) -> Coordinates:
        return at_random(cohort, self.density, "random_exchange", state.device, round)

    def background(self, cohort: Cohort, state: DeviceState) -> Vector:
        return self.first_vector(cohort, state.device)

    def expected(self, cohort: Cohort, state: DeviceState) -> Coordinates:
        return at_random(cohort, self.density, "expected_mask", state.device)
