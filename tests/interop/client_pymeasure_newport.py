"""PyMeasure's ESP300 class against the simulated controllers, through its own VISA adapter on pyvisa-py."""

import warnings

import visa
from harness import Steps, equal, near, simulator, until
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments.newport import ESP300


def adapter(transport, address):
    options = {"read_termination": "\r\n", "write_termination": "\r", "timeout": 5000}
    if transport == "pty":
        options["baud_rate"] = 19200
    return VISAAdapter(visa.name(transport, address), visa_library="@py", **options)


def settings(t, esp):
    with t.step("power, unit and limits"):
        equal((esp.x.enabled, esp.y.enabled), (False, False))
        esp.x.enable()
        equal((esp.x.enabled, esp.y.enabled), (True, False))
        equal(esp.x.units, "millimeter")
        esp.x.left_limit = -5
        esp.x.right_limit = 5.5
        equal((esp.x.left_limit, esp.x.right_limit), (-5, 5.5))
        esp.x.units = "micrometer"
        equal((esp.x.units, esp.x.right_limit), ("micrometer", 5500))
        esp.x.units = "millimeter"
        equal(esp.errors, [])


def motion(t, esp):
    with t.step("home search"):
        esp.x.home()
        until(lambda: not esp.x.motion_done)
        esp.x.wait_for_stop()
        equal(esp.x.motion_done, True)
        near(esp.x.position, 0, 1e-3)
    with t.step("moves"):
        esp.x.position = 1.25
        esp.x.wait_for_stop(0.1)
        near(esp.x.position, 1.25, 1e-3)
        esp.x.write("PR-0.5")
        esp.x.wait_for_stop(0.1)
        near(esp.x.position, 0.75, 1e-3)
        equal(esp.errors, [])
    with t.step("a move is seen and stopped"):
        esp.x.position = -5
        until(lambda: not esp.x.motion_done)
        esp.x.write("ST")
        esp.x.wait_for_stop(0.1)
        assert -4.9 < esp.x.position < 0.75
    with t.step("the present position is called another"):
        esp.x.define_position(2)
        near(esp.x.position, 2, 1e-3)
        esp.x.zero()
        near(esp.x.position, 0, 1e-3)


def errors(t, esp):
    with t.step("errors of axes and others, in their order"):
        esp.x.position = 1000
        esp.x.position = -1000
        esp.y.position = 0
        esp.write("1ZZ")
        esp.write("9PA0")
        esp.write("PA1")
        esp.write("1PA")
        told = [(getattr(e, "axis", None), e.error, e.message) for e in esp.errors]
        equal(told[0], ("1", "06", "POSITIVE SOFTWARE LIMIT DETECTED"))
        equal(told[1], ("1", "07", "NEGATIVE SOFTWARE LIMIT DETECTED"))
        equal(told[2], ("2", "13", "MOTOR NOT ENABLED"))
        equal([e for _, e, _ in told[3:]], ["6", "9", "37", "38"])
        equal(esp.error, 0)
    with t.step("the queue holds ten"):
        for _ in range(20):
            esp.write("1ZZ")
        equal(len(esp.errors), 10)
        esp.write("1ZZ")
        esp.clear_errors()
        equal(esp.error, 0)


def session(model, transport):
    with Steps("PyMeasure ESP300", "PyMeasure", f"newport-esp {model}", transport) as t:
        with simulator(f"newport-esp,model={model}", transport) as address:
            esp = ESP300(adapter(transport, address))
            settings(t, esp)
            motion(t, esp)
            errors(t, esp)
            with t.step("power off"):
                esp.x.disable()
                equal(esp.x.enabled, False)
                esp.x.position = 0
                equal([e.error for e in esp.errors], ["13"])
            esp.adapter.close()


def main():
    # The library does not know whether this instrument speaks SCPI and says so at each opening.
    warnings.simplefilter("ignore", FutureWarning)
    for model, transport in (("ESP301", "tcp"), ("ESP301", "pty"), ("ESP300", "pty")):
        session(model, transport)


main()
