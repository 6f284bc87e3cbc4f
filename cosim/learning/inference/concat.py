"""Inference `concat`: the mean of the products of all known adapters (methods' `merge: concat`)."""

from cosim.learning.adapter import Adapter, concatenate
from cosim.learning.inference.base import Inference, Question, shares
from cosim.learning.methods.base import Cohort, DeviceState, Method


class Concat(Inference):
    """W = W0 + sum_j alpha_j s_j B_j A_j; alpha_j is j's part of all members, of sum 1.

    Every product was trained at full strength, so weights of sum 1 divide what each device has
    learned by about their number; `sum` does not.
    """

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter:
        """Return the weighted sum of the products."""
        experts = method.experts(cohort, state)
        parts = zip(experts, shares(experts), strict=True)
        return concatenate([(expert.adapter, alpha) for expert, alpha in parts])
