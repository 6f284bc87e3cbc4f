"""Any data set that the `datasets` library reads: from the hub, or from a folder."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, PositiveInt, field_validator

from cosim.learning.errors import LearningError
from cosim.learning.tasks._files import TEST_FRACTION, Fraction, Text, in_test, key_of
from cosim.learning.tasks._rows import EmptyTextError, Row
from cosim.learning.tasks._template import Template, TemplateError, placeholders
from cosim.learning.tasks.base import Example, Split, Task
from cosim.on_disk import OnDisk, under
from cosim.wording import did_you_mean, one_of, show

_FEWEST = 2  # choices
_LOCAL = "path:"
_ANSWERS = ("answer",)


class Hub(Task):
    r"""Questions with choices from the columns of a data set.

        - kind: hub
          dataset: google/boolq
          test: validation
          template: "{passage}\n{question}?\nAnswer: {answer}"
          choices: ["no", "yes"]
          answer: answer

    `dataset` is the id of a data set on the hub, or `path:DIR`, a folder that the library wrote
    (`save_to_disk`) or reads (JSON, CSV, Parquet), looked up in `data_root`. `config` is its
    configuration. `train` and `test` are names of its splits; what has no such test split gives up
    `test_fraction` of its training rows, told by a hash of the prompt.

    The placeholders of `template` are the columns, and `{answer}`, which ends the prompt.
    `choices` is a list of texts that is the same for all rows, or the name of a column that holds
    such a list (`choices.text` for a list in it); if it is left out, the names of the classes of
    column `answer` are. Column `answer` holds the right choice: its number, its text, or, where
    `labels` names a list of what the choices are called, what it is called.

    No code of a data set's repository runs.
    """

    group: ClassVar[str] = "comprehensive"

    dataset: Annotated[Text, OnDisk(prefix=_LOCAL)]
    config: Text | None = None
    train: Text = "train"
    test: Text = "test"
    template: Text
    choices: Text | Annotated[tuple[Text, ...], Field(min_length=_FEWEST)] | None = None
    answer: Text = "label"
    labels: Text | None = None
    name: Text | None = None
    test_fraction: Fraction = TEST_FRACTION
    num_train: PositiveInt | None = None
    num_test: PositiveInt | None = None
    skip_empty: bool = False

    @field_validator("template")
    @classmethod
    def _good_template(cls, template: str) -> str:
        Template.of(template, placeholders(template, _ANSWERS), _ANSWERS)  # columns are told later
        return template

    @property
    def title(self) -> str:
        """The task's name: its own, or the last part of the data set's."""
        return self.name or Path(self.dataset.removeprefix(_LOCAL)).name

    def examples(self, split: Split, data_root: Path) -> Sequence[Example]:
        """Read the examples of a split.

        Raises:
            LearningError: the library is not installed, the data set is not to be had, or a row
                is not as the keys say.
        """
        return tuple(example for _, example in self._pairs(split, data_root))

    def keys(self, key: str, data_root: Path) -> Sequence[str]:
        """Return the value of a column for each training example."""
        return tuple(key_of(row, key) for row, _ in self._pairs("train", data_root))

    def _pairs(self, split: Split, data_root: Path) -> Sequence[tuple[Row, Example]]:
        tables = self._tables(data_root)
        if self.test in tables:
            train, test = (list(self._read(tables, name)) for name in (self.train, self.test))
        else:
            both = list(self._read(tables, self.train))
            tested = [in_test(pair[1].prompt.encode(), self.test_fraction) for pair in both]
            train, test = (
                [pair for pair, is_test in zip(both, tested, strict=True) if is_test == wanted]
                for wanted in (False, True)
            )
        asked = {example.question for _, example in test}
        kept = [pair for pair in train if pair[1].question not in asked]
        found = test[: self.num_test] if split == "test" else kept[: self.num_train]
        if not found:
            left_out = " that no test row asks" if split == "train" else ""
            raise LearningError(
                f"{self.dataset}: expected at least one {split} row{left_out}, got none; look at "
                "`train`, `test` and `test_fraction`"
            )
        return found

    def _read(self, tables: Mapping[str, Any], split: str) -> Iterator[tuple[Row, Example]]:
        if split not in tables:
            raise LearningError(
                f"{self.dataset}: expected {one_of(map(str, tables))} as a split, got {split!r}"
                f"{did_you_mean(split, map(str, tables))}"
            )
        table = tables[split]
        columns = tuple(table.column_names)
        asked = tuple(name for name in columns if name not in _ANSWERS)
        try:
            template = Template.of(self.template, asked, _ANSWERS)
        except TemplateError as error:
            raise LearningError(f"{self.dataset}: template: {error}") from None
        choices_of = self._choices(table)
        names = [name for name in placeholders(self.template, _ANSWERS) if name in columns]
        for number, values in enumerate(table):
            row = Row(f"{self.dataset}: {split} row {number}", values)
            try:
                texts = {name: _text(row, name) for name in names}
                choices = choices_of(row)
            except EmptyTextError:
                if self.skip_empty:
                    continue
                raise
            replies = tuple(template.reply({"answer": choice}) for choice in choices)
            answer, distinct = replies[self._number(row, choices)], tuple(dict.fromkeys(replies))
            if len(distinct) < _FEWEST:
                raise row.error("expected choices that differ, got the same text for all")
            yield row, Example(template.ask(texts), answer, distinct)

    def _choices(self, table: Any) -> Callable[[Row], tuple[str, ...]]:
        """Return what gives a row's choices."""
        given = self.choices
        if isinstance(given, str):
            return lambda row: tuple(_inside(row, given).texts(given.rpartition(".")[2]))
        names = given or getattr(table.features.get(self.answer), "names", None)
        if not names:
            raise LearningError(
                f"{self.dataset}: expected `choices` (a list of texts, or a column with one), as "
                f"column {self.answer!r} has no names of classes"
            )
        fixed = tuple(map(str, names))
        return lambda row: fixed

    def _number(self, row: Row, choices: tuple[str, ...]) -> int:
        value = row.value(self.answer)
        known = choices
        if self.labels is not None:
            known = tuple(_inside(row, self.labels).texts(self.labels.rpartition(".")[2]))
        if isinstance(value, str) and value in known:
            return known.index(value)
        if isinstance(value, bool):
            value = int(value)
        if type(value) is not int or not 0 <= value < len(choices):
            raise row.error(
                f"expected {one_of(map(repr, known))} or a number of 0 to {len(choices) - 1} for "
                f"{self.answer!r}, got {show(value)}"
            )
        return value

    def _tables(self, data_root: Path) -> Mapping[str, Any]:
        """Open the data set: its splits by name."""
        try:
            import datasets  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415
        except ImportError:
            raise LearningError(
                f"task hub: expected the library `datasets` to read {self.dataset!r} with, got "
                "none installed; install it (pip install datasets)"
            ) from None
        place = self.dataset
        if place.startswith(_LOCAL):
            folder = under(data_root, place.removeprefix(_LOCAL))
            if not folder.is_dir():
                raise LearningError(
                    f"{folder}: expected a folder with a data set, got "
                    f"{'a file' if folder.exists() else 'a path that does not exist'}"
                )
            place = str(folder)
        with _quiet(datasets):
            try:
                found = self._opened(datasets, place)
            except Exception as error:  # what the library raises comes from many others
                remedy = (
                    "look at its files"
                    if self.dataset.startswith(_LOCAL)
                    else "check its name, its config and the network, or download it and name "
                    "its folder with `dataset: path:DIR`"
                )
                raise LearningError(
                    f"expected a data set that can be read, got {self.dataset!r}: {_why(error)}; "
                    f"{remedy}"
                ) from None
        return found if isinstance(found, dict) else {self.train: found}

    def _opened(self, datasets: Any, place: str) -> Any:
        folder = Path(place)
        saved = ("dataset_dict.json", "dataset_info.json")
        if self.dataset.startswith(_LOCAL) and any((folder / name).exists() for name in saved):
            return datasets.load_from_disk(place)
        return datasets.load_dataset(place, self.config)


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Keep the library's bars off the terminal, and what it says of errors that it raises."""
    logging = datasets.utils.logging
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    datasets.disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            datasets.enable_progress_bars()


def _why(error: BaseException) -> str:
    """Return on one line what an error says; where it only says that there is another, of that."""
    while type(error).__name__.startswith("DatasetGeneration") and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _inside(row: Row, name: str) -> Row:
    """Return the row, or the part of it that a name with dots is in."""
    outer, dot, _ = name.rpartition(".")
    if not dot:
        return row
    value = _inside(row, outer).value(outer.rpartition(".")[2])
    if not isinstance(value, dict):
        raise row.error(f"expected a column with parts for {outer!r}, got {show(value)}")
    return Row(row.where, value)


def _text(row: Row, name: str) -> str:
    value = row.value(name)
    if isinstance(value, bool | int | float):
        return str(value)
    return row.text(name).strip()
