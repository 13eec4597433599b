"""Where a served model is, and how long its server is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ssr_edge.common.errors import UsageError


@dataclass(frozen=True)
class ServerAddress:
    """target: `HOST:PORT` as gRPC takes it, with brackets around an IPv6 address. model: its name on the server."""

    target: str
    model: str

    @staticmethod
    def parse(text: str) -> ServerAddress:
        """Reads `grpc://HOST:PORT/MODEL`; what a URL can't hold in a model's name is written as %XX.

        Raises:
            UsageError: it is something else.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _not_an_address(text, str(error)) from error
        if parts.scheme != "grpc":
            raise _not_an_address(text, "its protocol is not gRPC")
        model = parts.path.strip("/")
        if not host or not port or not model:
            raise _not_an_address(text, "it names no " + ("host" if not host else "port" if not port else "model"))
        if "/" in model or parts.query or parts.fragment or parts.username is not None:
            raise _not_an_address(text, "there is more in it than host, port and model")
        return ServerAddress(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", unquote(model))

    @property
    def server(self) -> str:
        """`grpc://HOST:PORT`."""
        return f"grpc://{self.target}"


@dataclass(frozen=True)
class RetryPolicy:
    """Seconds. deadline_s: in which a request must be answered. retry_s: how long it is sent again after a failure.

    With retry_s 0 the first failure is the last.
    """

    deadline_s: float = 10.0
    retry_s: float = 30.0


def _not_an_address(text: str, why: str) -> UsageError:
    return UsageError(
        f"--server {text}: {why}",
        expected="grpc://HOST:PORT/MODEL",
        next_step="ssr-edge infer SOURCE --server grpc://localhost:8001/MODEL  (gRPC: Triton 8001, MLServer 8081)",
    )
