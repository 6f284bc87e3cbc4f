"""HellaSwag as published (Zellers et al., ACL 2019): how a description goes on, of four endings."""

from pathlib import Path
from typing import ClassVar

from cosim.learning.tasks._files import Reader, TemplatedTask
from cosim.learning.tasks._rows import Row
from cosim.learning.tasks.base import Example


class Hellaswag(TemplatedTask):
    """Rows of `activity_label`, `ctx`, `endings` and `label`, the number of the right ending.

    The published files are `hellaswag_train.jsonl` and `hellaswag_val.jsonl`: name them with `path`
    and `test_path`.
    """

    group: ClassVar[str] = "comprehensive"
    fields: ClassVar[tuple[str, ...]] = ("context", "activity")
    answers: ClassVar[tuple[str, ...]] = ("choice",)

    def _reader(self, data_root: Path) -> Reader:
        template = self._template(data_root)

        def read(row: Row) -> Example:
            endings = row.texts("endings")
            number = row.whole("label", len(endings), "the endings")
            texts = {"context": row.text("ctx"), "activity": row.text("activity_label")}
            replies = [template.reply({"choice": ending.strip()}) for ending in endings]
            choices = tuple(dict.fromkeys(replies))
            if len(choices) == 1:
                raise row.error("expected endings that differ, got the same text for all")
            return Example(template.ask(texts), replies[number], choices)

        return read
