"""Tasks of pictures: classes by name, splits by the picture."""

from collections.abc import Iterable, Sequence
from itertools import islice

from pydantic import PositiveInt

from cosim.learning.errors import LearningError
from cosim.learning.tasks.base import ImageExample, Split, Task


class ImageTask(Task):
    """Base of the image tasks; `num_train` and `num_test` take the first so many pictures."""

    num_train: PositiveInt | None = None
    num_test: PositiveInt | None = None

    def _chosen(
        self, split: Split, train: Iterable[ImageExample], test: Iterable[ImageExample]
    ) -> Sequence[ImageExample]:
        """Return the pictures of a split; those that are in the test are not in the training."""
        if split == "test":
            found = tuple(islice(test, self.num_test))
        else:
            tested = {example.question for example in test}
            kept = (example for example in train if example.question not in tested)
            found = tuple(islice(kept, self.num_train))
        if not found:
            raise LearningError(
                f"task {self.title}: expected at least one {split} picture, got none"
            )
        return found
