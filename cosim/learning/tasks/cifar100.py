"""CIFAR-100 (Krizhevsky, 2009): 60,000 pictures of 32 x 32 pixels, from the files as published."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cosim.learning.errors import LearningError
from cosim.learning.tasks._files import Text
from cosim.learning.tasks._images import ImageTask
from cosim.learning.tasks._pickled import read_pickled
from cosim.learning.tasks._rows import missing
from cosim.learning.tasks.base import ImageExample, Split
from cosim.on_disk import OnDisk, under
from cosim.wording import show

SHAPE = (3, 32, 32)
_SIZE = 3 * 32 * 32


class Cifar100(ImageTask):
    """Which of 100 classes, or 20 with `labels: coarse`, a picture shows.

    `path` is a folder with the python form (`train`, `test`, `meta`) or the Parquet form
    (`train-*.parquet`, `test-*.parquet`, or the same in a folder `cifar100`).

    The python form is a pickle, which could run any program when it is unpickled. It is not: it is
    read opcode by opcode as data, and a file that names anything else than arrays is refused.
    """

    group: ClassVar[str] = "vision"

    path: Annotated[Text, OnDisk()]
    labels: Literal["fine", "coarse"] = "fine"

    def examples(self, split: Split, data_root: Path) -> Sequence[ImageExample]:
        """Return the pictures of a split, channels red, green and blue.

        Raises:
            LearningError: the files are in neither form, or damaged.
        """
        folder = under(data_root, self.path)
        if folder.is_file():
            raise LearningError(f"{folder}: expected a folder with CIFAR-100, got a file")
        if not folder.is_dir():
            raise missing(folder, "a folder with CIFAR-100")
        for place in (folder, folder / "cifar100"):
            tables = {name: any(place.glob(f"{name}*.parquet")) for name in ("train", "test")}
            if any(tables.values()):
                for name, is_there in tables.items():
                    if not is_there:
                        raise LearningError(f"{place}: expected {name}-*.parquet, got none")
                train, test = (self._tabled(place, name) for name in ("train", "test"))
                return self._chosen(split, train, test)
        if not (folder / "meta").exists():
            raise LearningError(
                f"{folder}: expected the files train, test and meta, or train-*.parquet and "
                "test-*.parquet, got neither"
            )
        train, test = (self._pickled(folder, name) for name in ("train", "test"))
        return self._chosen(split, train, test)

    def _pickled(self, folder: Path, name: str) -> Iterator[ImageExample]:
        classes = read_pickled(folder / "meta").get(f"{self.labels}_label_names")
        if not isinstance(classes, list) or not _are_names(classes):
            raise LearningError(
                f"{folder / 'meta'}: expected {self.labels}_label_names with a name for each "
                f"class, got {show(classes)}"
            )
        path = folder / name
        batch = read_pickled(path)
        data, numbers = batch.get("data"), batch.get(f"{self.labels}_labels")
        if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != _SIZE:
            raise LearningError(
                f"{path}: expected data of {_SIZE} bytes for each picture, got "
                f"{'shape ' + str(data.shape) if isinstance(data, np.ndarray) else show(data)}"
            )
        if not isinstance(numbers, list) or len(numbers) != len(data):
            found = f"{len(numbers)}" if isinstance(numbers, list) else show(numbers)
            raise LearningError(
                f"{path}: expected {len(data)} {self.labels}_labels, one for each picture, "
                f"got {found}"
            )
        choices = tuple(classes)
        for place, (pixels, number) in enumerate(zip(data, numbers, strict=True)):
            answer = _class_of(f"{path}: picture {place}", number, choices)
            yield ImageExample("", answer, choices, pixels.tobytes(), SHAPE)

    def _tabled(self, folder: Path, name: str) -> Iterator[ImageExample]:
        # Loading Parquet takes its time, which reading a scenario must not.
        from cosim.learning.tasks._parquet import read_pictures  # noqa: PLC0415

        for path in sorted(folder.glob(f"{name}*.parquet")):
            for where, pixels, number, choices in read_pictures(path, f"{self.labels}_label"):
                answer = _class_of(where, number, choices)
                yield ImageExample("", answer, choices, pixels, SHAPE)


def _class_of(where: str, number: Any, choices: tuple[str, ...]) -> str:
    if type(number) is not int or not 0 <= number < len(choices):
        raise LearningError(
            f"{where}: expected a class of 0 to {len(choices) - 1}, got {show(number)}"
        )
    return choices[number]


def _are_names(classes: list[Any]) -> bool:
    return all(isinstance(each, str) for each in classes) and len(set(classes)) == len(classes) > 1
