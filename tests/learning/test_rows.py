"""Rows of data files: what is read, and what is said of files that are not as they should be."""

import gzip
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim.learning.errors import LearningError
from cosim.learning.tasks import _rows
from cosim.learning.tasks._rows import EmptyTextError, Row, read_json, read_rows
from cosim.on_disk import under

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=6)


@pytest.fixture
def write(tmp_path):
    def write(content, name="rows.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def values_of(path):
    return [dict(row.values) for row in read_rows(path)]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, indent=st.sampled_from((None, 0, 3)), ascii=st.booleans())
def test_a_list_and_lines_are_read_as_json_reads_them(rows, indent, ascii, write, monkeypatch):
    monkeypatch.setattr(_rows, "_PIECE", 7)  # so that rows, texts and characters are cut
    path = write(json.dumps(rows, indent=indent, ensure_ascii=ascii))
    assert values_of(path) == rows
    assert values_of(write("\n".join(json.dumps(row) for row in rows))) == rows


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, cut=st.integers(1, 400), lines=st.booleans())
def test_a_file_that_is_cut_off_is_an_error_at_its_last_line(rows, cut, lines, write, monkeypatch):
    monkeypatch.setattr(_rows, "_PIECE", 7)
    whole = (
        "\n".join(json.dumps(row) for row in rows) if lines else json.dumps(rows, indent=1)
    ).encode()
    part = whole[:-cut]
    path = write(part)
    try:
        found = values_of(path)
    except LearningError as error:
        place = re.match(rf"{re.escape(str(path))}:(\d+): ", str(error))
        assert place is not None
        assert 1 <= int(place[1]) <= part.count(b"\n") + 1
    else:  # nothing but whole lines is left
        assert lines or not part
        assert found == rows[: len(found)]


def test_a_byte_order_mark_and_blank_lines_do_not_count(write):
    path = write(b'\xef\xbb\xbf\n{"a": 1}\r\n\r\n  \n{"a": 2}\r\n')
    assert [(row.where, row.values["a"]) for row in read_rows(path)] == [
        (f"{path}:2", 1),
        (f"{path}:5", 2),
    ]


def test_rows_of_a_list_know_their_lines(write):
    path = write('\n[\n {"a": 1},\n\n {"a":\n 2}]\n')
    assert [row.where for row in read_rows(path)] == [f"{path}:3", f"{path}:5"]


def test_a_large_list_is_read_in_pieces(write):
    path = write("[" + ",".join('{"a": 1}' for _ in range(100_000)) + ", oops")
    rows = read_rows(path)
    assert next(rows).values == {"a": 1}  # what is wrong at the end is not met yet
    with pytest.raises(LearningError, match="got 'o'"):
        list(rows)


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('{"a": 1}\n{"a": \n{"a": 3}\n', 2, "expected a JSON object on this line"),
        ('{"a": 1}\n{"a": "x', 2, "it may be cut off"),
        ('{"a": 1}\n[1, 2]\n', 2, "expected a JSON object, got [1, 2]"),
        ('{"a": 1}\nnull\n', 2, "expected a JSON object, got null"),
        (b'{"a": 1}\n{"a": "\xff"}\n', 2, "no UTF-8"),
        (b"\x00\x01\x02", 1, "expected a JSON object on this line"),
        ("PK\x03\x04 not json", 1, "got a zip file; unpack it"),
        (gzip.compress(b'{"a": 1}', mtime=0), 1, "got a gzip file; unpack it"),
        ('{"a": 1}'.encode("utf-16"), 1, "got text in UTF-16; save it in UTF-8"),
        (b"PAR1....", 1, "got a Parquet table; tables are read by task kind hub"),
        ('{\n "a": 1\n}', 1, "one object over several lines is none of both"),
        ('{"a": 1, "b": ' + "9" * 5000 + "}", 1, "Exceeds the limit"),
        ('{"a": 1} {"a": 2}', 1, "Extra data at column 9"),
        ('[\n{"a": 1},\n{"a": 1, "te', 3, "the file ends before this row does"),
        ('{"a": ' + "[" * 100_000, 1, "brackets nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", 1, "expected a JSON object on this line"),
        ('[\n{"a": 1},\n{"a": 2\n', 3, "the file ends before this row does"),
        ('[\n{"a": 1},\n{"a": "x', 3, "Unterminated string"),
        ('[\n{"a": 1}\n{"a": 2}\n]', 3, "expected ',' or ']' after a row, got '{'"),
        ('[\n{"a": 1},\n', 3, "got the end of the file: it is cut off"),
        ('[\n{"a": 1}', 2, "got the end of the file: it is cut off"),
        ('[\n{"a": 1},\n]', 3, "expected a row after the comma"),
        ('[\n{"a": 1},\n7]', 3, "expected a JSON object or the list's end, got '7'"),
        ('[\n{"a": 1}]\n{"b": 2}', 3, "expected nothing after the list"),
        (b'[\n{"a": 1},\n{"a": "\xff"}]', 3, "expected text in UTF-8"),
        (b'[\n{"a": 1},\n{"a": "\xc3', 3, "expected text in UTF-8"),
        ("[" + '{"a":' * 100_000, 1, "brackets nested too deeply"),
        ("[", 1, "got the end of the file"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(content, line, message, write):
    path = write(content)
    with pytest.raises(LearningError) as caught:
        list(read_rows(path))
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert message in str(caught.value)


def test_a_row_without_end_does_not_fill_the_memory(write, monkeypatch):
    monkeypatch.setattr(_rows, "LONGEST_ROW", 2**17)
    for content in ('{"a": "' + "x" * 2**18, '[{"a": "' + "x" * 2**20):
        with pytest.raises(LearningError, match=r":1: expected"):
            list(read_rows(write(content)))


def test_a_missing_file_names_its_neighbour(tmp_path, write):
    write("{}", "train.jsonl")
    with pytest.raises(LearningError, match=r"does not exist; did you mean 'train\.jsonl'\?"):
        list(read_rows(tmp_path / "trian.jsonl"))
    with pytest.raises(LearningError, match="got a folder"):
        list(read_rows(tmp_path))


def test_small_json(write):
    assert read_json(write('{"labels": ["a"]}')) == {"labels": ["a"]}
    with pytest.raises(LearningError, match="expected JSON, got what is none: Expecting"):
        read_json(write('{"labels": '))


@pytest.mark.parametrize(
    ("ask", "values", "message"),
    [
        (lambda row: row.text("text"), {"txt": "a"}, "expected the key 'text', got a row with 'txt'"
                                                     "; did you mean 'txt'?"),
        (lambda row: row.text("text"), {}, "got a row with no keys"),
        (lambda row: row.text("text"), {"text": 3}, "expected text for 'text', got 3"),
        (lambda row: row.text("text"), {"text": None}, "expected text for 'text', got null"),
        (lambda row: row.text("text"), {"text": "\ud800"}, "half of a surrogate pair"),
        (lambda row: row.texts("e"), {"e": "ab"}, "expected a list of texts for 'e', got 'ab'"),
        (lambda row: row.texts("e"), {"e": []}, "expected a list of texts for 'e'"),
        (lambda row: row.texts("e"), {"e": ["a", 1]}, "expected text for 'e', got 1"),
        (lambda row: row.whole("n", 3, "x"), {"n": 3}, "expected 0 to 2 for 'n' (x), got 3"),
        (lambda row: row.whole("n", 3, "x"), {"n": -1}, "expected 0 to 2 for 'n' (x), got -1"),
        (lambda row: row.whole("n", 3, "x"), {"n": True}, "expected a whole number for 'n'"),
        (lambda row: row.whole("n", 3, "x"), {"n": 1.0}, "expected a whole number for 'n'"),
        (lambda row: row.whole("n", 3, "x"), {"n": ""}, "expected a whole number for 'n'"),
    ],
)  # fmt: skip
def test_values_that_are_not_as_asked(ask, values, message):
    with pytest.raises(LearningError) as caught:
        ask(Row("file:7", values))
    assert str(caught.value).startswith("file:7: ")
    assert message in str(caught.value)


def test_values():
    row = Row("file:1", {"text": " a ", "n": 2, "m": "1", "e": ["a", "b"], "none": ""})
    assert row.text("text") == " a "
    assert (row.whole("n", 3, ""), row.whole("m", 3, "")) == (2, 1)
    assert row.texts("e") == ("a", "b")
    assert row.maybe_text("none") == ""
    with pytest.raises(EmptyTextError, match=r"file:1: .*`skip_empty: true`"):
        row.text("none")


def test_old_line_ends_are_not_taken_for_a_cut(write):
    with pytest.raises(LearningError, match=r":1: .*Extra data at column \d+$"):
        list(read_rows(write('{"a": 1}\r{"a": 2}')))


def test_a_table_is_no_list_of_rows(write):
    with pytest.raises(LearningError, match=r"table.csv:1: .*begins with b't'; tables .* kind hub"):
        list(read_rows(write("text,label\ngood,1\n", "table.csv")))


def test_what_of_a_path_is_missing(tmp_path, write):
    write("", "file")
    (tmp_path / "data").mkdir()
    for path, said in (
        ("data/sst2/train.jsonl", f"there is no {re.escape(str(tmp_path))}/data/sst2 "),
        ("dta/sst2", rf"there is no {re.escape(str(tmp_path))}/dta; did you mean 'data'\?"),
        ("file/train.jsonl", f"{re.escape(str(tmp_path))}/file is a file"),
    ):
        with pytest.raises(LearningError, match=said):
            list(read_rows(tmp_path / path))


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert under(tmp_path, "~/data") == tmp_path / "home" / "data"
    assert under(tmp_path, "data") == tmp_path / "data"
    assert under(tmp_path, "~nobody-has-this-name/data").parent.name == "~nobody-has-this-name"
