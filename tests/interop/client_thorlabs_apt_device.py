"""thorlabs-apt-device against the simulated servo K-Cube and a brushless rack, on a serial line as its users open them."""

import time

from harness import Steps, equal, near, simulator, until
from thorlabs_apt_device import BBD201, KDC101


def settled(d):
    busy = ("moving_forward", "moving_reverse", "jogging_forward", "jogging_reverse", "homing")
    return not any(d.status[flag] for flag in busy)


def arrived(d, position, within, timeout_s=15.0):
    return until(lambda: settled(d) and abs(d.status["position"] - position) <= within, timeout_s)


def check_kdc101(t, d):
    with t.step("status at power-on"):
        until(lambda: d.status["msg"] == "mot_get_dcstatusupdate")
        equal(d.status["source"], 0x50)
        equal(d.status["chan_ident"], 1)
        equal(d.status["position"], 0)
        equal(d.status["homed"], False)
        equal(d.status["channel_enabled"], True)
        equal(d.status["motor_connected"], True)
        equal(d.status["tracking"], True)
        equal(settled(d), True)
    with t.step("parameters asked for at the start"):
        until(lambda: d.velparams["max_velocity"] != 0)
        equal(d.velparams["acceleration"], 13744)
        equal(d.velparams["max_velocity"], 767367)
        until(lambda: d.jogparams["step_size"] != 0)
        equal(d.jogparams["jog_mode"], 2)
        equal(d.jogparams["step_size"], 3430)
        until(lambda: d.homeparams["home_dir"] != 0)
        equal(d.homeparams["limit_switch"], 1)
        equal(d.genmoveparams["msg"], "mot_get_genmoveparams")
        equal(d.genmoveparams["backlash_distance"], 0)
    with t.step("velocity"):
        d.set_velocity_params(13744, 10 * 767367)
        until(lambda: d.velparams["max_velocity"] == 7673670)
    with t.step("a relative move before homing"):
        d.move_relative(171520)
        arrived(d, 171520, 2)
        d.move_relative(-171520)
        until(lambda: d.status["moving_reverse"])
        arrived(d, 0, 2)
    with t.step("home"):
        d.home()
        until(lambda: d.status["homing"])
        took = until(lambda: d.status["homed"], 40.0)
        assert took > 1.0, took
        equal(d.status["homing"], False)
        near(d.status["position"], 0, 2)
    with t.step("an absolute move, its directions and speeds"):
        d.move_absolute(171520)
        until(lambda: d.status["moving_forward"] and d.status["velocity"] > 50)
        arrived(d, 171520, 2)
        equal(d.status["velocity"], 0)
        d.move_absolute(42880)
        until(lambda: d.status["moving_reverse"] and d.status["velocity"] < -50)
        arrived(d, 42880, 2)
    with t.step("a prepared move"):
        d.move_absolute(50000, now=False)
        time.sleep(0.3)
        near(d.status["position"], 42880, 2)
    with t.step("jog steps and a jog that is stopped"):
        d.move_jog("forward")
        arrived(d, 42880 + 3430, 3)
        d.move_velocity("forward")
        until(lambda: d.status["position"] > 60000)
        d.stop()
        until(lambda: d.status["msg"] == "mot_move_stopped" or settled(d))
        until(lambda: settled(d))
        here = d.status["position"]
        time.sleep(0.3)
        near(d.status["position"], here, 3)
        assert 60000 < here < 400000, here
    with t.step("the lower limit switch"):
        d.move_velocity("reverse")
        until(lambda: d.status["reverse_limit_switch"], 20.0)
        equal(d.status["forward_limit_switch"], False)
        assert d.status["position"] < 0, d.status["position"]
    with t.step("a disabled channel does not move"):
        d.set_enabled(False)
        until(lambda: not d.status["channel_enabled"])
        here = d.status["position"]
        d.move_absolute(42880)
        time.sleep(0.5)
        equal(d.status["position"], here)
        d.set_enabled(True)
        until(lambda: d.status["channel_enabled"])
        d.move_absolute(20000)
        arrived(d, 20000, 2)
    with t.step("identify and hang up"):
        d.identify()


def check_bbd201(t, d):
    with t.step("status comes by itself"):
        until(lambda: d.status["msg"] == "mot_get_dcstatusupdate")
        equal(d.status["source"], 0x21)
        equal(d.status["channel_enabled"], False)
    with t.step("a disabled channel does not home"):
        d.home()
        time.sleep(0.5)
        equal((d.status["homing"], d.status["homed"]), (False, False))
    with t.step("enable and home"):
        d.set_enabled(True)
        until(lambda: d.status["channel_enabled"])
        d.home()
        until(lambda: d.status["homing"])
        until(lambda: d.status["homed"], 30.0)
        near(d.status["position"], 0, 1)
    with t.step("moves"):
        d.move_absolute(100000)
        until(lambda: d.status["moving_forward"])
        arrived(d, 100000, 2)
        until(lambda: d.status["settled"])
        d.move_relative(-50000)
        arrived(d, 50000, 2)
    with t.step("status goes on with acknowledgements beyond the fifty without"):
        end = time.monotonic() + 6.0
        while time.monotonic() < end:
            d.status["msg"] = ""
            until(lambda: d.status["msg"] != "", 0.5)
    with t.step("identify the rack"):
        d.identify()


def main():
    with Steps("thorlabs-apt-device", "thorlabs-apt-device", "thorlabs-apt KDC101", "pty") as t:
        with simulator("thorlabs-apt,model=KDC101", "pty") as port:
            d = KDC101(serial_port=port, home=False)
            check_kdc101(t, d)
            d.close()
            until(lambda: d._port is None)
    with Steps("thorlabs-apt-device", "thorlabs-apt-device", "thorlabs-apt BBD201", "pty") as t:
        with simulator("thorlabs-apt,model=BBD201", "pty") as port:
            d = BBD201(serial_port=port, home=False)
            check_bbd201(t, d)
            d.close()
            until(lambda: d._port is None)


main()
