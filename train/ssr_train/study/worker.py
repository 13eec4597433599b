"""One training run of a study in its own process: `ssr-edge train` that ends when the study ends.

A killed study can't end its runs, and a run that continued in the background would write into the folder that the next
study resumes. Therefore the study keeps the other end of the worker's stdin open, which closes when the study ends.
"""

from __future__ import annotations

import os
import threading

from ssr_edge.cli.main import run


def _end_with_the_study() -> None:
    # os.read, because a thread waiting in sys.stdin would hold its lock when the process ends.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    run()
