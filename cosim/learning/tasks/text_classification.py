"""Texts with labels: JSONL of `text` and `label`, and the labels' names in `labels.json`."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from cosim.learning.errors import LearningError
from cosim.learning.tasks._files import Reader, TemplatedTask, Text
from cosim.learning.tasks._rows import Row, read_json
from cosim.learning.tasks.base import Example
from cosim.on_disk import OnDisk, under
from cosim.wording import did_you_mean, one_of, show

_FEWEST = 2  # labels to choose from


class TextClassification(TemplatedTask):
    """Which label a text has: SST-2, TREC, AG News and their like.

    A row is `{"text": ..., "label": 0}`; `labels` lists the labels' names in the order of their
    numbers, or names the file that does (`{"labels": [...]}`), looked up beside the rows. A row may
    have the name in place of the number. Rows with other keys are read with `text_key` and
    `label_key`.
    """

    group: ClassVar[str] = "language"
    fields: ClassVar[tuple[str, ...]] = ("text",)
    answers: ClassVar[tuple[str, ...]] = ("label",)

    labels: Annotated[
        Text | Annotated[tuple[Text, ...], Field(min_length=_FEWEST)], OnDisk(beside="path")
    ] = "labels.json"
    text_key: Text = "text"
    label_key: Text = "label"

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(labels, tuple) and len(set(labels)) < len(labels):
            raise ValueError(f"expected a name of its own for each label, got {show(labels)}")
        return labels

    def _reader(self, data_root: Path) -> Reader:
        template = self._template(data_root)
        names = self._labels(data_root)
        choices = tuple(template.reply({"label": label}) for label in names)
        numbers = {name: number for number, name in enumerate(names)}

        def number_of(row: Row) -> int:
            value = row.value(self.label_key)
            if not isinstance(value, str) or value.isdigit():
                return row.whole(self.label_key, len(choices), "the labels")
            raise row.error(
                f"expected {one_of(map(repr, names))} or its number for {self.label_key!r}, got "
                f"{show(value)}{did_you_mean(value, names)}"
            )

        def read(row: Row) -> Example:
            label = row.values.get(self.label_key)
            named = numbers.get(label) if isinstance(label, str) else None
            number = number_of(row) if named is None else named
            prompt = template.ask({"text": row.text(self.text_key).strip()})
            return Example(prompt, choices[number], choices)

        return read

    def _labels(self, data_root: Path) -> tuple[str, ...]:
        if isinstance(self.labels, tuple):
            return self.labels
        path = under(data_root, self.path)
        path = (path if path.is_dir() else path.parent) / self.labels
        if not path.exists():
            raise LearningError(
                f"{path}: expected a file with the names of the labels, such as "
                '{"labels": ["negative", "positive"]}, got a path that does not exist; write it, '
                "or list the names in the scenario: `labels: [negative, positive]`"
            )
        found: Any = read_json(path)
        labels = found.get("labels") if isinstance(found, dict) else None
        if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
            raise LearningError(
                f'{path}: expected {{"labels": [...]}} with the names of the labels in order, '
                f"got {show(found)}"
            )
        if len(labels) < _FEWEST or len(set(labels)) < len(labels) or "" in labels:
            raise LearningError(
                f"{path}: expected at least {_FEWEST} labels, each with a name of its own, "
                f"got {show(labels)}"
            )
        return tuple(labels)
