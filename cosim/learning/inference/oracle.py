"""Inference `oracle`: hard routing by the task that is asked, which the device is told."""

from typing import ClassVar

from cosim.learning.adapter import Adapter, concatenate
from cosim.learning.inference.base import Inference, Question
from cosim.learning.methods.base import Cohort, DeviceState, Method


class Oracle(Inference):
    """The adapter whose members train the task.

    Of several such adapters the mean of their products; where there is none the device's own, and
    if it has none the method's answer.
    """

    asks_for_task: ClassVar[bool] = True

    def answering(
        self, method: Method, cohort: Cohort, state: DeviceState, question: Question
    ) -> Adapter:
        """Return the adapter for the question's task."""
        experts = method.experts(cohort, state)
        chosen = [
            expert
            for expert in experts
            if any(question.task in question.tasks_of.get(each, ()) for each in expert.members)
        ] or [expert for expert in experts if state.device in expert.members]
        if not chosen:
            return method.inference(cohort, state)
        if len(chosen) == 1:
            return chosen[0].adapter
        return concatenate([(expert.adapter, 1.0 / len(chosen)) for expert in chosen])
