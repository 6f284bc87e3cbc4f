"""YAML text: what is read, where it was, and what is wrong with its syntax."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.scenario.document import has, parse, parse_value
from cosim.scenario.errors import Mark

SYNTAX = {
    "duplicate key": (
        "seed: 1\nseed: 2\n",
        ["2:1 seed: expected each key once, got 'seed' again; it is first given at 1:1"],
    ),
    "duplicate key of a section": (
        "link: {rate: shannon,\n  rate: shannon}\n",
        ["2:3 link.rate: expected each key once, got 'rate' again; it is first given at 1:8"],
    ),
    "tab indentation": (
        "link:\n\trate: shannon\n",
        ["2:1: expected spaces, got a tab; YAML is indented with spaces only"],
    ),
    "tab after spaces": (
        "link:\n  \trate: shannon\n",
        ["2:3: expected spaces, got a tab; YAML is indented with spaces only"],
    ),
    "open brace": (
        "link: {rate: shannon\nseed: 1\n",
        ["2:5: expected ',' or '}' to go on with or close what opens at 1:7, got ':'"],
    ),
    "open bracket": (
        "devices: [1, 2\n",
        [
            "2:1: expected ',' or ']' to go on with or close what opens at 1:10, "
            "got the end of the file"
        ],
    ),
    "open quote": (
        "name: 'x\n",
        ["2:1: expected the closing quote of the text that starts at 1:7, got the end of the file"],
    ),
    "brace too many": (
        "link: {}}\n",
        [
            "1:9: expected a key at the indentation of its neighbours, got '}'; check the "
            "indentation and the brackets of this line and the one above"
        ],
    ),
    "two colons": (
        "a: b: c\n",
        [
            "1:5: expected one `key: value`, got a second ':'; indent a nested key on a line of "
            "its own, or quote a text that holds ': '"
        ],
    ),
    "no space before a brace": (
        "topology: {planner:{kind: ring}}\n",
        ["1:20: expected a space after ':', got '{'"],
    ),
    "no space in a flow": (
        "link: {rate:shannon}\n",
        ["1:8 link: expected 'rate: shannon', got 'rate:shannon', with no space after ':'"],
    ),
    "indentation": (
        "link:\n    rate: 1\n  error: 2\n",
        [
            "3:3: expected a key at the indentation of its neighbours, got a key; check the "
            "indentation and the brackets of this line and the one above"
        ],
    ),
    "reserved character": (
        "name: @x\n",
        ["1:7: expected a key or a value, got '@'; quote the text"],
    ),
    "two documents": (
        "seed: 1\n---\nseed: 2\n",
        ["2:1: expected one document, got a second one after `---`; split the file"],
    ),
    "alias of nothing": (
        "seed: *x\n",
        ["1:7: expected an anchor `&x` earlier in the file, got only its alias `*x`"],
    ),
    "alias of what it is in": (
        "link: &x {rate: *x}\n",
        ["1:11 link.rate: expected a value, got an alias of what it is part of"],
    ),
    "escape": (
        'name: "\\q"\n',
        ["1:9: expected a known escape, got 'q'; use single quotes"],
    ),
    "tag": (
        "seed: !!python/object:os.system 1\n",
        ["1:7 seed: expected plain data, got the tag '!!python/object:os.system'; remove it"],
    ),
    "key that is no text": (
        "1: x\n",
        ["1:1: expected text as a key, got 1"],
    ),
    "key that is a list": (
        "? [1]\n: x\n",
        ["1:3: expected text as a key, got a collection"],
    ),
    "control character": (
        "seed: 1\nname: \x01\n",
        ["2:7: expected text, got the control character U+0001"],
    ),
    "empty": ("", ["1:1: expected keys such as `name: quickstart`, got an empty file"]),
    "only comments": (
        "# nothing\n\n",
        ["1:1: expected keys such as `name: quickstart`, got an empty file"],
    ),
    "a list": (
        "- 1\n",
        ["1:1: expected keys such as `name: quickstart` at the top level, got [1]"],
    ),
    "a word": (
        "hello\n",
        ["1:1: expected keys such as `name: quickstart` at the top level, got 'hello'"],
    ),
    "nested hundreds deep": (
        "[" * 1200,
        ["1:1: expected YAML, got brackets nested hundreds deep"],
    ),
}


@pytest.mark.parametrize("mistake", SYNTAX)
def test_syntax_mistake(mistake):
    text, lines = SYNTAX[mistake]
    assert [str(problem) for problem in parse(text, "a.yaml").problems] == [
        f"a.yaml:{line}" for line in lines
    ]


def test_what_follows_a_duplicate_key_is_still_read(problems):
    lines = problems("seed: 1\nseed: 2\nname: 5\n")
    assert [line.partition(":")[2][:3] for line in lines] == ["2:1", "3:1"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e-3", 1e-3),
        ("5.", 5.0),
        (".5", 0.5),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("10 MHz", "10 MHz"),
        ("'5'", "5"),
        ("[1, two, [3]]", (1, "two", (3,))),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("%YAML 1.1\n---\nno", "no"),
    ],
)
def test_values_are_yaml_1_2_core(text, value):
    read, problems = parse_value(text, Mark("x"))
    assert not problems
    assert read == value
    assert type(read) is type(value)


def test_thousands_of_digits_are_no_crash():
    read, _ = parse_value("9" * 5000, Mark("x"))
    assert read == math.inf


def test_marks_are_of_keys_and_items():
    document = parse("a:\n  b: 1\n  c: [x, {d: 2}]\n", "f", rank=3)
    marks = {path: (mark.line, mark.column, mark.rank) for path, mark in document.marks.items()}
    assert marks == {
        (): (1, 1, 3),
        ("a",): (1, 1, 3),
        ("a", "b"): (2, 3, 3),
        ("a", "c"): (3, 3, 3),
        ("a", "c", 0): (3, 7, 3),
        ("a", "c", 1): (3, 10, 3),
        ("a", "c", 1, "d"): (3, 11, 3),
    }


def test_aliases_and_merge_keys():
    document = parse("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\nd: {<<: [*x, {r: 4}]}\n", "f")
    assert not document.problems
    assert document.data["b"] == {"p": 1, "q": 2}
    assert document.data["c"] == {"p": 1, "q": 3}
    assert document.data["d"] == {"p": 1, "q": 2, "r": 4}
    assert (document.marks["c", "q"].line, document.marks["c", "p"].line) == (3, 1)


def test_aliases_of_aliases_do_not_explode():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    document = parse("\n".join(lines), "f")
    assert any("100000 values" in problem.message for problem in document.problems)


def test_has():
    data = {"a": ({"b": 1},)}
    assert has(data, ("a", 0, "b"))
    assert not has(data, ("a", 1))
    assert not has(data, ("a", 0, "c"))
    assert not has(data, ("a", 0, "b", "c"))


# JSON escapes characters beyond these as surrogate pairs, which YAML does not have.
_TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
_TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | _TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT, _TREES, min_size=1, max_size=4))
def test_json_is_yaml(tree):
    document = parse(json.dumps(tree), "f")
    assert not document.problems
    assert document.data == _tuples(tree)


@given(st.text(max_size=60))
def test_any_text_is_read_or_explained(text):
    document = parse(text, "f")
    assert document.data or document.problems


def _tuples(value):
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
