"""Serves a folder's images as an MJPEG stream over HTTP on loopback, like a network camera.

    python benchmarks/mjpeg_server.py ssr_edge/demo/images --port 8765 --fps 30

Prints `serving` when it is listening and serves until killed.
"""

from __future__ import annotations

import argparse
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import cv2

from ssr_edge.images.preprocess import decode
from ssr_edge.sources.paths import find_sources


def server(folder: str, port: int, fps: float) -> ThreadingHTTPServer:
    """Creates a server that loops over the folder's images as JPEG. Port 0 selects a free port."""
    frames = [cv2.imencode(".jpg", decode(path))[1].tobytes() for path in find_sources(folder)]

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            started = time.monotonic()
            try:
                for number in count():
                    frame = frames[number % len(frames)]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
                    self.wfile.write(head.encode() + frame + b"\r\n")
                    time.sleep(max(started + (number + 1) / fps - time.monotonic(), 0))
            except ConnectionError:  # the client disconnected
                return

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    return ThreadingHTTPServer(("127.0.0.1", port), Camera)


def main() -> None:
    """Serves until killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--fps", type=float, default=30.0)
    asked = parser.parse_args()
    with server(asked.folder, asked.port, asked.fps) as serving:
        print("serving", flush=True)
        serving.serve_forever()


if __name__ == "__main__":
    main()
