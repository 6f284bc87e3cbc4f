"""Inference `sum`: the products of all known adapters are added up (P2's `none`: no routing)."""

from cosim.learning.adapter import Adapter, concatenate
from cosim.learning.inference.base import Inference, Question
from cosim.learning.methods.base import Cohort, DeviceState, Method, with_mean_head


class Sum(Inference):
    """W = W0 + sum_j s_j B_j A_j, every product at full strength; a trained head is the mean."""

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter:
        """Return the sum of the products."""
        experts = method.experts(cohort, state)
        answer = concatenate([(expert.adapter, 1.0) for expert in experts])
        return with_mean_head(answer, experts)
