"""Inference `by_method`: each method's own answer, one adapter for all tasks."""

from cosim.learning.adapter import Adapter
from cosim.learning.inference.base import Inference, Question
from cosim.learning.methods.base import Cohort, DeviceState, Method


class ByMethod(Inference):
    """What the method's `inference` returns."""

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter:
        """Return the method's own answer."""
        return method.inference(cohort, state)
