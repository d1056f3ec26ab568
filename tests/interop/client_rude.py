"""Clients that misbehave: sockets and serial ports without any library that would keep the manners."""

import contextlib
import random
import socket
import time

import serial
from harness import Steps, equal, simulator

# Of each instrument: its question, how its answer begins, an error question, a longish question.
INSTRUMENTS = {
    "pi-gcs2,axes=3": (b"*IDN?\n", b"(c)2015 Physik Instrumente", b"ERR?\n", b"HLP?\n"),
    "pi-gcs2,model=C-887": (b"*IDN?\n", b"(c)2015 Physik Instrumente", b"ERR?\n", b"HLP?\n"),
    "pi-gcs2,model=E-712": (b"*IDN?\n", b"(c)2015 Physik Instrumente", b"ERR?\n", b"HLP?\n"),
    "thorlabs-pm": (b"*IDN?\n", b"Thorlabs,PM101,", b"SYST:ERR?\n", b"SENS:POW:RANG? AUTO\n"),
    "keysight-pm": (b"*IDN?\n", b"Keysight Technologies,N7744A,", b"SYST:ERR?\n", b"SENS4:POW:WAV? MAX\n"),
    "keysight-laser": (b"*IDN?\n", b"Keysight Technologies,N7776C,", b"SYST:ERR?\n", b"SOUR0:WAV? MAX\n"),
}


class Line:
    """Bytes to and from a device over either transport."""

    def __init__(self, transport, address):
        self.buffer = b""
        if transport == "tcp":
            self.socket = socket.create_connection(address, timeout=0.05)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.send, self.close = self.socket.sendall, self.socket.close
        else:
            self.port = serial.Serial(address, 115200, timeout=0.05)
            self.send, self.close = self.port.write, self.port.close

    def more(self):
        if hasattr(self, "socket"):
            with contextlib.suppress(TimeoutError):
                got = self.socket.recv(65536)
                if not got:
                    raise EOFError("the device hung up")
                self.buffer += got
        else:
            self.buffer += self.port.read(max(1, self.port.in_waiting))

    def line(self, timeout_s=3.0):
        """The next line, without its end."""
        end = time.monotonic() + timeout_s
        while b"\n" not in self.buffer:
            assert time.monotonic() < end, f"no line within {timeout_s} s, only {self.buffer!r}"
            self.more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def quiet(self, seconds=0.2):
        """Nothing comes for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.more()
        equal(self.buffer, b"")

    def drain(self, quiet_s=0.5, limit_s=20.0):
        """Whatever comes is thrown away, until nothing has come for a while: a busy machine takes its time over old answers."""
        begun = last = time.monotonic()
        while time.monotonic() - last < quiet_s:
            assert time.monotonic() - begun < limit_s, "old answers without an end"
            self.more()
            if self.buffer:
                self.buffer, last = b"", time.monotonic()


@contextlib.contextmanager
def line(transport, address):
    opened = Line(transport, address)
    try:
        yield opened
    finally:
        opened.close()


def alive(opened, device):
    """The device answers exactly one line to its identity question."""
    question, begins, _, _ = INSTRUMENTS[device]
    opened.send(question)
    got = opened.line()
    assert got.startswith(begins), got
    opened.quiet(0.05)


def manners(t, device, transport, address):
    question, begins, error, _ = INSTRUMENTS[device]
    with t.step("byte by byte"), line(transport, address) as d:
        for byte in question:
            d.send(bytes([byte]))
            time.sleep(0.005)
        assert d.line().startswith(begins)
    with t.step("CR LF, empty lines, blanks"), line(transport, address) as d:
        d.send(b"\r\n\n\r\n  \n" + question[:-1] + b"\r\n\r\n")
        assert d.line().startswith(begins)
        d.quiet(0.1)
        d.send(error)
        assert int(d.line().split(b",")[0]) == 0
    with t.step("fifty questions in one write, fifty answers in order"), line(transport, address) as d:
        d.send((question + error) * 50)
        for _ in range(50):
            assert d.line().startswith(begins)
            assert int(d.line().split(b",")[0]) == 0
        d.quiet(0.05)
    if not device.startswith("pi"):
        with t.step("CR alone ends a line"), line(transport, address) as d:
            d.send(question[:-1] + b"\r")
            assert d.line().startswith(begins)
            d.quiet(0.05)


def rubbish(t, device, transport, address):
    question, _, error, _ = INSTRUMENTS[device]
    with t.step("ten thousand bytes without an end, then with one"), line(transport, address) as d:
        d.send(b"A" * 10_000)
        d.quiet(0.1)
        d.send(b" 1\n")
        d.quiet(0.1)
        d.send(error)
        code = int(d.line().split(b",")[0])
        assert code in (3, -223), code
        d.send(error)
        equal(int(d.line().split(b",")[0]), 0)
        alive(d, device)
    with t.step("ten thousand bytes whose tail is a command are thrown away whole"), line(transport, address) as d:
        d.send(b"A" * 10_000 + b" ;" + question)
        d.quiet(0.2)
        d.send(error)
        assert int(d.line().split(b",")[0]) in (3, -223)
        alive(d, device)
    with t.step("every byte there is, a hundred times, and it lives"), line(transport, address) as d:
        noise = random.Random(7)
        for _ in range(100):
            # Not the byte that reboots a motion controller, nor the one by which it is asked without a line.
            d.send(bytes(b for b in noise.sample(range(256), 256) if b > 31 or b == 10))
        d.send(b"\n")
        d.drain()
        for _ in range(30):
            d.send(error)
            if int(d.line().split(b",")[0]) == 0:
                break
        alive(d, device)


def deaths(t, device, transport, address):
    question, _, _, long = INSTRUMENTS[device]
    with t.step("two clients in a row, twenty times"):
        for _ in range(20):
            with line(transport, address) as d:
                alive(d, device)
    with t.step("a client that dies before it reads"):
        for _ in range(10):
            with line(transport, address) as d:
                d.send(long * 20)
        time.sleep(0.2)
        with line(transport, address) as d:
            if transport == "pty":
                d.drain()
            alive(d, device)
    with t.step("a client that dies within a line"):
        with line(transport, address) as d:
            d.send(question[:3])
        time.sleep(0.1)
        with line(transport, address) as d:
            if transport == "pty":
                d.send(b"\n")  # the device on a serial line does not know that somebody else is there now
                d.drain()
            alive(d, device)
    if transport == "tcp":
        with t.step("a client that resets its connection while answers come"):
            d = Line(transport, address)
            d.send(long * 200)
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            d.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            d.close()
            time.sleep(0.1)
            with line(transport, address) as d:
                alive(d, device)
        with t.step("a second client at the same time is turned away, the first is served on"):
            with line(transport, address) as first:
                alive(first, device)
                with line(transport, address) as second:
                    with contextlib.suppress(ConnectionError, EOFError):
                        second.send(question)
                        for _ in range(10):
                            second.more()
                    equal(second.buffer, b"")
                alive(first, device)


def main():
    for device in INSTRUMENTS:
        for transport in ("tcp", "pty"):
            with Steps("rude sockets and pyserial", "pyserial", device.split(",")[0], transport) as t:
                with simulator(device, transport) as address:
                    for part in (manners, rubbish, deaths):
                        part(t, device, transport, address)


main()
