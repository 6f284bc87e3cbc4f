"""Ctrl-C waits until what is inside is done, and interrupts then."""

import signal

import pytest

from cosim.results.undisturbed import undisturbed


def press_twice_and_then_finish(done):
    with undisturbed():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(True)


def test_ctrl_c_waits_until_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt):
        press_twice_and_then_finish(done)
    assert done


def test_the_handler_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with undisturbed():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_inside_goes_on():
    with pytest.raises(ValueError, match="inside"), undisturbed():
        raise ValueError("inside")
