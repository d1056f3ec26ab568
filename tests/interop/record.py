"""Records what goes over the line between a client and a simulated instrument, as a transcript.

    tests/interop/run record.py FOLDER client_pipython.py   # writes into a folder; see tests/transcripts/README.md

Stands between both as a proxy. What a script of this folder words itself (`send("MOV")`) is no client's showing; the methods
by which it could are watched, and such requests are marked.
"""

import contextlib
import importlib
import os
import re
import runpy
import socket
import sys
import threading
import time
import tty

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
# Methods that put a caller's own words on the line.
RAW = (
    ("zaber_motion.ascii", "Connection", "generic_command"),
    ("zaber_motion.ascii", "Connection", "generic_command_multi_response"),
    ("zaber_motion.ascii", "Device", "generic_command"),
    ("zaber_motion.ascii", "Device", "generic_command_multi_response"),
    ("zaber_motion.ascii", "Axis", "generic_command"),
    ("zaber.serial", "AsciiDevice", "send"),
    ("zaber.serial", "AsciiAxis", "send"),
    ("zaber.serial", "AsciiSerial", "write"),
    ("pipython.pidevice.gcsmessages", "GCSMessages", "send"),
    ("pipython.pidevice.gcsmessages", "GCSMessages", "read"),
    ("pipython.pidevice.gcscommands", "GCSCommands", "send"),
    ("pipython.pidevice.gcscommands", "GCSCommands", "read"),
    ("pipython.pidevice.gcsdevice", "GCSDevice", "send"),
    ("pipython.pidevice.gcsdevice", "GCSDevice", "read"),
    ("pymeasure.instruments", "Instrument", "write"),
    ("pymeasure.instruments", "Instrument", "ask"),
    ("pymeasure.instruments", "Channel", "write"),
    ("pymeasure.instruments", "Channel", "ask"),
    ("pyvisa.resources", "MessageBasedResource", "write"),
    ("pyvisa.resources", "MessageBasedResource", "query"),
    ("instrumental.drivers.powermeters.newport", "Newport_1830_C", "write"),
    ("instrumental.drivers.powermeters.newport", "Newport_1830_C", "query"),
    ("qmi.core.scpi_protocol", "ScpiProtocol", "write"),
)
BINARY = ("thorlabs-apt", "joinwit-pm")
# Longer than any of these instruments keeps a line of its own bytes in the pipe.
SETTLE_S = 0.03
# A pause shorter than this is nobody's intention.
PAUSE_S = 0.05
# Of a reply longer than this many lines only the first are kept.
LINES_MAX, LINES_KEPT = 60, 10


class Tape:
    """Bytes in both directions with their times, and whose words the client's are."""

    def __init__(self):
        self.begin = time.monotonic()
        self.notes = []
        self.own = 0

    def note(self, mark, data):
        mark = ">>" if mark == ">" and self.own else mark
        self.notes.append((time.monotonic() - self.begin, mark, data))


TAPE = Tape()


def watch(module, name, method):
    """Marks what a script of this folder sends by a method that takes any words."""
    try:
        owner = getattr(importlib.import_module(module), name)
        real = getattr(owner, method)
    except (ImportError, AttributeError):
        return

    def watched(self, *args, **options):
        if not sys._getframe(1).f_code.co_filename.startswith(HERE):
            return real(self, *args, **options)
        time.sleep(SETTLE_S)
        TAPE.own += 1
        try:
            return real(self, *args, **options)
        finally:
            time.sleep(SETTLE_S)
            TAPE.own -= 1

    setattr(owner, method, watched)


def carry(read, write, mark):
    """Passes bytes on until an end closes."""
    while True:
        try:
            data = read()
        except OSError:
            return
        if not data:
            return
        TAPE.note(mark, data)
        try:
            write(data)
        except OSError:
            return


def both_ways(client_read, client_write, device):
    threads = [
        threading.Thread(target=carry, args=(client_read, device.sendall, ">"), daemon=True),
        threading.Thread(target=carry, args=(lambda: device.recv(65536), client_write, "<"), daemon=True),
    ]
    for thread in threads:
        thread.start()
    return threads


def tcp(address):
    """A port that passes on to `address`, one client after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def attend(client):
        device = socket.create_connection(address)
        for end in (client, device):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard, told = both_ways(lambda: client.recv(65536), client.sendall, device)
        heard.join()
        device.shutdown(socket.SHUT_RDWR)
        told.join()
        device.close()
        client.close()

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            attend(client)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname(), listener.close


def pty(address, link):
    """A terminal that passes on to `address`."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.symlink(os.ttyname(slave), link)
    device = socket.create_connection(address)
    device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    both_ways(lambda: os.read(master, 65536), lambda data: os.write(master, data), device)

    def close():
        device.close()
        os.unlink(link)
        os.close(slave)
        os.close(master)

    return link, close


SIMULATOR = harness.simulator
DONE = set()
ROWS = []


class Steps(harness.Steps):
    """Steps that tell the recorder which client they are of."""

    def __init__(self, *args):
        super().__init__(*args)
        ROWS.append(self.row)


@contextlib.contextmanager
def simulator(device, transport, *options):
    global TAPE
    with SIMULATOR(device, "tcp", *options) as address:
        TAPE = Tape()
        if transport == "tcp":
            place, close = tcp(address)
        else:
            place, close = pty(address, os.path.join(os.environ["TMPDIR"], f"line{len(DONE)}"))
        try:
            yield place
        finally:
            time.sleep(SETTLE_S)
            close()
            write(device, options)


def pieces(binary, kind, data):
    """Whole messages of a protocol; what is left over is one as well."""
    if not binary:
        ends = rb"[^\r\n]*(?:\r\n|\r|\n)" if kind not in ("keysight-pm",) else rb".+"
        found = re.findall(ends + rb"|[^\r\n]+$", data, re.S)
        return found or [data]
    found = []
    while len(data) >= 6:
        size = 6 + (int.from_bytes(data[2:4], "little") if data[4] & 0x80 else 0)
        found.append(data[:size])
        data = data[size:]
    return found + ([data] if data else [])


def escaped(binary, data):
    if binary:
        return data.hex(" ")
    named = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x5C: "\\\\"}
    plain = (named.get(b) or (chr(b) if 0x20 <= b < 0x7F else f"\\x{b:02x}") for b in data)
    return "".join(plain)


def grouped(notes):
    """Neighbours of one direction together, since how a line cuts bytes is chance."""
    groups = []
    for at, mark, data in notes:
        if groups and groups[-1][1] == mark and at - groups[-1][3] < PAUSE_S:
            groups[-1][2] += data
            groups[-1][3] = at
        else:
            groups.append([at, mark, data, at])
    return groups


def lines(binary, kind):
    out, last = [], 0.0
    for at, mark, data, ended in grouped(TAPE.notes):
        if out:
            out.append(f"~ {max(at - last, 0.0):.3f}")
        last = ended
        found = pieces(binary, kind, data)
        if mark == "<" and len(found) > LINES_MAX:
            out.append(f"# The first of {len(found)} lines.")
            mark, found = "<?", found[:LINES_KEPT]
        out.extend(f"{mark} {escaped(binary, p)}" for p in found)
    return calmed(out)


def calmed(lines):
    """Exchanges that are repeated without a change, as a client does that waits, are written once, and the time they took."""
    blocks, pause, before = [], 0.0, ""
    for line in lines:
        if line.startswith("~"):
            pause += float(line[2:])
            continue
        if line.startswith(">") and before != ">":
            blocks.append([pause, []])
            pause = 0.0
        elif not blocks:
            blocks.append([0.0, []])
        if line.startswith("<") and pause > PAUSE_S:
            blocks[-1][1].append(f"~ {pause:.2f}")
            pause = 0.0
        blocks[-1][1].append(line)
        before = "<" if line[0] == "#" else line[0]
        pause += repeated(blocks)
    return told(thinned(blocks))


def told(blocks):
    out, pause = [], 0.0
    for wait, block in blocks:
        pause += wait
        if pause > PAUSE_S and out:
            out.append(f"~ {pause:.2f}")
            pause = 0.0
        out.extend(block)
    return out


def thinned(blocks):
    """Of polls that differ in their numbers only, the first and the last."""
    for size in range(1, 7):
        kept, at = [], 0
        form = [[re.sub(r"[0-9A-F]{2}(?=\\)|-?[\d.]+", "#", line) for line in b if not line.startswith("~")] for _, b in blocks]
        while at < len(blocks):
            end = at + size
            while end + size <= len(blocks) and form[end : end + size] == form[at : at + size]:
                end += size
            if end - at > 3 * size and any(line.startswith("<") for block in form[at : at + size] for line in block):
                gone = blocks[at + size : end - size]
                waits = [wait for wait, _ in gone]
                waits += [float(line[2:]) for _, block in gone for line in block if line.startswith("~")]
                last = [[*block] for block in blocks[end - size : end]]
                last[0][0] += sum(waits)
                kept += blocks[at : at + size] + last
                at = end
            else:
                kept.append(blocks[at])
                at += 1
        blocks = kept
    return blocks


def plain(line):
    """A line without what differs each time: positions, ids, checksums; flags of one digit are kept."""
    return re.sub(r"-?\d+\.\d+|-?\d{2,}(?= |$)|:[0-9A-F]{2}(?=\\)", "#", line)


def repeated(blocks):
    """Takes the last blocks away where they repeat those before them; gives their pauses."""
    bare = [[plain(line) for line in block if not line.startswith("~")] for _, block in blocks[-8:]]
    for size in range(1, 5):
        if len(blocks) >= 2 * size and bare[-size:] == bare[-2 * size : -size] and bare[-1][-1].startswith("<"):
            gone = blocks[-size:]
            del blocks[-size:]
            waited = sum(float(line[2:]) for _, block in gone for line in block if line.startswith("~"))
            return waited + sum(wait for wait, _ in gone)
    return 0.0


def write(device, options):
    if not TAPE.notes or not ROWS or "--fault" in options:
        return
    row = ROWS[-1]
    kind, *settings = device.split(",")
    binary = kind in BINARY
    client = re.sub(r"[^a-z0-9]+", "-", row["client"].lower()).strip("-")
    model = re.sub(r"[^A-Za-z0-9]+", "-", row["instrument"].split(" ", 1)[1]).strip("-")
    name = os.path.join(FOLDER, kind, f"{client}-{model}.txt")
    if name in DONE:
        return
    DONE.add(name)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "w") as out:
        print(f"# source: {row['client']} {row['version']} (PyPI), driven by tests/interop/{SCRIPT}", file=out)
        print("# requests: the client's", file=out)
        print("# replies: the simulated device's, as the client took them", file=out)
        print(f"# device: {' '.join([kind, *settings])}", file=out)
        if options:
            print(f"# options: {' '.join(options)}", file=out)
        if binary:
            print("# bytes: hex", file=out)
        print(file=out)
        for line in lines(binary, kind):
            print(line, file=out)


if __name__ == "__main__":
    FOLDER, SCRIPT = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.environ.setdefault("TMPDIR", "/tmp")
    harness.simulator, harness.Steps = simulator, Steps
    for raw in RAW:
        watch(*raw)
    sys.argv = sys.argv[2:]
    sys.path.insert(0, HERE)
    runpy.run_path(os.path.join(HERE, SCRIPT), run_name="__main__")
