"""The conversation: one JSON object a line on two descriptors, without ever blocking."""

import json
import os
import time
from typing import List

from .shapes import Json, Object

READ_BYTES = 1 << 18
MAX_LINE = 1 << 26
CLOGGED_BYTES = 1 << 22  # beyond this much unread output nothing is pushed
SILENT_S = 900.0  # a daemon asks for a sign of life every 15 s


class Channel:
    """Lines in, lines out. `closed` when the other side has gone."""

    def __init__(self, source: int, sink: int, silent_s: float = SILENT_S) -> None:
        """silent_s: who says nothing for so long has gone."""
        self.source = source
        self.sink = sink
        self.closed = False
        self._silent_s = silent_s
        self._heard_at = time.monotonic()
        self._in = b""
        self._out = bytearray()
        os.set_blocking(source, False)
        os.set_blocking(sink, False)

    @property
    def over(self) -> bool:
        """The other side has gone, with an end or without."""
        return self.closed or time.monotonic() - self._heard_at > self._silent_s

    @property
    def unsent(self) -> bool:
        return bool(self._out)

    @property
    def clogged(self) -> bool:
        return len(self._out) > CLOGGED_BYTES

    def read(self) -> List[Json]:
        """The requests that are complete by now. A line that is not JSON ends the conversation."""
        try:
            data = os.read(self.source, READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return []
        self._heard_at = time.monotonic()
        *lines, self._in = (self._in + data).split(b"\n")
        try:
            if len(self._in) > MAX_LINE:
                raise ValueError("a line without end")
            return [json.loads(line.decode("utf-8")) for line in lines if line]
        except (ValueError, RecursionError):  # no JSON, or nested without end
            self.closed = True
            return []

    def write(self, message: Object) -> None:
        self.write_text(json.dumps(message))

    def write_text(self, line: str) -> None:
        """One line, already JSON."""
        self._out += line.encode("ascii")
        self._out += b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what the pipe takes now."""
        try:
            while self._out:
                del self._out[: os.write(self.sink, self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
