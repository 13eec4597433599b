"""One training run of a study in a process of its own: `ssr-edge train` that ends when the study does.

A study that is killed outright can't end its runs itself, and one that went on in the background would write into the
folder that the next study resumes. The study holds the other end of the worker's stdin; it closes when the study ends.
"""

from __future__ import annotations

import os
import threading

from ssr_edge.cli.main import run


def _end_with_the_study() -> None:
    # os.read, as a thread that waits inside sys.stdin would hold its lock when the process ends by itself.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    run()
