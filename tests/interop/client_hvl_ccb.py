"""hvl_ccb's SMC100 class against the simulated controllers, on a serial line as the library opens it."""

import logging

from harness import Steps, equal, near, simulator
from hvl_ccb.dev.newport import (
    NewportConfigCommands,
    NewportSMC100PP,
    NewportSMC100PPConfig,
    NewportSMC100PPSerialCommunication,
    NewportStates,
)
from hvl_ccb.dev.newport.newport import NewportControllerError, NewportUncertainPositionError


def controller(address, **settings):
    com = NewportSMC100PPSerialCommunication({"port": address, "timeout": 3})
    config = NewportSMC100PPConfig(
        address=1, user_position_offset=0.0, move_wait_sec=1.2, home_search_polling_interval=0.1, **settings
    )
    return com, NewportSMC100PP(com, config)


def refused(act, words):
    try:
        act()
    except NewportControllerError as error:
        assert words in str(error), error
    else:
        raise AssertionError("not refused")


def motion(t, smc):
    with t.step("homed and ready"):
        equal(smc.state, NewportStates.READY)
        near(smc.get_position(), 0, 1e-3)
    with t.step("absolute and relative moves"):
        smc.move_to_absolute_position(1.25)
        near(smc.get_position(), 1.25, 1e-3)
        equal(smc.get_state().name, "READY_FROM_MOVING")
        smc.move_to_relative_position(-0.5)
        near(smc.get_position(), 0.75, 1e-3)
        smc.go_home()
        near(smc.get_position(), 0, 1e-3)
    with t.step("a move beyond the limits is refused and nothing moves"):
        refused(lambda: smc.move_to_absolute_position(100), "Displacement out of limits")
        near(smc.get_position(), 0, 1e-3)
    with t.step("a move is seen and stopped"):
        smc.com.send_command(1, "PA", 5.0)
        while smc.get_state().state is not NewportStates.MOVING:
            pass
        refused(lambda: smc.com.send_command(1, "PA", 1.0), "not allowed in MOVING")
        smc.stop_motion(1)
        while smc.get_state().state is NewportStates.MOVING:
            pass
        assert 0 < smc.get_position() < 4.9, smc.position
        smc.stop_motion()
    with t.step("homing is allowed only once"):
        refused(smc.initialize, "not allowed in READY")
    with t.step("settings in force"):
        smc.set_negative_software_limit(-7.5)
        smc.set_positive_software_limit(8)
        smc.set_acceleration(20)
        equal((smc.get_negative_software_limit(), smc.get_positive_software_limit()), (-7.5, 8.0))
        equal(smc.get_acceleration(), 20.0)
        refused(lambda: smc.move_to_absolute_position(8.5), "Displacement out of limits")
        assert 0.4 < smc.get_move_duration(2) < 1.0
    with t.step("version"):
        assert "SMC_PP" in smc.get_controller_information()


def session():
    with Steps("hvl_ccb NewportSMC100PP", "hvl_ccb", "newport-smc SMC100PP", "pty") as t:
        with simulator("newport-smc,model=SMC100PP", "pty") as address:
            com, smc = controller(address, positive_software_limit=12, negative_software_limit=-12)
            with t.step("position is not certain before the home search"):
                com.open()
                try:
                    smc.get_position()
                    raise RuntimeError("answered")
                except NewportUncertainPositionError:
                    pass
                refused(lambda: com.send_command(1, "PA", 1.0), "not allowed in NOT REFERENCED")
                com.close()
            with t.step("start writes the configuration and homes"):
                smc.start()
                equal(smc.get_motor_configuration(), smc.config.motor_config)
                equal(len(NewportConfigCommands), 16)
            motion(t, smc)
            with t.step("reset loses home and what was not stored"):
                smc.reset()
                equal(smc.get_state().name, "NO_REF_FROM_RESET")
                equal(smc.get_positive_software_limit(), 12.0)
                smc.initialize()
                smc.wait_until_motor_initialized()
                equal(smc.state, NewportStates.READY)
            with t.step("a second start finds everything as it was left"):
                smc.stop()
                com, smc = controller(address, positive_software_limit=12, negative_software_limit=-12)
                smc.start()
                equal(smc.state, NewportStates.READY)
                smc.stop()


logging.disable(logging.CRITICAL)
session()
