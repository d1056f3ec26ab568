"""What the client scripts share: a simulated instrument in a process of its own, and steps that are counted.

Knows no protocol: what goes over the line is the client library's business.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from importlib import metadata

HERE = os.path.dirname(os.path.abspath(__file__))
FIRSTLIGHT = os.environ.get("FIRSTLIGHT", os.path.join(HERE, "..", "..", "target", "debug", "firstlight"))
SEED = "1"


@contextlib.contextmanager
def simulator(device, transport, *options):
    """Serves `device` on `transport` (tcp or pty); gives its address: (host, port), or the path of the terminal."""
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        link = os.path.join(folder, "line")
        where = ["--tcp", "127.0.0.1:0"] if transport == "tcp" else ["--pty", link]
        command = [FIRSTLIGHT, "sim", "--device", device, *where, "--seed", SEED, *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            address = None
            for line in process.stdout:
                words = line.split()
                if words == ["ready"]:
                    break
                address = words[2]
            if address is None:
                raise RuntimeError(f"{' '.join(command)} served nothing")
            if transport == "tcp":
                host, port = address.rsplit(":", 1)
                yield host, int(port)
            else:
                yield address
        finally:
            process.terminate()
            if process.wait(timeout=10) != 0:
                raise RuntimeError(f"the simulator ended with {process.returncode}")
        if transport == "pty" and os.path.lexists(link):
            raise RuntimeError("the simulator left its link behind")


class Steps:
    """Counts the steps of one client on one instrument over one transport."""

    def __init__(self, client, package, instrument, transport):
        self.row = {
            "client": client,
            "version": metadata.version(package) if package else "-",
            "instrument": instrument,
            "transport": transport,
            "passed": 0,
            "steps": 0,
        }
        self.failed = []

    @contextlib.contextmanager
    def step(self, name):
        """One step; what it raises is told and counted, and the next step is gone on with."""
        self.row["steps"] += 1
        try:
            yield
            self.row["passed"] += 1
        except Exception:  # a client may raise anything at all
            self.failed.append(name)
            r = self.row
            print(f"FAILED {r['client']}, {r['instrument']}, {r['transport']}: {name}", file=sys.stderr)
            traceback.print_exc()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            self.row["steps"] += 1
            self.failed.append(f"{kind.__name__}: {error}")
            traceback.print_exception(kind, error, trace)
        print(json.dumps(self.row), flush=True)
        return True


def equal(got, expected):
    """The value is exactly the one expected."""
    assert got == expected, f"got {got!r}, expected {expected!r}"


def near(got, expected, within):
    """The number is within a distance of the one expected."""
    assert abs(got - expected) <= within, f"got {got!r}, expected {expected!r} within {within}"


def until(condition, timeout_s=5.0, every_s=0.02):
    """Waits for a condition; gives the seconds it took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < timeout_s, f"not within {timeout_s} s"
        time.sleep(every_s)
    return time.monotonic() - begin
