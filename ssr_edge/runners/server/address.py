"""Address of a served model, and the retry policy."""

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
        """Parses `grpc://HOST:PORT/MODEL`. Special characters in a model's name are percent-encoded.

        Raises:
            UsageError: the text has another form.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _not_an_address(text, str(error)) from error
        if parts.scheme != "grpc":
            raise _not_an_address(text, "the scheme is not grpc")
        model = parts.path.strip("/")
        if not host or not port or not model:
            raise _not_an_address(text, "it has no " + ("host" if not host else "port" if not port else "model"))
        if "/" in model or parts.query or parts.fragment or parts.username is not None:
            raise _not_an_address(text, "it has more than host, port and model")
        return ServerAddress(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", unquote(model))

    @property
    def server(self) -> str:
        """`grpc://HOST:PORT`."""
        return f"grpc://{self.target}"


@dataclass(frozen=True)
class RetryPolicy:
    """In seconds. deadline_s: timeout of a request. retry_s: how long a failed request is retried; 0 for no retries."""

    deadline_s: float = 10.0
    retry_s: float = 30.0


def _not_an_address(text: str, why: str) -> UsageError:
    return UsageError(
        f"--server {text}: {why}",
        expected="grpc://HOST:PORT/MODEL",
        next_step="ssr-edge infer SOURCE --server grpc://localhost:8001/MODEL  (gRPC: Triton 8001, MLServer 8081)",
    )
