"""Handwritten digits, 8 x 8 pixels: scikit-learn's bundled copy of the UCI set, no download.

Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998: 1,797 pictures with 17 grey
levels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from cosim.learning.errors import LearningError
from cosim.learning.tasks._files import TEST_FRACTION, Fraction, in_test
from cosim.learning.tasks._images import ImageTask
from cosim.learning.tasks.base import ImageExample, Split

_CLASSES = tuple("0123456789")
_BRIGHTEST = 16.0  # of the set's grey levels


class Digits(ImageTask):
    """Which digit a picture shows; a picture's split is told by a hash of its pixels."""

    group: ClassVar[str] = "vision"

    test_fraction: Fraction = TEST_FRACTION

    def examples(self, split: Split, data_root: Path) -> Sequence[ImageExample]:
        """Return the pictures of a split, one channel each, grey levels spread over 0 to 255.

        Raises:
            LearningError: scikit-learn is not installed.
        """
        try:
            import sklearn.datasets  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415
        except ImportError:
            raise LearningError(
                "task digits: expected scikit-learn, whose digits these are, got none installed; "
                "install it (pip install scikit-learn)"
            ) from None
        found = sklearn.datasets.load_digits()
        levels = np.rint(found.images * (255.0 / _BRIGHTEST)).astype(np.uint8)
        shape = (1, levels.shape[1], levels.shape[2])
        pictures = [
            ImageExample("", _CLASSES[digit], _CLASSES, picture.tobytes(), shape)
            for picture, digit in zip(levels, found.target.tolist(), strict=True)
        ]
        is_test = [in_test(picture.pixels, self.test_fraction) for picture in pictures]
        train = (each for each, tested in zip(pictures, is_test, strict=True) if not tested)
        test = (each for each, tested in zip(pictures, is_test, strict=True) if tested)
        return self._chosen(split, train, test)
