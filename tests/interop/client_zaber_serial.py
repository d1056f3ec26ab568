"""zaber.serial, Zaber's older client library in pure Python, against the simulated chain: CR LF, no ids unless given."""

import time

from harness import Steps, equal, simulator
from zaber.serial import AsciiAxis, AsciiCommand, AsciiDevice, AsciiReply, AsciiSerial, TimeoutError


def open_port(transport, address):
    """A port on a terminal, or on a socket by pyserial's URL."""
    return AsciiSerial(address if transport == "pty" else "socket://{}:{}".format(*address), timeout=2)


def talk(t, port):
    device = AsciiDevice(port, 1)
    axis = AsciiAxis(device, 1)
    with t.step("an empty command is answered"):
        reply = device.send("")
        equal((reply.device_address, reply.axis_number, reply.reply_flag, reply.device_status), (1, 0, "OK", "IDLE"))
        equal((reply.warning_flag, reply.data, reply.message_id), ("WR", "0", None))
    with t.step("home and moves block until they have ended"):
        equal(axis.home().reply_flag, "OK")
        equal(axis.get_status(), "IDLE")
        axis.move_abs(10000)
        equal(axis.get_position(), 10000)
        axis.move_rel(-2500)
        equal(axis.get_position(), 7500)
    with t.step("at a speed until stopped"):
        axis.move_vel(-3000)
        time.sleep(0.1)
        equal(axis.get_status(), "BUSY")
        axis.stop()
        equal(axis.get_status(), "IDLE")
        assert axis.get_position() < 7500
    with t.step("a rejection"):
        reply = axis.send("move abs 1000000000")
        equal((reply.reply_flag, reply.data), ("RJ", "BADDATA"))
    with t.step("ids come back, and replies with checksums are checked"):
        port.write(AsciiCommand(1, 1, 42, "get pos"))
        reply = port.read()
        equal((reply.message_id, reply.axis_number), (42, 1))
        equal(device.send("set comm.checksum 1").reply_flag, "OK")
        reply = device.send("get version")
        equal((reply.data, reply.checksum is not None), ("7.38", True))
        equal(AsciiReply(reply.encode()).data, "7.38")
        equal(device.send("set comm.checksum 0").checksum, None)
    with t.step("an alert"):
        device.send("set comm.alert 1")
        port.write("/1 1 move rel 100")
        equal(port.read().message_type, "@")
        alert = port.read()
        equal((alert.message_type, alert.axis_number, alert.device_status), ("!", 1, "IDLE"))
        device.send("set comm.alert 0")
    with t.step("info packets after the reply"):
        port.write("/1 help")
        equal([port.read().message_type for _ in range(3)], ["@", "#", "#"])
    with t.step("all devices of the chain answer address 0, nobody another"):
        port.write("/get system.serial")
        equal([port.read().device_address for _ in range(3)], [1, 2, 3])
        port.write("/7")
        port.timeout = 0.3
        try:
            port.read()
            raise AssertionError("somebody answered")
        except TimeoutError:
            pass


def main():
    for transport in ("tcp", "pty"):
        with Steps("zaber.serial", "zaber.serial", "zaber-ascii X-MCC4, three", transport) as t:
            with simulator("zaber-ascii,devices=3", transport) as address:
                with open_port(transport, address) as port:
                    talk(t, port)


main()
