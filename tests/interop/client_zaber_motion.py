"""zaber-motion, Zaber's own client library, against a simulated chain. In its native units: others need its online database."""

import threading
import time

from harness import Steps, equal, near, simulator, until
from zaber_motion import CommandFailedException, DriverDisabledException, MovementFailedException, MovementInterruptedException
from zaber_motion import NoValueForKeyException, RequestTimeoutException, Units
from zaber_motion.ascii import Connection, DigitalOutputAction

# 0.124023 um a microstep: 12.5 mm to either side of the home sensor.
FAR = 100787


def connect(transport, address):
    """A connection over an address."""
    return Connection.open_tcp(*address) if transport == "tcp" else Connection.open_serial_port(address)


def rejected(reason, act, *kinds):
    """The device rejects the command with exactly this reason."""
    try:
        act()
    except (CommandFailedException, *kinds) as error:
        equal(error.details.response_data, reason)
        return
    raise AssertionError(f"not rejected; expected {reason}")


def raises(kind, act):
    """The act fails with this exception, which is given."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def chain(t, c):
    with t.step("checksums are on, and every device of the chain answers"):
        equal(c.checksum_enabled, True)
        devices = c.detect_devices(identify_devices=False)
        equal([d.device_address for d in devices], [1, 2])
        replies = c.generic_command_multi_response("get system.serial")
        equal([(r.device_address, r.axis_number) for r in replies], [(1, 0), (2, 0)])
        assert all(r.reply_flag == "OK" and int(r.data) > 0 for r in replies)
        assert replies[0].data != replies[1].data
    with t.step("replies with checksums, and without"):
        for d in devices:
            d.settings.set("comm.checksum", 1)
            equal(d.settings.get("comm.checksum"), 1)
        equal(c.generic_command("get deviceid", 1).data, "30222")
        c.checksum_enabled = False
        equal(c.generic_command("get deviceid", 2).data, "30222")
        for d in devices:
            d.settings.set("comm.checksum", 0)
        equal(c.generic_command("tools echo two words", 1).data, "two words")
        c.checksum_enabled = True
        equal(c.generic_command("get deviceid", 1).data, "30222")
    with t.step("nobody is at another address"):
        raises(RequestTimeoutException, lambda: c.generic_command("", 3, timeout=300))
    with t.step("addresses are given anew"):
        equal(c.renumber_devices(first_address=5), 2)
        equal(c.generic_command("get comm.address", 6).data, "6")
        equal(c.renumber_devices(), 2)
        equal(c.generic_command("get comm.address", 2).data, "2")
    return devices


def home(t, c, device):
    axis = device.get_axis(1)
    with t.step("no reference at power-on"):
        equal(axis.warnings.get_flags(), {"WR"})
        equal((axis.is_homed(), axis.is_busy()), (False, False))
        equal(device.all_axes.is_homed(), False)
    with t.step("home, busy on the way"):
        axis.home(wait_until_idle=False)
        equal(axis.is_busy(), True)
        axis.wait_until_idle()
        equal((axis.is_homed(), axis.is_busy(), axis.get_position()), (True, False, 0))
        equal(axis.warnings.get_flags(), set())
    with t.step("home cut off leaves no reference"):
        second = device.get_axis(2)
        second.home(wait_until_idle=False)
        # The library's own stop clears the flag as soon as it sees it.
        second.generic_command("stop")
        until(lambda: not second.is_busy())
        equal(second.warnings.get_flags(), {"WR", "NI"})
        second.warnings.clear_flags()
        equal(second.warnings.get_flags(), {"WR"})
    with t.step("all axes of the chain go home"):
        c.home_all()
        for d in c.detect_devices(identify_devices=False):
            equal(d.all_axes.is_homed(), True)
        equal(c.generic_command("get pos", 2).data, "0 0")


def moves(t, axis):
    with t.step("absolute, relative, to the ends"):
        axis.move_absolute(10000)
        equal(axis.get_position(), 10000)
        axis.move_relative(-2500)
        equal(axis.get_position(), 7500)
        axis.settings.set("limit.min", -20000)
        axis.move_min()
        equal(axis.get_position(), -20000)
        axis.settings.set("limit.max", 20000)
        axis.move_max()
        equal(axis.get_position(), 20000)
        axis.settings.set("limit.min", -FAR)
        axis.settings.set("limit.max", FAR)
    with t.step("with speed and acceleration of the move's own"):
        begin = time.monotonic()
        axis.move_relative(-10000, velocity=16384, acceleration=10)
        near(time.monotonic() - begin, 1.0 + 10000 / (10 * 10000 / 1.6384), 0.3)
        equal(axis.get_position(), 10000)
    with t.step("at a speed until stopped"):
        axis.move_velocity(-32768)
        time.sleep(0.5)
        equal(axis.is_busy(), True)
        near(axis.get_position(), 10000 - 0.5 * 20000, 2500)
        axis.stop()
        equal(axis.is_busy(), False)
        at = axis.get_position()
        time.sleep(0.1)
        equal(axis.get_position(), at)
    with t.step("a move that a stop cuts off is told as interrupted"):
        axis.move_absolute(0)
        failed = []

        def slow():
            failed.append(raises(MovementInterruptedException, lambda: axis.move_absolute(20000, velocity=3277)))

        thread = threading.Thread(target=slow)
        thread.start()
        time.sleep(0.3)
        axis.generic_command("stop")
        thread.join()
        equal(len(failed), 1)
        assert 0 < axis.get_position() < 20000
    with t.step("sinusoid between its ends, one and a half cycles"):
        axis.move_absolute(0)
        axis.move_sin(500, amplitude_units=Units.NATIVE, period=200, period_units=Units.NATIVE, count=1.5, wait_until_idle=False)
        seen = []
        while axis.is_busy():
            seen.append(axis.get_position())
        assert min(seen) < 200 and 800 < max(seen) <= 1001, seen
        equal(axis.get_position(), 1000)
        axis.move_sin(100, amplitude_units=Units.NATIVE, period=100, period_units=Units.NATIVE, wait_until_idle=False)
        time.sleep(0.35)
        equal(axis.is_busy(), True)
        axis.move_sin_stop()
        equal((axis.is_busy(), axis.get_position()), (False, 1000))


def rejections(t, c, device):
    axis = device.get_axis(1)
    with t.step("rejections come with their reasons"):
        rejected("BADDATA", lambda: axis.move_absolute(1000000000))
        rejected("BADDATA", lambda: axis.settings.set("maxspeed", 0))
        rejected("BADCOMMAND", lambda: axis.settings.get("no.such.setting"))
        rejected("BADCOMMAND", lambda: device.settings.set("system.serial", 5))
        rejected("BADCOMMAND", lambda: axis.generic_command("dance"))
        rejected("BADAXIS", lambda: device.get_axis(5).home())
        rejected("DEVICEONLY", lambda: axis.generic_command("get system.serial"))
    with t.step("a setting that is not for an axis in motion"):
        axis.move_velocity(1000)
        rejected("STATUSBUSY", lambda: axis.generic_command("set resolution 128"))
        axis.stop()
    with t.step("driver off and on"):
        axis.driver_disable()
        equal(axis.warnings.get_flags(), {"FO"})
        rejected("DRIVERDISABLED", lambda: axis.move_absolute(0), DriverDisabledException)
        axis.driver_enable()
        axis.move_absolute(0)
    with t.step("parked axes do not move"):
        axis.park()
        equal(axis.is_parked(), True)
        rejected("PARKED", lambda: axis.move_absolute(100))
        axis.unpark()
        axis.move_absolute(100)
        equal(axis.get_position(), 100)


def settings(t, device):
    axis = device.get_axis(1)
    with t.step("settings are told and kept"):
        for name, value in (("maxspeed", 50000), ("accel", 20), ("limit.max", 123456), ("limit.approach.maxspeed", 9000)):
            old = axis.settings.get(name)
            axis.settings.set(name, value)
            equal(axis.settings.get(name), value)
            axis.settings.set(name, old)
        equal(axis.settings.get("resolution"), 64)
        equal(axis.settings.get("peripheralid"), 43211)
        equal(device.settings.get("system.axiscount"), 2)
        equal(device.settings.get_string("version"), "7.38")
        equal(device.settings.get("comm.packet.size.max"), 80)
        assert device.settings.get("system.serial") >= 4000000000
    with t.step("settings of all axes in one reply"):
        equal(device.settings.get_from_all_axes("resolution"), [64, 64])
    with t.step("stored positions"):
        axis.generic_command("tools storepos 2 4321")
        axis.generic_command("move stored 2")
        axis.wait_until_idle()
        equal(axis.get_position(), 4321)


def lines_and_storage(t, device):
    with t.step("inputs and outputs; the light is on the first analog input"):
        info = device.io.get_channels_info()
        equal((info.number_analog_inputs, info.number_digital_outputs), (4, 4))
        device.io.set_all_digital_outputs([DigitalOutputAction.ON, *[DigitalOutputAction.OFF] * 3])
        device.io.set_digital_output(3, DigitalOutputAction.TOGGLE)
        equal(device.io.get_all_digital_outputs(), [True, False, True, False])
        equal(device.io.get_digital_input(4), False)
        near(device.io.get_analog_input(1), 1.0, 0.01)
    with t.step("texts and numbers are kept for device and axes"):
        device.storage.set_string("fixture", "left nest 7")
        device.get_axis(1).storage.set_number("offset", -3.5)
        equal(device.storage.get_string("fixture"), "left nest 7")
        equal(device.get_axis(1).storage.get_number("offset"), -3.5)
        equal(device.storage.list_keys(), ["fixture"])
        equal((device.storage.erase_key("fixture"), device.storage.erase_key("fixture")), (True, False))
        raises(NoValueForKeyException, lambda: device.storage.get_string("fixture"))
        device.set_label("station 3")
        equal("zaber.label" in device.storage.list_keys(), True)


def alerts(t, c, device):
    with t.step("alerts when an axis comes to rest, and none when they are off"):
        heard = []
        c.enable_alerts()
        subscription = c.alert.subscribe(lambda a: heard.append((a.device_address, a.axis_number, a.status, a.warning_flag)))
        device.get_axis(2).move_absolute(2000)
        until(lambda: heard)
        equal(heard, [(device.device_address, 2, "IDLE", "--")])
        c.disable_alerts()
        device.get_axis(2).move_absolute(0)
        time.sleep(0.1)
        subscription.dispose()
        equal(len(heard), 1)


def many(t, c, device):
    with t.step("info packets follow their reply"):
        replies = device.generic_command_multi_response("help")
        equal([type(r).__name__ for r in replies][0], "Response")
        assert len(replies) > 1, replies
    with t.step("the whole chain stops"):
        for n in (1, 2):
            device.get_axis(n).move_velocity(2000)
        c.stop_all()
        equal(device.all_axes.is_busy(), False)
    with t.step("two hundred questions get two hundred answers"):
        at = device.get_axis(1).get_position()
        for _ in range(200):
            equal(device.get_axis(1).get_position(), at)


def again(t, transport, address):
    with t.step("a second client finds the chain as the first left it"):
        with connect(transport, address) as c:
            axis = c.get_device(1).get_axis(1)
            equal(axis.is_homed(), True)
            before = axis.get_position()
            axis.move_relative(77)
            equal(axis.get_position(), before + 77)
    with t.step("a reset forgets the reference"):
        with connect(transport, address) as c:
            c.generic_command("system reset", 1)
            time.sleep(0.1)
            equal(c.get_device(1).get_axis(1).is_homed(), False)
            equal(c.get_device(2).get_axis(1).is_homed(), True)


def faulty(transport):
    """A stage that jams."""
    with Steps("zaber-motion", "zaber-motion", "zaber-ascii X-LHM, jammed", transport) as t:
        with simulator("zaber-ascii,model=X-LHM", transport, "--fault", "axis-stuck:x@2") as address:
            with connect(transport, address) as c:
                axis = c.get_device(1).get_axis(1)
                with t.step("what was changed is restored"):
                    axis.settings.set("maxspeed", 1000)
                    axis.device.restore()
                    assert axis.settings.get("maxspeed") > 1000
                with t.step("a move that stalls has failed"):
                    axis.home()
                    time.sleep(2)
                    error = raises(MovementFailedException, lambda: axis.move_absolute(20000))
                    assert "FS" in str(error.details.warnings), error
                    assert axis.get_position() < 20000


def main():
    for transport in ("tcp", "pty"):
        with Steps("zaber-motion", "zaber-motion", "zaber-ascii X-MCB2, two", transport) as t:
            with simulator("zaber-ascii,model=X-MCB2,devices=2,axes=2", transport) as address:
                with connect(transport, address) as c:
                    first, second = chain(t, c)
                    home(t, c, first)
                    moves(t, first.get_axis(1))
                    rejections(t, c, first)
                    settings(t, second)
                    lines_and_storage(t, second)
                    alerts(t, c, second)
                    many(t, c, second)
                again(t, transport, address)
    faulty("tcp")


main()
