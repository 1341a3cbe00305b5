"""A lean load generator: ``python load.py URL --connections N --seconds S [--body JSON] [--accept TYPE] [--expects TEXT]``.

Each connection sends the same bytes again as soon as its answer is whole, on a plain asyncio protocol: a request costs
some 40 microseconds here, a fraction of what the leanest server takes. Prints JSON: how many answers, how many were
wrong, and the times from request to answer (and, with ``--first``, to the first byte that completes that text),
milliseconds. What was asked in the first ``--warmup`` seconds is not counted. With ``--rate R`` requests come R times a second,
whatever becomes of those before, and their times begin when they were due.
"""

import argparse
import asyncio
import collections
import json
import resource
import sys
import time
from urllib.parse import urlsplit


class Connection(asyncio.Protocol):
    def __init__(self, load):
        self.load = load
        self.buffer = b""
        self.began = self.first = 0.0
        self.head_end = self.length = -1
        self.transport = None
        self.is_whole = False

    def connection_made(self, transport):
        self.transport = transport
        self.load.offer(self)

    def send(self, due=None):
        self.buffer, self.head_end, self.length, self.first, self.is_whole = b"", -1, -1, 0.0, False
        self.began = due or time.perf_counter()
        self.transport.write(self.load.request)

    def data_received(self, data):
        self.buffer += data
        if not self.first and self.load.marker in self.buffer:
            self.first = time.perf_counter()
        if self.head_end < 0:
            self.head_end = self.buffer.find(b"\r\n\r\n") + 4
            if self.head_end < 4:
                self.head_end = -1
                return
            head = self.buffer[: self.head_end].lower()
            _, found, rest = head.partition(b"content-length:")
            self.length = int(rest.partition(b"\r")[0]) if found else -1
        is_whole = (
            len(self.buffer) - self.head_end >= self.length
            if self.length >= 0
            else self.buffer.endswith(b"\r\n0\r\n\r\n")
        )
        if is_whole:
            self.is_whole = True
            if self.load.take(self) and b"connection: close" not in self.buffer[: self.head_end].lower():
                self.load.offer(self)
            else:
                self.transport.close()

    def connection_lost(self, _):
        self.load.lose(self)


class Load:
    def __init__(self, options):
        url = urlsplit(options.url)
        body = options.body.encode()
        self.host, self.port = url.hostname, url.port
        self.request = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            f"Accept: {options.accept}\r\nAuthorization: Bearer bench\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.expects = options.expects.encode()
        self.marker = options.first.encode() if options.first else b"\r\n"
        self.took, self.first = [], []
        self.n_wrong = self.n_all = 0
        self.example = b""
        self.start = time.perf_counter() + options.warmup
        self.end = self.start + options.seconds
        self.tasks = []
        self.rate = options.rate
        self.idle, self.due = [], collections.deque()

    def offer(self, connection):
        """A connection that can send: at once, or what is due."""
        if not self.rate:
            connection.send()
        elif self.due:
            connection.send(self.due.popleft())
        else:
            self.idle.append(connection)

    async def come_due(self):
        due = time.perf_counter()
        while due < self.end:
            now = time.perf_counter()
            while due <= now:
                if self.idle:
                    self.idle.pop().send(due)
                else:
                    self.due.append(due)
                due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    def take(self, connection):
        """Count one answer; whether to ask again."""
        now = time.perf_counter()
        self.n_all += 1
        if not connection.buffer.startswith(b"HTTP/1.1 200") or self.expects not in connection.buffer:
            self.n_wrong += 1
            self.example = connection.buffer[:500]
        elif connection.began >= self.start and now <= self.end:
            self.took.append(now - connection.began)
            self.first.append(connection.first - connection.began)
        return now < self.end

    def lose(self, connection):
        """A connection has ended, because the server closes each or in the middle of an answer; make another one."""
        if connection in self.idle:
            self.idle.remove(connection)
        if time.perf_counter() < self.end:
            self.n_wrong += not connection.is_whole
            self.tasks.append(asyncio.get_running_loop().create_task(self.connect()))

    async def connect(self):
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Connection(self), self.host, self.port)

    async def run(self, n):
        for _ in range(n):
            await self.connect()
        if self.rate:
            await self.come_due()
        await asyncio.sleep(max(0.0, self.end - time.perf_counter()))


def point(values, share):
    """A percentile in milliseconds."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000, 3) if values else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="requests per second; 0 asks as fast as answers come"
    )
    parser.add_argument("--body", default='{"text": "water turns the wheel"}')
    parser.add_argument("--accept", default="application/json")
    parser.add_argument("--expects", default="")
    parser.add_argument("--first", default="")
    options = parser.parse_args()
    load = Load(options)
    asyncio.run(load.run(options.connections))
    used = resource.getrusage(resource.RUSAGE_SELF)
    json.dump(
        {
            "n": len(load.took),
            "n_all": load.n_all,
            "rps": len(load.took) / options.seconds,
            "n_wrong": load.n_wrong,
            "example": load.example.decode("latin-1"),
            "p50_ms": point(load.took, 0.5),
            "p99_ms": point(load.took, 0.99),
            "first_p50_ms": point(load.first, 0.5),
            "cpu_share": (used.ru_utime + used.ru_stime) / (options.seconds + options.warmup),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
