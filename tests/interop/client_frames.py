"""Binary frames and segments, for which no library is on PyPI: written after the makers' samples, over bare sockets and ports."""

import contextlib
import socket
import struct
import time

import serial
from harness import Steps, equal, near, simulator

POWER_W = 1e-4


class Wire:
    """Bytes over either transport, with a time limit."""

    def __init__(self, transport, address):
        self.tcp = transport == "tcp"
        if self.tcp:
            self.line = socket.create_connection(address, timeout=2)
        else:
            self.line = serial.Serial(address, 115200, timeout=2)

    def send(self, data):
        (self.line.sendall if self.tcp else self.line.write)(data)

    def take(self, count):
        data = b""
        while len(data) < count:
            got = self.line.recv(count - len(data)) if self.tcp else self.line.read(count - len(data))
            if not got:
                raise TimeoutError(f"only {data!r}")
            data += got
        return data

    def silent(self, seconds=0.3):
        old = self.line.gettimeout() if self.tcp else self.line.timeout
        (self.line.settimeout(seconds) if self.tcp else setattr(self.line, "timeout", seconds))
        with contextlib.suppress(TimeoutError):
            equal(self.take(1), b"")
        (self.line.settimeout(old) if self.tcp else setattr(self.line, "timeout", old))

    def close(self):
        self.line.close()


def segments(message):
    """As `TL_TCP_frame_transmit_bin` of Thorlabs' sample cuts a message."""
    cut = [message[k : k + 1436] for k in range(0, len(message), 1436)]
    head = struct.pack("<BBh", 0xCA, 0, len(message))
    return b"".join((head if n == 0 else struct.pack("<BBh", 0xCB, n, len(part))) + part for n, part in enumerate(cut))


def message(wire):
    """One message, put together from its segments."""
    mark, number, total = struct.unpack("<BBh", wire.take(4))
    equal((mark, number), (0xCA, 0))
    data = wire.take(min(total, 1436))
    expected = 1
    while len(data) < total:
        mark, number, length = struct.unpack("<BBh", wire.take(4))
        equal((mark, number), (0xCB, expected))
        data += wire.take(length)
        expected += 1
    return data.decode().strip()


def thorlabs(t, wire):
    def ask(text):
        wire.send(segments(text.encode() + b"\n"))
        return message(wire)

    with t.step("identity and errors in segments"):
        equal(ask("*IDN?").split(",")[:2], ["Thorlabs", "PM103E"])
        wire.send(segments(b"NO:SUCH?\n"))
        wire.silent()
        equal(ask("SYST:ERR?"), '-113,"Undefined header"')
    with t.step("settings and readings"):
        wire.send(segments(b"SENS:CORR:WAV 1310\n"))
        near(float(ask("SENS:CORR:WAV?")), 1310, 1e-6)
        for _ in range(20):
            near(float(ask("MEAS:POW?")), POWER_W, 1e-5)
    with t.step("a long request and a long answer go over several segments"):
        equal(ask(" " * 1500 + "*OPC?"), "1")
        answer = ask("*IDN?;" * 60 + "*OPC?")
        assert len(answer) > 1900, len(answer)
    with t.step("a request that comes byte by byte, and noise before it"):
        wire.send(b"\x00\x01noise")
        for byte in segments(b"*OPC?\n"):
            wire.send(bytes([byte]))
        equal(message(wire), "1")


def frame(command, data=b"", address=0xFF):
    """A Joinwit frame."""
    body = bytes([0x7B, address, 5 + len(data)]) + struct.pack(">H", command) + data
    return body + bytes([-sum(body) & 0xFF, 0x7D])


def joinwit(t, wire):
    def ask(command, data=b""):
        wire.send(frame(command, data))
        head = wire.take(5)
        begin, _, length, answer = struct.unpack(">BBBH", head)
        equal((begin, answer), (0x7B, command + 1))
        rest = wire.take(length - 3)
        equal(rest[-1], 0x7D)
        equal((sum(head) + sum(rest[:-1])) & 0xFF, 0)
        return rest[:-2]

    with t.step("connect"):
        equal(len(ask(0x0140)), 4)
    with t.step("wavelengths"):
        equal(struct.unpack("<6H", ask(0x0730)), (850, 1300, 1310, 1490, 1550, 1625))
        for channel in (1, 2, 3, 4):
            equal(ask(0x0160, bytes([channel, 5])), b"")
    with t.step("four powers in dBm and in mW"):
        ask(0x0164)
        time.sleep(0.3)
        for value in struct.unpack("<4i", ask(0x0162)):
            near(value / 1000, -10, 0.15)
        for value in struct.unpack("<4f", ask(0x0164)):
            near(value, POWER_W * 1e3, 3e-3)
    with t.step("a hundred readings a second"):
        begin = time.monotonic()
        for _ in range(100):
            ask(0x0164)
        assert time.monotonic() - begin < 2, time.monotonic() - begin
    with t.step("a wrong checksum is silent, and the next frame is answered"):
        bad = bytearray(frame(0x0140))
        bad[5] ^= 1
        wire.send(bytes(bad))
        wire.silent()
        equal(len(ask(0x0140)), 4)


def main():
    with Steps("segments (own)", None, "thorlabs-pm-lan PM103E", "tcp") as t:
        with simulator("thorlabs-pm-lan", "tcp", "--power-dbm", "-10") as address:
            wire = Wire("tcp", address)
            thorlabs(t, wire)
            wire.close()
    for transport in ("pty", "tcp"):
        with Steps("frames (own)", None, "joinwit-pm JW8103A", transport) as t:
            with simulator("joinwit-pm", transport, "--power-dbm", "-10") as address:
                wire = Wire(transport, address)
                joinwit(t, wire)
                wire.close()


main()
