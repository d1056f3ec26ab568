"""autosweep against the simulated multi-port meters and optical switches, through its own VISA channel on pyvisa-py."""

import os
import time

# The library asks for VISA's default backend; these tests have no vendor's.
os.environ["PYVISA_LIBRARY"] = "@py"

import pyvisa
from autosweep.instruments.optical.DiConGP600 import DiConGP600X1
from autosweep.instruments.optical.KeysightN7745C import KeysightN7745C
from harness import Steps, equal, near, simulator

POWER_W = 1e-4


def settings(t, pm, ports):
    with t.step("identity and an empty queue, by its exact text"):
        equal(pm.idn_ask_dict()["vendor"], "Keysight Technologies")
        pm.clear_errors()
        pm.assert_errors()
    with t.step("unit, wavelength, range, gain of a port"):
        for n in (1, ports):
            pm.sense_power_unit(n, "Watt")
            equal((pm.sense_power_unit_ask(n), pm.sense_power_unit_ask_str(n)), (1, "Watt"))
            pm.sense_power_wavelength_nm(1310, n)
            near(pm.sense_power_wavelength_ask_nm(n), 1310, 1e-6)
            pm.sense_power_range_auto(n, "OFF")
            equal(pm.sense_power_range_auto_ask(n), 0)
            for dbm in (10, 0, -10):
                pm.sense_power_range_dbm(n, dbm)
                equal(pm.sense_power_range_ask(n), dbm)
            near(pm.sense_power_range_ask_w(n), 2e-4, 1e-12)
            equal(pm.sense_power_gain_auto_ask(n), 1)
        pm.assert_errors()
    with t.step("wavelength of all ports at once"):
        pm.sense_power_wavelength_nm(1550)
        near(pm.sense_power_wavelength_ask_nm(2), 1550, 1e-6)
        pm.assert_errors()
    with t.step("a wrong setting is queued and told"):
        pm.com.write(":SENSE1:POWER:WAVELENGTH 3APPLES")
        try:
            pm.assert_errors()
            raise RuntimeError("no error")
        except AssertionError as told:
            assert "-131" in str(told), told


def readings(t, pm, ports):
    with t.step("readings of one port, fetched and read"):
        for n in range(1, ports + 1):
            pm.sense_power_unit(n, "WATT")
        time.sleep(0.5)
        for n in (1, 2, ports):
            near(pm.read_power(n), POWER_W, 3e-6)
            near(pm.fetch_power_ask(n), POWER_W, 3e-6)
    with t.step("all ports with one query"):
        for values in (pm.fetch_power_all(), pm.read_power_all()):
            equal(len(values), ports)
            for value in values:
                near(value, POWER_W, 3e-6)
    with t.step("a port in dBm tells its block's number in dBm"):
        pm.sense_power_unit(2, "dBm")
        time.sleep(0.5)
        values = pm.fetch_power_all()
        near(values[1], -10, 0.15)
        near(values[0], POWER_W, 3e-6)
        pm.sense_power_unit(2, "Watt")
    with t.step("free run off: a trigger of its own for each reading"):
        pm.initiate_channel_continuous(1, None, False)
        near(pm.read_power(1), POWER_W, 3e-6)
        kept = pm.fetch_power_ask(1)
        equal(pm.fetch_power_ask(1), kept)
        pm.initiate_channel_immediate(1, None)
        assert pm.fetch_power_ask(1) != kept
        pm.initiate_channel_continuous(1, None, True)
        pm.assert_errors()


def log(pm):
    """The samples of port 1, by the library's channel: its own method waits for a line after the block that never comes."""
    return pm.com.com.query_binary_values(":SENSE:FUNCTION:RESULT?", datatype="f", is_big_endian=False)


def logging(t, pm):
    with t.step("a log that one trigger starts, as the library's own example takes it"):
        pm.sense_function_state(1, "LOGGING", "STOP")
        equal(pm.sense_function_state_ask(1), ("NONE", "COMPLETE"))
        pm.trigger_input(1, "CMEASURE")
        pm.sense_power_range_auto(1, "OFF")
        pm.sense_power_range_dbm(1, -10)
        pm.sense_function_parameter_logging(1, 500, 0.001)
        pm.sense_function_state(1, "LOGGING", "START")
        pm.assert_errors()
        time.sleep(0.6)
        equal(pm.sense_function_state_ask(1), ("LOGGING_STABILITY", "PROGRESS"))
        pm.trigger_the_input()
        begin = time.monotonic()
        while pm.sense_function_state_ask_is_running(1):
            assert time.monotonic() - begin < 5
            time.sleep(0.02)
        assert time.monotonic() - begin > 0.4, time.monotonic() - begin
        data = log(pm)
        equal(len(data), 500)
        for value in data:
            near(value, POWER_W, 3e-6)
        assert len(set(data)) > 100
    with t.step("a long log is read whole, line ends in it and all"):
        pm.sense_function_state(1, "LOGGING", "STOP")
        pm.trigger_input(1, "IGN")
        pm.sense_function_parameter_logging(1, 20000, 0.00001)
        pm.sense_function_state(1, "LOGGING", "START")
        while pm.sense_function_state_ask_is_running(1):
            time.sleep(0.05)
        equal(len(log(pm)), 20000)
        pm.assert_errors()
    with t.step("the library's own reading of a log waits for a line too many, and the meter goes on"):
        try:
            pm.sense_function_result_ask()
            raise RuntimeError("a second line came")
        except pyvisa.errors.VisaIOError as error:
            equal(error.error_code, pyvisa.constants.StatusCode.error_timeout)
        pm.assert_errors()
    with t.step("trigger connectors"):
        pm.set_trigger_configuration("LOOP")
        equal(pm.ask_trigger_configuration().strip(), "LOOP")
        pm.set_trigger_configuration("1")
        equal(pm.ask_trigger_configuration().strip(), "DEF")
        pm.sense_function_state(1, "LOGGING", "STOP")
        pm.assert_errors()


def switch(t, sw):
    with t.step("opening drains the stale error and learns the size"):
        equal(sw.idn_ask_dict()["model"], "GP600")
        equal((sw.get_inputs(), sw.get_outputs(), sw.system_configuration_ask()), (4, 8, "X1"))
        equal(sw.system_error_ask(), "+0, No Error")
        sw.assert_idle()
    with t.step("inputs are connected, read back, displaced and let go"):
        sw.channels([(1, 2), (2, 5), (4, 8)])
        equal([sw.channel_ask(n) for n in sw.iter_inputs()], [2, 5, 0, 8])
        sw.channel(3, 5)
        equal(sw.channel_ask(2), 0)
        sw.channel(3, 0)
        equal(sw.channel_ask(3), 0)
    with t.step("wavelengths and saved state"):
        equal(sw.wavelengths_availible_ask(), [1310.0, 1490.0, 1550.0])
        sw.wavelength(1310)
        equal(sw.wavelength_ask(), 1310.0)
        sw.wen(True)
        equal(sw.wen_ask(), 1)
        sw.wen(False)
    with t.step("a port that is not there is refused, a reset lets all go"):
        sw.com.write("X1 CH 5 1")
        equal(sw.system_error_ask().split(",")[0], "-222")
        sw.reset()
        sw.assert_idle()


def main():
    with Steps("autosweep DiConGP600X1", "autosweep", "dicon-switch GP600", "tcp") as t:
        with simulator("dicon-switch", "tcp") as (host, port):
            sw = DiConGP600X1(f"TCPIP0::{host}::{port}::SOCKET")
            switch(t, sw)
            sw.close()
    # On a socket the library speaks CR, both ways, which these meters do not answer with.
    with Steps("autosweep KeysightN7745C", "autosweep", "keysight-pm N7745C", "pty") as t:
        with simulator("keysight-pm,model=N7745C", "pty", "--power-dbm", "-10") as address:
            pm = KeysightN7745C(f"ASRL{address}::INSTR")
            settings(t, pm, 8)
            readings(t, pm, 8)
            logging(t, pm)
            pm.close()


main()
