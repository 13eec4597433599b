"""A machine without a network, for programs that must not need one."""

from __future__ import annotations

# Runs first in every Python process that has its folder on PYTHONPATH: notes and refuses any connection, and the
# look-up of an address before it, which on a machine without a network fails first.
NO_NETWORK = """
import os, socket

def _refuse(name):
    real = getattr(socket.socket, name)
    def call(self, *arguments):
        if self.family == socket.AF_UNIX:
            return real(self, *arguments)
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(f"{name} {arguments}\\n")
        raise OSError("this machine has no network")
    setattr(socket.socket, name, call)

def _look_up(*arguments, **options):
    with open(os.environ["CONNECTIONS"], "a") as file:
        file.write(f"getaddrinfo {arguments}\\n")
    raise socket.gaierror("this machine has no network")

for name in ("connect", "connect_ex", "sendto"):
    _refuse(name)
socket.getaddrinfo = _look_up
"""
