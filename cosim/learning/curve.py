"""Learning curves: a score as a function of effective examples, and the one that fits best.

    score(n) = end + (start - end) (1 + n / n0)^(-power)

To take the curves of pool `surrogate` from a run with a model, run its scenario with the surrogate
as well. What that scored says how many effective examples there were at each evaluation:

    n = surrogate.learning.pool.accuracy.examples(surrogate_run.evaluations["accuracy"])
    fit = fitted(n, run.evaluations["accuracy"])

`transfer` and `related` are those by which the fit is best.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from cosim.plugin import Section

# What a fit may find: beyond, curves of other n0 and power look the same on any measured stretch.
_POWERS = (0.1, 4.0)
_STRETCH = 100.0  # n0 is between the largest n over, and the largest n times this


class Curve(Section):
    """A score as a function of effective examples n: end + (start - end) (1 + n / n0)^(-power).

    Attributes:
        start: of a device that has learned nothing.
        end: what it nears as n grows.
        n0: examples at which the learning slows.
        power: how fast the score nears its end after that.
        noise: standard deviation of an evaluation, uniformly distributed about the curve and cut
            off at what scores can be; the same for the same device, task and number of trainings.
    """

    start: Annotated[float, Field(ge=0)]
    end: Annotated[float, Field(ge=0)]
    n0: Annotated[float, Field(gt=0)]
    power: Annotated[float, Field(gt=0)]
    noise: Annotated[float, Field(ge=0)] = 0.0

    def value(self, examples: ArrayLike) -> NDArray[np.float64]:
        """Return the score, without noise, at effective examples of any shape."""
        left = (1.0 + np.asarray(examples, dtype=np.float64) / self.n0) ** -self.power
        return self.end + (self.start - self.end) * left

    def examples(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return at how many effective examples the curve has these scores: `value` undone."""
        left = (np.asarray(scores, dtype=np.float64) - self.end) / (self.start - self.end)
        examples: NDArray[np.float64] = self.n0 * (left ** (-1.0 / self.power) - 1.0)
        return examples


@dataclass(frozen=True)
class Fit:
    """A curve and how far it is from what was measured.

    Attributes:
        curve: its `noise` is `rms`.
        rms: root of the mean squared difference.
    """

    curve: Curve
    rms: float


def fitted(examples: ArrayLike, scores: ArrayLike) -> Fit:
    """Return the curve of least squares, from several first guesses.

    Args:
        examples: effective examples n of each measurement, [k].
        scores: accuracies or losses, at least 0, [k].

    Raises:
        ValueError: there are fewer than four different n, one for each parameter.
    """
    from scipy.optimize import least_squares  # noqa: PLC0415  who only reads curves needs no SciPy

    n = np.asarray(examples, dtype=np.float64)
    measured = np.asarray(scores, dtype=np.float64)
    if len(np.unique(n)) < 4:
        raise ValueError(
            f"expected scores at four different numbers of examples or more, got "
            f"{len(np.unique(n))}; evaluate more often"
        )

    def value(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        start, end, log_n0, power = parameters.tolist()
        scores: NDArray[np.float64] = end + (start - end) * (1.0 + n / np.exp(log_n0)) ** -power
        return scores

    first, last = measured[n == n.min()].mean(), measured[n == n.max()].mean()
    top = float(n.max())
    most = max(1.0, 2 * measured.max())
    bounds = (
        [0.0, 0.0, np.log(top / _STRETCH), _POWERS[0]],
        [most, max(1.0, measured.max()), np.log(top * _STRETCH), _POWERS[1]],
    )
    found = [
        least_squares(
            lambda parameters: value(parameters) - measured,
            np.clip([first, last, np.log(top * part), power], *bounds),
            bounds=bounds,
            x_scale=[1.0, 1.0, 1.0, 1.0],
        )
        for part in (0.05, 0.3, 2.0)
        for power in (0.5, 1.0, 3.0)
    ]
    best = min(found, key=lambda result: float(result.cost))
    start, end, log_n0, power = best.x.tolist()
    rms = float(np.sqrt(np.mean(best.fun**2)))
    curve = Curve(start=start, end=end, n0=float(np.exp(log_n0)), power=power, noise=rms)
    return Fit(curve, rms)
