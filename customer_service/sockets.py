"""A client's connection, as a worker reads from it and writes to it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import _SendableFile

    from _typeshed import ReadableBuffer

STALL_SECONDS = 2
STALL = struct.pack("ll", STALL_SECONDS, 0)
UNSENT_BYTES = 65_536


class ClientSocket(socket.socket):
    """A socket that sends the head of an answer with its body, and whose calls wait for at most STALL_SECONDS.

    gunicorn sends the two apart, and five times for each request makes its socket blocking, for a thread, or
    non-blocking, for the main loop. With each of these system calls another thread may take the interpreter. Here it
    is the kernel that limits how long a call takes, and who must not wait at all says so with MSG_DONTWAIT.
    """

    def __init__(self, accepted: socket.socket) -> None:
        """Take a connection over."""
        accepted.setblocking(True)
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, STALL)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, STALL)
        self._unsent = bytearray()

    def setblocking(self, flag: bool) -> None:
        """Change nothing."""

    def settimeout(self, value: float | None) -> None:
        """Change nothing."""

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send the bytes with what follows: once there are UNSENT_BYTES, or at `flush`; raises OSError."""
        self._unsent += data
        if len(self._unsent) >= UNSENT_BYTES:
            self.flush(flags)

    def sendfile(self, file: _SendableFile, offset: int = 0, count: int | None = None) -> int:
        """Send a file behind what was not sent yet; raises OSError."""
        self.flush()
        return super().sendfile(file, offset, count)

    def flush(self, flags: int = 0) -> None:
        """Send what was not sent yet; raises OSError."""
        if self._unsent:
            unsent, self._unsent = self._unsent, bytearray()
            super().sendall(unsent, flags)

    def has_left(self) -> bool:
        """Whether the client has closed the connection, or lost it."""
        try:
            return not self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
