"""A plug-in for sweeps: a trigger that fails, dies or waits when the first plan is made.

It waits for as long as there is a pipe `begun`, into which it writes its process first.
"""

import math
import os
import signal
import sys
from pathlib import Path

from cosim.planning.triggers.base import START, Trigger, TriggerView


class Acts(Trigger):
    """Plans once, and does something beside it."""

    do: str = "nothing"

    def next_check_s(self, t_s: float) -> float:
        return math.inf

    def reason(self, view: TriggerView) -> str | None:
        if view.plan is not None:
            return None
        if self.do == "fail":
            raise RuntimeError("the antenna fell off")
        if self.do == "print":
            print("something to read")
        if self.do == "die":
            print("last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.do == "deaf":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self.do in ("wait", "deaf") and Path("begun").exists():
            with Path("begun").open("a", encoding="utf-8") as pipe:  # opens when the test reads
                pipe.write(f"{os.getpid()}\n")
            signal.pause()
        return START
