"""Instrumental-lib's 1830-C class against the simulated meters, through pyvisa-py, as it opens resources itself."""

import os
import warnings

# The library names no VISA library and takes the usual one.
os.environ["PYVISA_LIBRARY"] = "@py"
warnings.simplefilter("ignore")

import visa  # noqa: E402
from harness import Steps, equal, near, simulator, until  # noqa: E402
from instrumental import Q_, instrument  # noqa: E402

POWER_W = 1e-4


def watts(pm):
    return pm.power.to("watt").magnitude


def settings(t, pm):
    with t.step("wavelength, filter, attenuator and hold are kept"):
        pm.wavelength = Q_(1310, "nm")
        equal(pm.wavelength.to("nm").magnitude, 1310)
        pm.wavelength = Q_(400, "nm")
        equal(pm.wavelength.to("nm").magnitude, 1310)
        for act, expected in ((pm.set_slow_filter, 1), (pm.set_no_filter, 3), (pm.set_medium_filter, 2)):
            act()
            equal(pm.get_filter(), expected)
        pm.enable_hold()
        equal(pm.hold_enabled(), True)
        pm.disable_hold()
        equal(pm.hold_enabled(), False)
    with t.step("a command refused is seen in the status"):
        equal(pm.status_byte & 3, 1)
        pm.write("X9")
        equal(pm.status_byte & 3, 3)
        pm.write("C")
        equal(pm.status_byte & 3, 0)


def readings(t, pm):
    with t.step("power in any unit that is set"):
        until(pm.is_measurement_valid)
        near(watts(pm), POWER_W, 3e-6)
        pm.set_units("db")
        equal(pm.query("U?"), "3")
        near(float(pm.query("D?")), -10, 0.2)
        near(watts(pm), POWER_W, 3e-6)
        equal(pm.query("U?"), "3")
        pm.set_units("watts")
    with t.step("ranges by hand and by themselves"):
        equal(pm.range, 4)
        pm.set_range(2)
        until(lambda: pm.status_byte & 8)
        equal(pm.is_measurement_valid(), False)
        pm.enable_auto_range()
        until(pm.is_measurement_valid)
        equal(pm.range, 4)
        near(pm.get_valid_power().to("watt").magnitude, POWER_W, 3e-6)
    with t.step("zero and reference"):
        pm.enable_zero()
        equal(pm.zero_enabled(), True)
        near(watts(pm), 0, 3e-6)
        pm.disable_zero()
        near(watts(pm), POWER_W, 3e-6)
        pm.store_reference()
        pm.set_units("rel")
        near(float(pm.query("D?")), 1, 0.03)


def session(transport, model):
    with Steps("Instrumental Newport_1830_C", "Instrumental-lib", f"newport-1830 {model}", transport) as t:
        with simulator(f"newport-1830,model={model}", transport, "--power-dbm", "-10") as address:
            pm = instrument(
                visa_address=visa.name(transport, address), classname="Newport_1830_C", module="powermeters.newport"
            )
            settings(t, pm)
            readings(t, pm)
            pm.close()


for transport, model in (("tcp", "1830-C"), ("pty", "1830-C"), ("pty", "1830-R")):
    session(transport, model)
