"""QuTech's QMI drivers against the simulated instruments: lasers, one-axis controllers, motor controllers, power meters."""

import time

from harness import Steps, equal, near, simulator, until
from qmi.core.context import QMI_Context
from qmi.core.exceptions import QMI_InstrumentException
from qmi.instruments.newport.actuators import CMA25CCL, TRB6CC, UTS100PP
from qmi.instruments.newport.conex_cc import Newport_ConexCC
from qmi.instruments.newport.smc_100cc import ControlLoopState, Newport_SMC100CC
from qmi.instruments.newport.smc_100pp import Newport_SMC100PP
from qmi.instruments.santec.tsl_570 import Santec_Tsl570
from qmi.instruments.thorlabs.kdc101 import Thorlabs_Kdc101
from qmi.instruments.thorlabs.pm100d import Thorlabs_PM100D


def opened(context, kind, *arguments):
    device = kind(context, "device", *arguments)
    device.open()
    return device


def refused(call, *arguments):
    try:
        call(*arguments)
    except QMI_InstrumentException as error:
        return str(error)
    raise AssertionError("not refused")


def laser(context, transport):
    with Steps("QMI Santec_Tsl570", "qmi", "santec-tsl TSL-570", transport) as t:
        with simulator("santec-tsl,model=TSL-570", transport) as address:
            where = "tcp:{}:{}".format(*address) if transport == "tcp" else f"serial:{address}:baudrate=115200"
            device = opened(context, Santec_Tsl570, where)
            with t.step("identity and ranges"):
                equal(device.get_idn().model, "TSL-570")
                equal((device.get_minimum_wavelength(), device.get_maximum_wavelength()), (1480.0, 1640.0))
                near(device.get_maximum_frequency(), 202.5625, 1e-3)
                near(device.get_minimum_frequency(), 182.8003, 1e-3)
                equal(device.get_errors(), [])
            with t.step("wavelength, frequency, fine tuning"):
                device.set_wavelength(1550.1234)
                near(device.get_wavelength(), 1550.1234, 1e-4)
                device.set_frequency(193.4)
                near(device.get_frequency(), 193.4, 1e-5)
                device.set_wavelength_fine(-12.5)
                near(device.get_wavelength_fine(), -12.5, 1e-3)
                device.disable_finetuning_operation()
                device.set_wavelength_unit_to_thz()
                equal(device.get_wavelength_unit(), "THz")
                device.set_wavelength_unit_to_nm()
                equal(device.get_wavelength_unit(), "nm")
            with t.step("power and coherence"):
                device.set_optical_output_status(True)
                equal(device.get_optical_output_status(), "ON")
                device.set_power_level_unit_to_mw()
                device.set_power_level(2.0)
                near(device.get_power_level(), 2.0, 1e-3)
                device.set_power_level_unit_to_dbm()
                near(device.get_power_level(), 3.01, 0.01)
                near(device.get_actual_power(), 3.01, 0.01)
                device.set_coherence_control_status(True)
                equal(device.get_coherence_control_status(), "ON")
            with t.step("a sweep, triggered by software, logs its wavelengths"):
                device.set_sweep_start_wavelength(1540.0)
                device.set_sweep_stop_wavelength(1541.0)
                device.set_sweep_mode(1)
                device.set_sweep_speed(50)
                device.set_sweep_delay(0.2)
                device.set_sweep_cycles(1)
                device.set_trigger_output_timing_mode(3)
                device.set_trigger_output_period_mode(1)
                device.set_trigger_output_step(0.01)
                device._scpi_protocol.write(":TRIG:INP:STAN 1")  # which this client has no call for
                device.set_sweep_state(1)
                equal(device.get_sweep_state(), 3)
                device.issue_soft_trigger()
                until(lambda: device.get_sweep_state() == 0)
                equal(device.readout_points(), 101)
                data = device.readout_data()
                equal(len(data), 101)
                near(data[0], 1540.0, 1e-4)
                near(data[100], 1541.0, 1e-4)
            with t.step("what is out of range is refused, and the error goes with its reading"):
                equal("Execution error" in refused(device.issue_soft_trigger), True)
                device._scpi_protocol.write(":WAV 900")
                equal(device.get_errors(), ["Data out of range"])
                equal(device.get_errors(), [])
            device.close()


def configured(t, device, model, negative):
    """What can be asked and set of any of the three."""
    with t.step("identity and state"):
        if model == "CONEX-CC":
            equal(device.get_idn().model, "CONEX-CC")
        errors, state = device.get_positioner_error_and_state()
        equal((errors, state.startswith("NOT REFERENCED")), ([], True))
        equal(device.is_in_configuration_state(), False)
    with t.step("settings are read and stored in the configuration state"):
        near(device.get_negative_software_limit(), negative, 1e-6)
        device.set_home_search_timeout(20.0)
        near(device.get_home_search_timeout(), 20.0, 1e-6)
        equal(device.get_home_search_type(), 2)
        equal(device.get_hysteresis_compensation() > 0, True)
    with t.step("inputs and outputs"):
        equal(device.get_ttl_input_value(), 0)
        device.set_ttl_output_value(5)
        equal(device.get_ttl_output_value(), 5)
        near(device.get_analog_input_value(), 0, 1e-6)
    with t.step("no move without a home"):
        equal("NOT REFERENCED" in refused(device.move_absolute, 1.0), True)
    with t.step("home search"):
        device.home_search()
        until(lambda: device.get_positioner_error_and_state()[1] == "READY from HOMING.", timeout_s=30)
        near(device.get_position(), 0, 1e-3)
    with t.step("moves, in the time told"):
        device.set_velocity(0.2)
        near(device.get_velocity(), 0.2, 1e-6)
        device.set_acceleration(8.0)
        takes = device.get_motion_time(0.5)
        device.move_absolute(0.5)
        until(lambda: device.get_positioner_error_and_state()[1] == "READY from MOVING.", timeout_s=30)
        near(device.get_position(), 0.5, 1e-3)
        assert 2.5 < takes < 2.7, takes
        device.move_relative(-0.2)
        until(lambda: device.get_positioner_error_and_state()[1] == "READY from MOVING.", timeout_s=30)
        near(device.get_position(), 0.3, 1e-3)
        near(device.get_setpoint(), 0.3, 1e-3)
    with t.step("a move is stopped"):
        device.move_absolute(5.0)
        time.sleep(0.3)
        device.stop_motion()
        until(lambda: device.get_positioner_error_and_state()[1] == "READY from MOVING.")
        assert 0.3 < device.get_position() < 4.0


def axis(context, kind, model, actuator):
    # The client sleeps this long after each command; the simulated controller stores its settings in 2 s.
    kind.COMMAND_EXEC_TIME, kind.PW0_EXEC_TIME = 0.02, 2.2
    with Steps(f"QMI {kind.__name__}", "qmi", f"newport-smc {model}", "pty") as t:
        with simulator(f"newport-smc,model={model}", "pty") as address:
            where = f"serial:{address}:baudrate=57600"
            device = opened(context, kind, where, "SIM", {1: actuator})
            if kind is Newport_SMC100PP:
                with t.step("the stepper's own"):
                    near(device.get_micro_step_per_full_step_factor(), 100.0, 1e-6)
                    near(device.get_motion_distance_per_full_step(), 0.01, 1e-6)
                    near(device.get_base_velocity(), 0.0, 1e-6)
            configured(t, device, model, -12.5)
            if kind is Newport_SMC100CC:
                with t.step("the servo's own, which it resets the controller for"):
                    kind.COMMAND_EXEC_TIME = 0.5
                    equal(device.get_control_loop_state(), ControlLoopState.CLOSED)
                    near(device.get_driver_voltage(), 48.0, 1e-6)
                    near(device.get_following_error_limit(), 1.0, 1e-6)
                    near(device.get_low_pass_filter_cutoff_frequency(), 1000.0, 1e-6)
                    near(device.get_friction_compensation(), 0.0, 1e-6)
                    near(device.get_velocity_feed_forward(), 0.0, 1e-6)
            device.close()


def motor(context):
    # Time after which the client looks whether an answer has come.
    Thorlabs_Kdc101.RESPONSE_TIMEOUT = 0.1
    with Steps("QMI Thorlabs_Kdc101", "qmi", "thorlabs-apt KDC101", "pty") as t:
        with simulator("thorlabs-apt,model=KDC101", "pty") as address:
            device = opened(context, Thorlabs_Kdc101, f"serial:{address}", "Z925")
            with t.step("identity and state"):
                equal(device.get_idn().model, "KDC101")
                device.identify()
                device.set_chan_enable_state(True)
                equal(device.get_chan_enable_state(), True)
                equal(device.get_motor_status().homed, False)
            with t.step("settings"):
                device.set_velocity(2.0)
                near(device.get_velocity(), 2.0, 1e-3)
                device.set_acceleration(2.0)
                near(device.get_acceleration(), 2.0, 1e-3)
                device.set_backlash_distance(0.01)
                near(device.get_backlash_distance(), 0.01, 1e-4)
            with t.step("home search"):
                device.move_home()
                device.wait_move_complete(30.0)
                equal(device.get_motor_status().homed, True)
                near(device.get_absolute_position(), 0, 1e-3)
            with t.step("moves"):
                device.move_absolute(1.5)
                # It asks at once whether the motor moves, which idles for a moment first.
                time.sleep(0.2)
                device.wait_move_complete(10.0)
                near(device.get_absolute_position(), 1.5, 1e-3)
                device.move_relative(-0.5)
                time.sleep(0.2)
                device.wait_move_complete(10.0)
                near(device.get_absolute_position(), 1.0, 1e-3)
            with t.step("a move is stopped"):
                device.move_absolute(10.0)
                time.sleep(0.3)
                device.move_stop(True)
                until(lambda: not device.get_motor_status().moving_forward)
                assert 1.0 < device.get_absolute_position() < 9.0
            device.close()


def meter(context):
    with Steps("QMI Thorlabs_PM100D", "qmi", "thorlabs-pm PM100D", "tcp") as t:
        with simulator("thorlabs-pm,model=PM100D", "tcp") as (host, port):
            device = opened(context, Thorlabs_PM100D, f"tcp:{host}:{port}")
            with t.step("identity and sensor"):
                equal(device.get_idn().model, "PM100D")
                assert device.get_sensor_info().name
            with t.step("settings"):
                device.reset()
                device.set_wavelength(1310.0)
                near(device.get_wavelength(), 1310.0, 1e-6)
                device.set_range(0.001)
                assert device.get_range() >= 0.001
                equal(device.get_autorange(), False)
                device.set_autorange(True)
            with t.step("readings"):
                near(device.get_power(), device.get_timestamped_power()[1], 1e-6)
                assert device.get_current() > 0
            device.close()


def main():
    context = QMI_Context("interop")
    context.start()
    for transport in ("tcp", "pty"):
        laser(context, transport)
    axis(context, Newport_SMC100CC, "SMC100CC", CMA25CCL)
    axis(context, Newport_SMC100PP, "SMC100PP", UTS100PP)
    axis(context, Newport_ConexCC, "CONEX-CC", TRB6CC)
    motor(context)
    meter(context)
    context.stop()


main()
