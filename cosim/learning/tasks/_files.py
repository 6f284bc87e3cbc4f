"""Tasks that are read from files of rows: where the files are, and which rows are of which split.

Files named `train` and `test` in one folder are the splits. A single file is split by a hash of
each row's contents, so that a row's split hangs on nothing else. Either way a training row that
asks what a test row asks is left out: published splits do overlap, and a test that was trained on
tests nothing.
"""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt, field_validator, model_validator

from cosim.learning.errors import LearningError
from cosim.learning.tasks._rows import (
    JSON_SUFFIXES,
    EmptyTextError,
    Row,
    missing,
    read_rows,
)
from cosim.learning.tasks._template import Template, TemplateError, read_template
from cosim.learning.tasks.base import Example, Split, Task
from cosim.on_disk import OnDisk, under
from cosim.plugin import kind_of
from cosim.wording import one_of, show

Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
TEST_FRACTION = 0.2

_NOT_READ = (".csv", ".gz", ".parquet", ".tsv", ".txt", ".xz", ".zip", ".zst")
_NO_ROWS = ("labels.json",)

Reader = Callable[[Row], Example]


def in_test(content: bytes, fraction: float) -> bool:
    """Return whether a row with these contents is one of the test rows, a `fraction` of all."""
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return int.from_bytes(digest, "little") < fraction * 2**64


class FileTask(Task):
    """Base of the tasks with files.

    `path` is a folder with `train.json` or `.jsonl` and `test.json` or `.jsonl`, or one file; a
    folder may hold one file of any name. What has no test file gives up `test_fraction` of its
    rows for the test; `test_path` names a test file that lies elsewhere. `num_train` and
    `num_test` take the first so many rows. Rows with an empty text are an error, or are left out
    with `skip_empty`; rows whose prompt and answer have more than `max_chars` characters together
    are left out. `name` is what tables call the task, by default the last part of `path`.
    """

    path: Annotated[Text, OnDisk()]
    test_path: Annotated[Text | None, OnDisk()] = None
    name: Text | None = None
    test_fraction: Fraction = TEST_FRACTION
    num_train: PositiveInt | None = None
    num_test: PositiveInt | None = None
    skip_empty: bool = False
    max_chars: PositiveInt | None = None

    @property
    def title(self) -> str:
        """The task's name: its own, or that of its file or folder."""
        if self.name is not None:
            return self.name
        path = Path(self.path)
        if path.suffix in JSON_SUFFIXES:
            path = path.parent if path.stem == "train" else path.with_suffix("")
        return path.name or kind_of(self)

    @abstractmethod
    def _reader(self, data_root: Path) -> Reader:
        """Return what makes an example of a row, with all that it needs read.

        Raises:
            LearningError: what it needs cannot be read.
        """

    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Read the examples of a split, in the order of their rows."""
        if split == "train":
            return tuple(example for _, example in self._train(data_root))
        found = tuple(islice(self._test(data_root), self.num_test))
        if not found:
            raise self._without_rows("test", data_root)
        return found

    def keys(self, key: str, data_root: Path) -> Sequence[str]:
        """Return the value of a key for each training example."""
        return tuple(key_of(row, key) for row, _ in self._train(data_root))

    def _train(self, data_root: Path) -> Iterator[tuple[Row, Example]]:
        tested = {example.question for example in self._test(data_root)}
        if not tested:
            raise self._without_rows("test", data_root)
        train, test = self._places(data_root)
        rows = self._read(train, data_root, None if test else "train")
        kept = (pair for pair in rows if pair[1].question not in tested)
        found = islice(kept, self.num_train)
        first = next(found, None)
        if first is None:
            raise self._without_rows("train", data_root)
        yield first
        yield from found

    def _test(self, data_root: Path) -> Iterator[Example]:
        train, test = self._places(data_root)
        rows = self._read(test or train, data_root, None if test else "test")
        return (example for _, example in rows)

    def _read(
        self, path: Path, data_root: Path, split: Split | None
    ) -> Iterator[tuple[Row, Example]]:
        """Yield the rows of a file, or those of one split of a file that both splits share."""
        reader = self._reader(data_root)
        row = None
        for row in read_rows(path):
            if split and in_test(_content(row), self.test_fraction) != (split == "test"):
                continue
            try:
                example = reader(row)
            except EmptyTextError:
                if self.skip_empty:
                    continue
                raise
            size = len(example.prompt) + len(example.answer)
            if self.max_chars is None or size <= self.max_chars:
                yield row, example
        if row is None:
            raise LearningError(f"{path}: expected at least one row, got an empty file")

    def _places(self, data_root: Path) -> tuple[Path, Path | None]:
        """Return the file of the training rows, and that of the test rows if it is another."""
        path = under(data_root, self.path)
        if self.test_path is not None:
            return path, under(data_root, self.test_path)
        if not path.is_dir():
            if not path.exists():
                raise missing(path, "a data file or a folder with one")
            return path, None
        files = sorted(
            each
            for each in path.iterdir()
            if each.suffix in JSON_SUFFIXES and each.name not in _NO_ROWS
        )
        train, test = ([each for each in files if each.stem == name] for name in ("train", "test"))
        if len(train) == len(test) == 1:
            return train[0], test[0]
        if len(files) == 1 and not test:
            return files[0], None
        raise LearningError(
            f"{path}: expected train.json or train.jsonl, and one such test file or no other file, "
            f"got {one_of(each.name for each in files)}{_others(path)}; name the files with "
            "`path:` and `test_path:`"
        )

    def _without_rows(self, split: Split, data_root: Path) -> LearningError:
        train, test = self._places(data_root)
        hint = f"; change test_fraction ({self.test_fraction:g})" if test is None else ""
        left_out = " that no test row asks" if split == "train" else ""
        return LearningError(
            f"{(test if split == 'test' else None) or train}: expected at least one {split} row"
            f"{left_out}, got none{hint}"
        )


class TemplatedTask(FileTask):
    """Base of the tasks with files and a prompt template.

    `template` is the template itself, `template_file` a file that holds it, and without both that
    of the package is used. Its placeholders are the class's `fields`, and `answers`, which stand
    for what the model is to say.
    """

    fields: ClassVar[tuple[str, ...]]
    answers: ClassVar[tuple[str, ...]]

    template: Text | None = None
    template_file: Annotated[Text | None, OnDisk()] = None

    @field_validator("template")
    @classmethod
    def _good_template(cls, template: str | None) -> str | None:
        if template is not None:
            Template.of(template, cls.fields, cls.answers)
        return template

    @model_validator(mode="after")
    def _one_template(self) -> "TemplatedTask":
        if self.template is not None and self.template_file is not None:
            raise ValueError("expected template or template_file, got both; remove one")
        return self

    def _template(self, data_root: Path) -> Template:
        """Return the template.

        Raises:
            LearningError: its file cannot be used.
        """
        file = None if self.template_file is None else under(data_root, self.template_file)
        text = read_template(self.template, file, kind_of(self))
        try:
            return Template.of(text, self.fields, self.answers)
        except TemplateError as error:
            raise LearningError(f"{file or 'template'}: {error}") from None


def _others(folder: Path) -> str:
    """Tell of files that look like data of a form that is not read."""
    names = [f"{each.name}" for each in sorted(folder.iterdir()) if each.suffix in _NOT_READ]
    remedy = "unpack them, or read tables with task kind hub"
    return f" (beside {', '.join(names)}: {remedy})" if names else ""


def _content(row: Row) -> bytes:
    return json.dumps(row.values, sort_keys=True, default=str).encode()


def key_of(row: Row, key: str) -> str:
    """Return the value of a key that tells rows apart, as text.

    Raises:
        LearningError: the row has no such key, or something else there.
    """
    value = row.value(key)
    if not isinstance(value, str | int):
        raise row.error(f"expected text or a whole number for {key!r}, got {show(value)}")
    return str(value)
