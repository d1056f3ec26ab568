"""pylablib's Kinesis classes against the simulated servo K-Cube, rack and piezo, over TCP: on a pseudo-terminal its
toggling of RTS is refused by the operating system."""

import time
import warnings

from harness import Steps, equal, near, simulator
from pylablib.devices import Thorlabs


def check_kdc101(t, m):
    with t.step("identity and stage"):
        info = m.get_device_info()
        equal(info.model_no, "KDC101")
        equal(info.serial_no, 27000001)
        equal((info.fw_ver, info.hw_type, info.nchannels), ("1.0.2", 16, 1))
        equal(m.get_stage(), "MTS50-Z8")
        equal(m.get_scale_units(), "m")
        near(m.get_scale()[0], 34304e3, 1e-3)
    with t.step("status at power-on"):
        equal(m.get_status_n(), 0x80001100)
        equal(set(m.get_status()), {"connected", "tracking", "enabled"})
        equal((m.is_homed(), m.is_homing(), m.is_moving()), (False, False, False))
        equal(m.get_position(), 0)
    with t.step("velocity parameters"):
        v = m.get_velocity_parameters()
        near(v.max_velocity, 1e-3, 1e-8)
        v = m.setup_velocity(max_velocity=8e-3, acceleration=20e-3)
        near(v.max_velocity, 8e-3, 1e-8)
        near(v.acceleration, 20e-3, 1e-5)
        equal(m.get_velocity_parameters(scale=False).min_velocity, 0)
    with t.step("homing parameters"):
        h = m.setup_homing(velocity=6e-3, offset_distance=0.2e-3)
        equal((h.home_direction, h.limit_switch), ("reverse", "reverse"))
        near(h.velocity, 6e-3, 1e-8)
        near(h.offset_distance, 0.2e-3, 1e-7)
    with t.step("home"):
        begin = time.monotonic()
        m.home(sync=False)
        equal(m.is_homing(), True)
        equal(m.get_status_n(), 0x80001300)
        m.wait_for_home(timeout=40)
        assert time.monotonic() - begin > 1.0
        near(m.get_position(scale=False), 0, 2)
        equal(m.get_status_n(), 0x80001500)
    with t.step("moves"):
        m.move_to(1.25e-3)
        m.wait_move(timeout=20)
        near(m.get_position(scale=False), 42880, 2)
        m.move_by(-0.5e-3)
        equal(m.is_moving(), True)
        m.wait_move(timeout=20)
        near(m.get_position(), 0.75e-3, 1e-7)
    with t.step("directions of motion"):
        m.move_to(6e-3)
        assert "moving_fw" in m.get_status(), m.get_status()
        m.stop()
        equal(m.is_moving(), False)
        assert 0.75e-3 < m.get_position() < 6e-3, m.get_position()
        m.move_to(0.5e-3)
        assert "moving_bk" in m.get_status(), m.get_status()
        m.wait_move(timeout=20)
    with t.step("jogs"):
        before = m.get_position()
        m.jog("+")
        assert "jogging_fw" in m.get_status(), m.get_status()
        time.sleep(0.3)
        m.stop()
        assert m.get_position() > before
        j = m.setup_jog(mode="step", step_size=0.1e-3)
        equal((j.mode, j.stop_mode), ("step", "profiled"))
        before = m.get_position()
        m.jog("-", kind="builtin")
        m.wait_move(timeout=20)
        near(m.get_position(), before - 0.1e-3, 2e-7)
    with t.step("reference"):
        near(m.set_position_reference(5e-3), 5e-3, 1e-7)
        m.move_by(0.2e-3)
        m.wait_move(timeout=20)
        near(m.get_position(), 5.2e-3, 1e-7)
    with t.step("soft limits hold"):
        l = m.setup_limit_switch(sw_position_cw=6e-3, sw_position_ccw=4.5e-3, sw_kind="stop_prof")
        near(l.sw_position_cw, 6e-3, 1e-7)
        equal((l.hw_kind_cw, l.hw_swapped, l.sw_kind), ("make", False, "stop_prof"))
        m.move_to(9e-3)
        m.wait_move(timeout=20)
        near(m.get_position(), 6e-3, 1e-6)
        assert "sw_fw_lim" in m.get_status(), m.get_status()
        m.setup_limit_switch(sw_kind="ignore")
    with t.step("backlash is taken out of moves backwards"):
        near(m.setup_gen_move(backlash_distance=0.1e-3).backlash_distance, 0.1e-3, 1e-7)
        m.move_to(5e-3)
        lowest = 1.0
        while m.is_moving():
            lowest = min(lowest, m.get_position())
        near(lowest, 4.9e-3, 3e-5)
        near(m.get_position(), 5e-3, 1e-7)
    with t.step("everything at once"):
        full = m.get_full_info()
        equal(full["kcube_trigio_parameters"].trig1_mode, "off")
        equal(full["device_info"].model_no, "KDC101")


def check_rack(t, m):
    with t.step("two bays"):
        equal(m.get_device_info().model_no, "BSC203")
        m.set_supported_channels(2)
        equal(m.get_all_channels(), [1, 2])
        equal(m.get_position(channel="all"), [0, 0])
    with t.step("the second bay moves and the first does not"):
        m.move_by(0.5e-3, channel=2)
        equal((m.is_moving(channel=1), m.is_moving(channel=2)), (False, True))
        m.wait_move(channel=2, timeout=10)
        near(m.get_position(channel=2), 0.5e-3, 1e-8)
        near(m.get_position(channel=1), 0, 1e-8)
        near(m.get_velocity_parameters(channel=2).max_velocity, 1e-3, 1e-8)


def check_kpz101(t, p):
    with t.step("identity and status"):
        equal(p.get_device_info().model_no, "KPZ101")
        equal(set(p.get_status()), {"stage_connected", "gauge_connected"})
        equal(p.is_channel_enabled(), False)
        near(p.get_output_voltage(), 0, 1e-9)
        equal(p.get_voltage_source(), ["software"])
    with t.step("enable and set a voltage"):
        equal(p.enable_channel(), True)
        equal(p.get_voltage_range(), 75)
        near(p.set_output_voltage(10), 10, 0.003)
        near(p.get_output_voltage(units="perc"), 100 * 10 / 75, 0.01)
        near(p.set_output_voltage(80), 75, 0.003)
    with t.step("range and source"):
        equal(p.set_voltage_range(150), 150)
        near(p.set_output_voltage(100), 100, 0.005)
        equal(p.set_voltage_source(["software", "ext_in"]), ["software", "ext_in"])
        near(p.set_output_voltage(0), 0, 1e-9)
        equal(p.enable_channel(False), False)


def main():
    warnings.simplefilter("ignore")
    rows = [
        ("KDC101", "thorlabs-apt", lambda c: Thorlabs.KinesisMotor(c, scale="stage"), check_kdc101),
        ("BSC203", "thorlabs-apt,axes=2", lambda c: Thorlabs.KinesisMotor(c, "DRV014", is_rack_system=True), check_rack),
        ("KPZ101", "thorlabs-apt", Thorlabs.KinesisPiezoController, check_kpz101),
    ]
    for model, kind, open_it, check in rows:
        with Steps("pylablib", "pylablib", f"thorlabs-apt {model}", "tcp") as t:
            with simulator(f"{kind},model={model}", "tcp") as (host, port):
                device = open_it(("network", f"{host}:{port}"))
                check(t, device)
                device.close()


main()
