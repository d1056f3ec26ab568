"""pylablib against the simulated power meters, on a serial line as its users open them (CR LF)."""

from harness import Steps, equal, near, simulator
from pylablib.devices import Thorlabs

POWER_W = 1e-4


def check(t, pm, model):
    with t.step("identity and sensor"):
        info = pm.get_device_info()
        equal(info.name, model)
        equal(info.manufacturer.lower(), "thorlabs")
        sensor = pm.get_sensor_info()
        assert "power" in sensor.flags and "wavelength_set" in sensor.flags, sensor
        equal(sensor.type, 1)
    with t.step("modes are found by which headers the meter knows"):
        modes = pm.get_supported_sensor_modes()
        assert "power" in modes and "current" in modes, modes
        assert "energy" not in modes, modes
        equal(pm.set_sensor_mode("current"), "current")
        near(pm.get_reading(), POWER_W, POWER_W * 0.2)
        equal(pm.set_sensor_mode("power"), "power")
    with t.step("wavelength"):
        low, high = pm.get_wavelength_range()
        assert low < 1.31e-6 < high
        near(pm.set_wavelength(1.31e-6), 1.31e-6, 1e-12)
    with t.step("range"):
        equal(pm.enable_autorange(False), False)
        full = pm.set_range("full")
        assert full > 1e-3
        small = pm.set_range(1e-6)
        assert 1e-6 <= small < 1e-5
        equal(pm.is_autorange_enabled(), False)
        assert pm.get_reading() >= 1e12
        equal(pm.get_reading(overrng="max"), small)
        equal(pm.enable_autorange(True), True)
    with t.step("readings"):
        for _ in range(20):
            near(pm.get_power(), POWER_W, 2e-6)
        near(pm.get_reading(measure=False), POWER_W, 2e-6)
    with t.step("everything at once"):
        status = pm.get_full_status()
        near(status["reading"], POWER_W, 2e-6)
        equal(status["mode"], "power")


def main():
    for model in ("PM101", "PM103", "PM100D", "PM400"):
        with Steps("pylablib", "pylablib", f"thorlabs-pm {model}", "pty") as t:
            with simulator(f"thorlabs-pm,model={model}", "pty", "--power-dbm", "-10") as address:
                pm = Thorlabs.PM160(("serial", (address, 115200)))
                check(t, pm, model)
                pm.close()


main()
