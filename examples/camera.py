"""Prints labels for the newest frames of a camera or stream: python examples/camera.py [CAMERA OR STREAM] [BUNDLE].

Frames that arrive while the engine is busy are dropped, so that labels do not lag behind. Ctrl-C ends the program.
"""

import sys

from ssr_edge import Classifier, Prediction

source = sys.argv[1] if len(sys.argv) > 1 else "0"
bundle = sys.argv[2] if len(sys.argv) > 2 else None
with Classifier(bundle) as classify:
    try:
        for result in classify.stream(source):
            if isinstance(result, Prediction):
                print(f"{result.label:2} {result.confidence:.2f} {result.latency_ms:6.1f} ms", flush=True)
            else:
                print(f"frame skipped: {result.reason}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
