"""Pictures from Parquet, in the form of the hub's CIFAR-100: PNG files in a column `img`.

Classes' names are in the schema's `huggingface` metadata; without it they are their numbers.
"""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from cosim.learning.errors import LearningError
from cosim.wording import one_of, show

_ROWS = 1024  # read at a time
_SIDE = 32
_CLASSES = {"fine_label": 100, "coarse_label": 20}


def read_pictures(path: Path, label: str) -> Iterator[tuple[str, bytes, Any, tuple[str, ...]]]:
    """Yield for each picture where it stands, its bytes [3, 32, 32], its number, all names.

    Args:
        path: the file.
        label: the column of the classes' numbers.

    Raises:
        LearningError: the file is damaged, or has no such pictures.
    """
    try:
        with pq.ParquetFile(path) as file:
            for column in ("img", label):
                if column not in file.schema_arrow.names:
                    raise LearningError(
                        f"{path}: expected the columns 'img' and {label!r}, got "
                        f"{one_of(map(repr, file.schema_arrow.names))}"
                    )
            names = _names(file.schema_arrow, label) or tuple(map(str, range(_CLASSES[label])))
            row = 0
            for batch in file.iter_batches(batch_size=_ROWS, columns=["img", label]):
                images, numbers = (batch.column(name).to_pylist() for name in ("img", label))
                for image, number in zip(images, numbers, strict=True):
                    where = f"{path}: row {row}"
                    yield where, _pixels(where, image), number, names
                    row += 1
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise LearningError(f"{path}: expected a Parquet table, got {reason}") from None


def _names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Return the classes' names that the hub writes beside the schema; none if there are none."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = described["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _pixels(where: str, image: Any) -> bytes:
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        raise LearningError(f"{where}: expected a picture in the file, got {show(image)}")
    try:
        with Image.open(BytesIO(data), formats=("PNG",)) as picture:
            if picture.size != (_SIDE, _SIDE):
                raise LearningError(
                    f"{where}: expected {_SIDE} x {_SIDE} pixels, got {picture.size}"
                )
            pixels = np.asarray(picture.convert("RGB"))
    except UnidentifiedImageError:
        raise LearningError(f"{where}: expected a PNG picture, got what is none") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LearningError(f"{where}: expected a PNG picture, got {error}") from None
    return pixels.transpose(2, 0, 1).tobytes()
