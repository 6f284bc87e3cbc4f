"""Images: CIFAR-100 from both of its forms, damaged ones too, and the digits of scikit-learn."""

import json
import pickle
import sys
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cosim.learning.errors import LearningError
from cosim.learning.tasks._pickled import read_pickled
from cosim.learning.tasks.cifar100 import Cifar100
from cosim.learning.tasks.digits import Digits

FINE = ["apple", "bus", "crab"]
COARSE = ["fruit", "vehicle"]
NUMBERS = {"train": [0, 2, 1, 1, 0], "test": [2, 0]}


def pictures(split):
    rng = np.random.default_rng([len(split), 1])
    return rng.integers(0, 256, (len(NUMBERS[split]), 3, 32, 32), dtype=np.uint8)


def python_form(folder, protocol=2, keys=str.encode, **changed):
    """Write the files as the published ones are, which Python 2 wrote with keys of bytes."""
    folder.mkdir(exist_ok=True)
    meta = {"fine_label_names": FINE, "coarse_label_names": COARSE}
    contents = {"meta": meta}
    for split, numbers in NUMBERS.items():
        contents[split] = {
            "filenames": [f"{i}.png" for i in numbers],
            "batch_label": f"{split} batch 1 of 1",
            "fine_labels": numbers,
            "coarse_labels": [number % 2 for number in numbers],
            "data": pictures(split).reshape(-1, 3072),
        }
    for name, content in contents.items():
        content = content | changed.get(name, {})
        data = pickle.dumps({keys(key): value for key, value in content.items()}, protocol)
        (folder / name).write_bytes(data)
    return folder


def png(picture):
    stream = BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def parquet_form(folder, names=True, numbers=NUMBERS):
    folder.mkdir(parents=True, exist_ok=True)
    features = {"fine_label": {"names": FINE}, "coarse_label": {"names": COARSE}}
    for split in NUMBERS:
        table = pa.table(
            {
                "img": [png(picture) for picture in pictures(split)],
                "fine_label": numbers[split],
                "coarse_label": [number % 2 for number in numbers[split]],
            }
        )
        if names:
            info = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": info})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def check(task, root, classes=FINE, numbers=lambda number: number):
    for split, labels in NUMBERS.items():
        examples = task.examples(split, root)
        assert [example.answer for example in examples] == [classes[numbers(n)] for n in labels]
        for example, picture in zip(examples, pictures(split), strict=True):
            assert example.choices == tuple(classes)
            assert example.shape == (3, 32, 32)
            assert example.pixels == picture.tobytes()
            assert isinstance(hash(example), int)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("keys", [str.encode, str])
def test_the_python_form(protocol, keys, tmp_path):
    python_form(tmp_path / "cifar", protocol, keys)
    check(Cifar100(path="cifar"), tmp_path)
    check(Cifar100(path="cifar", labels="coarse"), tmp_path, COARSE, lambda number: number % 2)


def test_bytes_of_python_2(tmp_path):
    """What Python 2 wrote for {'a': 'x\\xff', 'b': [1, 300, 70000]}, opcode by opcode."""
    path = tmp_path / "file"
    path.write_bytes(
        b"\x80\x02}q\x01(U\x01aq\x02U\x02x\xffq\x03U\x01bq\x04]q\x05(K\x01M\x2c\x01Jp\x11\x01\x00eu."
    )
    assert read_pickled(path) == {"a": "x\xff", "b": [1, 300, 70000]}


@pytest.mark.parametrize("inner", ["", "cifar100"])
def test_the_parquet_form(inner, tmp_path):
    parquet_form(tmp_path / "hub" / inner)
    check(Cifar100(path="hub"), tmp_path)
    check(Cifar100(path="hub", labels="coarse"), tmp_path, COARSE, lambda number: number % 2)


def test_parquet_without_names_numbers_the_classes(tmp_path):
    parquet_form(tmp_path, names=False)
    first = Cifar100(path=".").examples("train", tmp_path)[1]
    assert (first.answer, len(first.choices)) == ("2", 100)


def test_a_picture_of_the_test_is_not_trained_on(tmp_path):
    both = np.concatenate([pictures("train")[:4], pictures("test")[:1]]).reshape(-1, 3072)
    python_form(tmp_path, train={"data": both})
    assert len(Cifar100(path=".").examples("train", tmp_path)) == 4
    assert len(Cifar100(path=".", num_train=2).examples("train", tmp_path)) == 2
    assert len(Cifar100(path=".", num_test=1).examples("test", tmp_path)) == 1


class Evil:
    """What runs a program when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({str(self.path)!r}, 'w')",))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_program_in_the_file_is_not_run(protocol, tmp_path):
    trace = tmp_path / "ran"
    (tmp_path / "file").write_bytes(pickle.dumps({"data": Evil(trace)}, protocol))
    pickle.loads((tmp_path / "file").read_bytes())
    assert trace.exists(), "the file would run nothing"
    trace.unlink()
    with pytest.raises(LearningError, match=r"got the .*; nothing of it was run"):
        read_pickled(tmp_path / "file")
    assert not trace.exists()


@pytest.mark.parametrize(
    "value",
    [
        {"data": np.zeros((2, 3), dtype=np.float64)},
        {"data": np.array([{}], dtype=object)},
        {"data": {1, 2}},
        {"data": 1.5},
        {"data": ValueError("x")},
        [1, 2],
    ],
)
def test_what_is_no_array_of_bytes_is_refused(value, tmp_path):
    (tmp_path / "file").write_bytes(pickle.dumps(value, 2))
    with pytest.raises(LearningError, match=r"file: expected"):
        read_pickled(tmp_path / "file")


def test_a_dict_that_holds_itself_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"\x80\x02}q\x00(U\x01ah\x00u.")
    with pytest.raises(LearningError, match="file: expected the python form of CIFAR, got what is"):
        read_pickled(tmp_path / "file")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), protocol=st.sampled_from((2, 3, 4)))
def test_a_damaged_file_is_a_message(data, protocol, tmp_path):
    whole = pickle.dumps({b"data": np.arange(12, dtype=np.uint8), b"labels": [1, 2]}, protocol)
    place = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    damaged = (
        whole[:place]
        if cut
        else (whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :])
    )
    (tmp_path / "file").write_bytes(damaged)
    try:
        found = read_pickled(tmp_path / "file")
    except LearningError as error:
        message = str(error)
    else:
        assert not cut
        assert isinstance(found, dict)
        return
    assert message.startswith(f"{tmp_path / 'file'}: expected ")


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("train", {"fine_labels": [0, 1, 2, 3, 0]}, "train: picture 3: expected a class of 0 to 2"),
        ("train", {"fine_labels": [0, 1]}, "train: expected 5 fine_labels, one for each picture"),
        ("train", {"fine_labels": None}, "train: expected 5 fine_labels"),
        ("train", {"data": np.zeros((5, 3071), np.uint8)}, "got shape (5, 3071)"),
        ("train", {"data": "x"}, "train: expected data of 3072 bytes"),
        ("meta", {"fine_label_names": ["a", "a"]}, "meta: expected fine_label_names"),
        ("meta", {"fine_label_names": None}, "meta: expected fine_label_names"),
    ],
)
def test_contents_that_do_not_fit(name, changed, message, tmp_path):
    python_form(tmp_path, **{name: changed})
    with pytest.raises(LearningError) as caught:
        Cifar100(path=".").examples("train", tmp_path)
    assert message in str(caught.value)


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(LearningError, match="expected the files train, test and meta, or train-"):
        Cifar100(path=".").examples("train", tmp_path)
    with pytest.raises(LearningError, match="expected a folder with CIFAR-100, got a path that"):
        Cifar100(path="nowhere").examples("train", tmp_path)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "train").write_bytes(b"")
    with pytest.raises(LearningError, match="train: expected a folder with CIFAR-100, got a file"):
        Cifar100(path="train").examples("train", tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_parquet_of_one_split_alone(split, tmp_path):
    parquet_form(tmp_path)
    for path in tmp_path.glob(f"{split}*.parquet"):
        path.unlink()
    with pytest.raises(LearningError, match=rf"expected {split}-\*.parquet, got none"):
        Cifar100(path=".").examples("train", tmp_path)


def test_damaged_parquet(tmp_path):
    parquet_form(tmp_path, numbers={"train": [0, 1, 2, 3, 0], "test": [0, 0]})
    with pytest.raises(LearningError, match=r"train.*parquet: row 3: expected a class of 0 to 2"):
        Cifar100(path=".").examples("train", tmp_path)
    path = tmp_path / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LearningError, match=r"test.*parquet: expected a Parquet table, got"):
        Cifar100(path=".").examples("test", tmp_path)
    pq.write_table(pa.table({"image": [1], "fine_label": [0]}), path)
    with pytest.raises(LearningError, match=r"expected the columns 'img' and 'fine_label', got"):
        Cifar100(path=".").examples("test", tmp_path)
    for image, message in (
        ({"bytes": b"no picture"}, "row 0: expected a PNG picture, got what is none"),
        ({"bytes": png(np.zeros((3, 16, 32), np.uint8))["bytes"]}, "expected 32 x 32 pixels"),
        ({"bytes": png(pictures("test")[0])["bytes"][:200]}, "row 0: expected a PNG picture"),
        (None, "row 0: expected a picture in the file, got null"),
    ):
        kind = pa.struct([("bytes", pa.binary())])
        pq.write_table(pa.table({"img": pa.array([image], kind), "fine_label": [0]}), path)
        with pytest.raises(LearningError, match=message):
            Cifar100(path=".").examples("test", tmp_path)


def test_digits(tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    train, test = (Digits().examples(split, tmp_path) for split in ("train", "test"))
    found = datasets.load_digits()
    levels = {(image.astype(int) * 255 / 16).round().astype(np.uint8).tobytes(): digit
              for image, digit in zip(found.images, found.target, strict=True)}  # fmt: skip
    assert len(levels) == len(train) + len(test) == 1797
    assert abs(len(test) - 359) < 68  # n = 1,797 at 0.2: 4 standard deviations, false alarm 6e-5
    for example in (*train, *test):
        assert example.shape == (1, 8, 8)
        assert example.answer == str(levels[example.pixels])
    assert not {e.question for e in train} & {e.question for e in test}
    assert len(Digits(num_train=10).examples("train", tmp_path)) == 10


def test_digits_without_scikit_learn(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(LearningError, match=r"expected scikit-learn.*pip install scikit-learn"):
        Digits().examples("train", tmp_path)
