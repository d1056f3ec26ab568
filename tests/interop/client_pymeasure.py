"""PyMeasure against the simulated power meters and laser sources, through its own VISA adapter on pyvisa-py."""

import warnings

import visa
from harness import Steps, equal, near, simulator, until
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.keysight import KeysightN7776C
from pymeasure.instruments.santec import TSL570
from pymeasure.instruments.santec.tsl500series import SweepMode, SweepPattern, SweepRouting, SweepStatus
from pymeasure.instruments.thorlabs import ThorlabsPM100USB

POWER_W = 1e-4


def adapter(transport, address, end="\n"):
    """PyMeasure's adapter with line ends as its users set them."""
    options = {"read_termination": end, "write_termination": end, "timeout": 5000}
    if transport == "pty":
        options["baud_rate"] = 115200
    return VISAAdapter(visa.name(transport, address), visa_library="@py", **options)


def meter(model, transport):
    """Every property of ThorlabsPM100USB."""
    with Steps("PyMeasure ThorlabsPM100USB", "PyMeasure", f"thorlabs-pm {model}", transport) as t:
        with simulator(f"thorlabs-pm,model={model}", transport, "--power-dbm", "-10") as address:
            pm = ThorlabsPM100USB(adapter(transport, address))
            with t.step("sensor flags"):
                assert pm.is_power_sensor and not pm.is_energy_sensor and pm.wavelength_settable
                equal(pm.sensor_type, 1)
                assert model in pm.id, pm.id
            with t.step("wavelength is kept within the sensor's limits"):
                pm.wavelength = 1310
                equal(pm.wavelength, 1310)
                pm.wavelength = 9999
                equal(pm.wavelength, pm.wavelength_max)
                pm.wavelength = 1
                equal(pm.wavelength, pm.wavelength_min)
                equal(pm.check_errors(), [])
            with t.step("power"):
                pm.wavelength = 1550
                for _ in range(20):
                    near(pm.power, POWER_W, 2e-6)
            with t.step("energy is refused by the client itself"):
                try:
                    pm.energy
                    raise RuntimeError("answered")
                except AttributeError:
                    pass
            with t.step("errors, status, reset"):
                pm.write("NO:SUCH:HEADER 1")
                equal(int(pm.status) & 4, 4)
                errors = pm.check_errors()
                equal([e[0] for e in errors], [-113])
                pm.write("NO:SUCH:HEADER 1")
                pm.clear()
                equal(pm.check_errors(), [])
                equal(int(pm.complete), 1)
                pm.reset()
                near(pm.power, POWER_W, 2e-6)
            pm.adapter.close()


def levels(t, laser):
    with t.step("power in mW and dBm"):
        laser.output_power_mW = 2
        near(laser.output_power_mW, 2, 1e-6)
        near(laser.output_power_dBm, 3.0103, 1e-4)
        laser.output_power_dBm = -1.5
        near(laser.output_power_dBm, -1.5, 1e-6)
        equal(laser.check_errors(), [])
        laser.output_power_dBm = 99
        equal([e[0] for e in laser.check_errors()], [-222])
        near(laser.output_power_dBm, -1.5, 1e-6)
    with t.step("wavelength"):
        laser.wavelength = 1550.25
        near(laser.wavelength, 1550.25, 1e-6)
        equal(int(laser.complete), 1)
        equal(laser.check_errors(), [])
    with t.step("lock and output"):
        laser.locked = True
        equal(laser.locked, True)
        laser.output_enabled = True
        equal(len(laser.check_errors()), 1)
        equal(laser.output_enabled, False)
        laser.locked = False
        equal(laser.locked, False)
        laser.output_enabled = True
        until(lambda: laser.output_enabled)
        equal(laser.check_errors(), [])


def sweeps(t, laser):
    with t.step("parameters of a sweep are kept"):
        laser.sweep_wl_start = 1550
        laser.sweep_wl_stop = 1551
        laser.sweep_step = 0.01
        laser.sweep_speed = 1
        laser.sweep_mode = "CONT"
        laser.sweep_twoway = False
        laser.trigger_out = "STF"
        laser.trigger_in = "IGN"
        laser.wl_logging = True
        near(laser.sweep_wl_start, 1550, 1e-6)
        near(laser.sweep_wl_stop, 1551, 1e-6)
        near(laser.sweep_step, 0.01, 1e-9)
        near(laser.sweep_speed, 1, 1e-9)
        equal((laser.sweep_mode, laser.sweep_twoway), ("CONT", False))
        equal((laser.trigger_out, laser.trigger_in, laser.wl_logging), ("STF", "IGN", True))
        equal(laser.check_errors(), [])
    with t.step("parameters that do not fit are told"):
        equal(laser.valid_sweep_params(), True)
        laser.sweep_wl_stop = 1549
        equal(laser.valid_sweep_params(), False)
        laser.sweep_wl_stop = 1551
        equal(laser.valid_sweep_params(), True)
    with t.step("a sweep takes its time and logs its wavelengths"):
        equal(laser.sweep_state, 0)
        laser.sweep_state = 1
        equal(laser.sweep_state, 1)
        took = until(lambda: laser.sweep_state == 0, timeout_s=5)
        assert took > 0.7, took
        points = int(laser.sweep_points)
        equal(points, 101)
        data = laser.get_wl_data()
        equal(len(data), points)
        near(data[0] * 1e9, 1550, 1e-3)
        near(data[-1] * 1e9, 1551, 1e-3)
        assert (data[1:] > data[:-1]).all()
        equal(laser.check_errors(), [])
    with t.step("a sweep is stopped, a stepped one goes on by command"):
        laser.sweep_state = 1
        laser.sweep_state = 0
        equal(laser.sweep_state, 0)
        laser.wl_logging = False
        laser.sweep_mode = "MAN"
        laser.sweep_step = 0.25
        laser.sweep_state = 1
        laser.next_step()
        laser.next_step()
        laser.previous_step()
        near(laser.wavelength, 1550.25, 1e-6)
        laser.sweep_state = 0
        equal(laser.check_errors(), [])


def laser_source(transport):
    """Every property of KeysightN7776C."""
    with Steps("PyMeasure KeysightN7776C", "PyMeasure", "keysight-laser N7776C-216", transport) as t:
        with simulator("keysight-laser,model=N7776C-216", transport) as address:
            laser = KeysightN7776C(adapter(transport, address))
            with t.step("identity"):
                assert "Keysight" in laser.id and ",N7776C," in laser.id, laser.id
                assert laser.options
            levels(t, laser)
            sweeps(t, laser)
            with t.step("off again"):
                laser.output_enabled = False
                equal(laser.output_enabled, False)
            laser.close()


def santec_levels(t, laser):
    with t.step("legacy and SCPI units of wavelength and frequency"):
        laser.command_set = "Legacy"
        laser.wavelength_setpoint = 1550.25
        near(laser.wavelength_setpoint, 1550.25, 1e-3)
        near(laser.frequency_setpoint, 299792.458 / 1550.25, 1e-4)
        laser.command_set = "SCPI"
        equal(laser.command_set, "SCPI")
        laser.wavelength_setpoint = 1.55e-6
        near(laser.wavelength_setpoint, 1.55e-6, 1e-13)
        laser.frequency_setpoint = 1.94e14
        near(laser.frequency_setpoint, 1.94e14, 1e9)
        near(laser.wavelength_setpoint, 299792458 / 1.94e14, 1e-12)
        near(laser.wavelength_min, 1480e-9, 1e-12)
        near(laser.frequency_max, 299792458 / 1480e-9, 1e9)
        equal(laser.check_errors(), [])
    with t.step("power in dBm and mW, limits"):
        laser.power_unit = "dBm"
        laser.power_setpoint = -3
        near(laser.power_setpoint, -3, 1e-6)
        laser.power_unit = "mW"
        equal(laser.power_unit, "mW")
        near(laser.power_setpoint, 0.501187, 1e-5)
        laser.power_setpoint = 2
        laser.power_unit = "dBm"
        near(laser.power_setpoint, 3.0103, 1e-4)
        laser.power_setpoint = 99
        near(laser.power_setpoint, 3.0103, 1e-4)
    with t.step("output on, monitored, and off"):
        laser.output_enabled = True
        equal(laser.output_enabled, True)
        until(lambda: int(laser.complete) == 1)
        near(laser.power, 3.0103, 0.01)
        equal(laser.check_errors(), [])


def santec_sweeps(t, laser):
    with t.step("sweep settings are kept"):
        laser.wavelength_start = 1.55e-6
        laser.wavelength_stop = 1.555e-6
        laser.wavelength_step = 1e-9
        laser.sweep_speed = 10
        laser.sweep_dwell = 0.1
        laser.sweep_delay = 0
        laser.sweep_cycles = 1
        laser.sweep_mode = SweepMode.STEPPED_TWO_WAY
        equal(laser.sweep_pattern, SweepPattern.STEPPED)
        laser.sweep_routing = SweepRouting.ONE_WAY
        laser.sweep_pattern = SweepPattern.CONTINUOUS
        equal(laser.sweep_mode, SweepMode.CONTINUOUS_ONE_WAY)
        near(laser.wavelength_start, 1.55e-6, 1e-13)
        near(laser.wavelength_stop, 1.555e-6, 1e-13)
        near(laser.frequency_start, 299792458 / 1.55e-6, 1e9)
        near(laser.wavelength_step, 1e-9, 1e-15)
        equal((laser.sweep_speed, laser.sweep_cycles, laser.sweep_dwell), (10, 1, 0.1))
        equal(laser.check_errors(), [])
    with t.step("a sweep takes its time, ends where it should and is counted"):
        equal(laser.sweep_status, SweepStatus.STOPPED)
        laser.start_sweep()
        equal(laser.sweep_status, SweepStatus.RUNNING)
        took = until(lambda: laser.sweep_status == SweepStatus.STOPPED)
        assert 0.4 < took < 1, took
        near(laser.wavelength_setpoint, 1.555e-6, 1e-13)
        equal(laser.sweep_count, 1)
    with t.step("sweeps for ever are stopped"):
        laser.start_repeat()
        until(lambda: laser.sweep_count >= 2)
        laser.stop_sweep()
        equal(laser.sweep_status, SweepStatus.STOPPED)
        laser.output_enabled = False
        equal(laser.output_enabled, False)
        equal(laser.check_errors(), [])


def santec(transport):
    """Every property of TSL570."""
    with Steps("PyMeasure TSL570", "PyMeasure", "santec-tsl TSL-570", transport) as t:
        with simulator("santec-tsl", transport) as address:
            laser = TSL570(adapter(transport, address, end="\r"))
            with t.step("identity"):
                equal(laser.id.split(",")[:2], ["SANTEC", "TSL-570"])
            santec_levels(t, laser)
            santec_sweeps(t, laser)
            laser.adapter.close()


def main():
    # The library does not know whether these instruments speak SCPI and says so at each opening.
    warnings.simplefilter("ignore", FutureWarning)
    for model, transport in (("PM101", "tcp"), ("PM101", "pty"), ("PM103", "tcp"), ("PM100D", "pty"), ("PM400", "tcp")):
        meter(model, transport)
    for transport in ("tcp", "pty"):
        laser_source(transport)
        santec(transport)


main()
