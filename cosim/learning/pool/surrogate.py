"""Learning by a formula: how well devices do is a curve of what they have trained and merged.

For network studies that want learning curves at the speed of no learning. Nothing is trained; what
a device knows is counted in examples, and a curve, fitted to runs with a model, makes scores of it:

    score(n) = end + (start - end) (1 + n / n0)^(-power)

- K_i[o], examples: of what device o has trained on, how much is in i's adapter. A local training
  adds its examples to K_i[i]. It never falls, and is never above K_o[o].
- When i merges j with mixing weight w_j (a late update's is lower), own weight w_i = 1 - sum_j w_j:

      K_i[o] <- K_i[o] + max_j g_j ((1 - interference S) K_j[o] - K_i[o])_+
      g_j = min(1, w_j / w_i) a_j

  a_j is the part of j's update that arrived (a lost coordinate counts as i's own), K_j what it was
  when j sent it. S is the collision rate, P1 (16), of all devices merged at the given `density`
  (a server, which does not train, is none of them), or at those that a controller has set. How well
  a device learns depends on densities by nothing else, and on the rank not at all.
  A clique with equal weights so learns all that one of it knows in one merge, as averaging does.
- Updates of other clusters are kept beside the adapter, without weight or interference.
- Effective examples of task t: n_i[t] = sum_o c_o (s_o[t] + related (1 - s_o[t])) K_i[o], with
  s_o[t] the task's part of o's training examples, c_i = 1 and c_o = `transfer` of all others.
  Devices on one task so add up, and other tasks help as far as they are `related`.

The curve, its parameters and the rules above are a model of learning and no part of the papers.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from cosim.learning.curve import Curve
from cosim.learning.learner import Learner, LearningSetting
from cosim.learning.pool._nominal import NominalPool


class Surrogate(NominalPool):
    """Payloads and trainings as of pool `none`, and scores by curves.

    `accuracy` and `loss` are the curves of one task. `transfer` is what an example that another
    device trained on counts beside one of its own, and `related` what one of another task counts;
    `interference` is what part of others' examples is lost in a merge whose updates all collide
    (S = 1). The defaults but that of `interference` are fitted to `scenarios/quickstart.yaml`.
    """

    accuracy: Curve = Curve(start=0.41, end=0.84, n0=2000.0, power=4.0)
    loss: Curve = Curve(start=1.1, end=0.73, n0=38.0, power=0.62)
    transfer: Annotated[float, Field(ge=0, le=1)] = 1.0
    related: Annotated[float, Field(ge=0, le=1)] = 0.2
    interference: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _check_curves(self) -> Self:
        for name, low, high in (
            ("accuracy: start, end and 1", self.accuracy.start, self.accuracy.end),
            ("accuracy: end and 1", self.accuracy.end, 1.0),
            ("loss: end and start", self.loss.end, self.loss.start),
        ):
            if low > high:
                raise PydanticCustomError(
                    "curve",
                    "expected {name} in ascending order, got {low} > {high}",
                    {"name": name, "low": low, "high": high},
                )
        return self

    def learner(self, setting: LearningSetting) -> Learner:
        """Return a learner by formula; no model is loaded.

        Raises:
            cosim.learning.errors.LearningError: the tasks cannot be read, or not be divided so.
        """
        # Who learns nothing needs no tasks.
        from cosim.learning.pool._surrogate_learner import (  # noqa: PLC0415
            Formula,
            SurrogateLearner,
        )

        formula = Formula(self.accuracy, self.loss, self.transfer, self.related, self.interference)
        return SurrogateLearner(self, formula, setting)
