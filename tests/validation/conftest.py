"""`pytest tests/validation --deviations` prints how far each check is from its closed form.

A test wraps what it compares with a bound, and nothing else changes:

    assert measured(abs(power.mean() - 1.0), n=power.size) < 4 / np.sqrt(power.size)
    assert measured(stats.kstest(power, "expon"), n=power.size).pvalue > 1e-3

Of all comparisons of a test, over its parameters too, the table shows those that came closest to
their bounds: of deviations, and of p-values. n is that of the largest sample.
"""

from collections import defaultdict

import pytest

KEY = "deviation"


class Deviation(float):
    """A deviation that notes the bound it is held against."""

    def __new__(cls, value, note):
        number = super().__new__(cls, value)
        number.note = note
        return number

    def __lt__(self, bound):
        self.note(float(self), float(bound), float(self) / float(bound))
        return float(self) < bound


class PValue(float):
    """A p-value that notes the false-alarm rate it is held against."""

    def __new__(cls, value, note):
        number = super().__new__(cls, value)
        number.note = note
        return number

    def __gt__(self, bound):
        self.note(float(self), float(bound), float(bound) / max(float(self), 1e-300))
        return float(self) > bound


class Result:
    """The result of a statistical test, for its p-value."""

    def __init__(self, result, note):
        self.pvalue = PValue(result.pvalue, note)


@pytest.fixture
def measured(record_property):
    """Return a function that passes a deviation or a test's result on and notes its bound.

    `n` is the sample size, for the table alone.
    """

    def measure(value, n=None):
        is_test = hasattr(value, "pvalue")

        def note(found, bound, share):
            record_property(KEY, ["p" if is_test else "", found, bound, share, int(n or 0)])

        return Result(value, note) if is_test else Deviation(value, note)

    return measure


def pytest_addoption(parser):
    parser.addoption(
        "--deviations", action="store_true", help="print how far checks are from their closed forms"
    )


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("--deviations", default=False):
        return
    notes = defaultdict(list)
    for report in terminalreporter.stats.get("passed", ()):
        for key, note in report.user_properties:
            if key == KEY and report.when == "call":
                notes[report.nodeid.rpartition("/")[2].partition("[")[0]].append(note)
    terminalreporter.section("deviations")
    width = max(map(len, notes), default=0)
    write = terminalreporter.line
    write(f"{'test':<{width}}  compared  worst deviation        least p             n")
    for test, found in notes.items():
        off, p = (_closest([note for note in found if (note[0] == "p") == is_p]) for is_p in (0, 1))
        n = max(note[4] for note in found)
        shown = f"{n:,}" if n else ""
        write(f"{test:<{width}}  {len(found):>8}  {off:<21}  {p:<18}  {shown}".rstrip())
    p_notes = [note for found in notes.values() for note in found if note[0] == "p"]
    chance = sum(note[2] for note in p_notes)
    write(f"{len(notes)} tests, {sum(map(len, notes.values()))} comparisons")
    write(f"{len(p_notes)} p-values; {chance:.2g} of them would fail by chance under a new seed")


def _closest(notes):
    """Say which comparison came closest to its bound."""
    if not notes:
        return "-"
    kind, found, bound, _, _ = max(notes, key=lambda note: note[3])
    return f"{found:.2g} {'>' if kind else '<'} {bound:.2g}"
