"""PIPython, the client library of Physik Instrumente, against the simulated motion controller."""

import time

from gcs import connect, refused
from harness import Steps, equal, near, simulator, until
from pipython import GCSError, gcserror, pitools

AXES = ["1", "2", "3"]


def identity(t, d):
    with t.step("identity and dialect"):
        maker, model, serial, firmware = (word.strip() for word in d.qIDN().split(","))
        assert "Physik Instrumente" in maker, maker
        equal(model, "C-884")
        assert serial and firmware.count(".") == 2
        equal(d.devname, "C-884")
        equal(d.qCSV(), 2.0)
        equal(type(d.gcsdevice).__name__, "GCS2Device")
    with t.step("axes in order"):
        equal(d.axes, AXES)
        equal(d.allaxes, AXES)
        equal(d.qSAI_ALL(), AXES)
    with t.step("every function that HLP? promises and PIPython can ask is answered"):
        for name in ("ACC", "CST", "DEC", "FRF", "LIM", "MOV", "NLM", "ONT", "PLM", "POS", "PUN", "RON", "SSL", "SVO"):
            answer = getattr(d, "q" + name)()
            equal(sorted(answer), AXES)
        for name in ("TMN", "TMX", "TRS", "VEL", "DFH"):
            assert getattr(d, "Hasq" + name)(), f"HLP? does not list {name}?"
            equal(sorted(getattr(d, "q" + name)()), AXES)
        assert "PIPython" in d.qVER() and "FW" in d.qVER()
        equal(d.qPUN()["1"], "MM")
        equal(d.qECO("echo me").strip(), "echo me")
    with t.step("switches and limits of the stages"):
        assert d.hasref("1") and d.haslim("1") and d.canfrf("1") and d.canfnl("1") and d.canfpl("1")
        for axis in AXES:
            assert d.qTMN(axis)[axis] < 0 < d.qTMX(axis)[axis]


def parameters(t, d):
    with t.step("parameters have types, and SPA? gives what the commands give"):
        help_text = d.qHPA()
        assert "0x3C=" in help_text.upper().replace("0X", "0x"), help_text
        read = d.qSPA("1", [0x15])["1"][0x15]
        equal(type(read), float)
        near(read, d.qTMX("1")["1"], 1e-6)
        equal(d.qSPA("1", 0x3C)["1"][0x3C], d.qCST("1")["1"])
        equal(d.qSPA("2", 0x32)["2"][0x32], 0)
        both = d.qSPA({"1": 0x49, "2": 0x49})
        near(both["1"][0x49], d.qVEL("1")["1"], 1e-6)
        equal(sorted(d.qSPA()), AXES)
    with t.step("SPA sets, protected and unknown ids are refused"):
        old = d.qSPA("1", 0x36)["1"][0x36]
        d.SPA("1", 0x36, old + 1)
        equal(d.qSPA("1", 0x36)["1"][0x36], old + 1)
        d.SPA("1", 0x36, old)
        refused(60, lambda: d.SPA("1", 0x0A, 5))
        refused(25, lambda: d.SPA("1", 0x36, "many"))
        refused(54, lambda: d.SPA("1", 0x7FFFFFF0, 1))
    with t.step("velocity"):
        d.VEL({"1": 1.5, "3": 0.75})
        equal((d.qVEL("1")["1"], d.qVEL("3")["3"]), (1.5, 0.75))
        refused(8, lambda: d.VEL("1", 1e6))
        equal(d.qVEL("1")["1"], 1.5)
        assert d.qACC("1")["1"] > 0 and d.qDEC("1")["1"] > 0


def before_reference(t, d):
    with t.step("no motion without servo and reference"):
        equal(d.qFRF(), dict.fromkeys(AXES, False))
        equal(d.qSVO(), dict.fromkeys(AXES, False))
        refused(5, lambda: d.MOV("1", 0.1))
        d.SVO("1", True)
        equal(d.qSVO("1")["1"], True)
        refused(5, lambda: d.MOV("1", 0.1))
        equal(d.GetError(), 0)
    with t.step("limit and reference switches end a reference move"):
        d.VEL("2", 20.0)
        d.FNL("2")
        pitools.waitonreferencing(d, "2")
        near(d.qPOS("2")["2"], d.qTMN("2")["2"], 0.001)
        equal(d.qFRF("2")["2"], True)
        d.FPL("2")
        pitools.waitonreferencing(d, "2")
        near(d.qPOS("2")["2"], d.qTMX("2")["2"], 0.001)
    with t.step("busy while referencing"):
        d.FRF("1")
        assert not d.IsControllerReady()
        refused(1005, lambda: d.MOV("2", 0))
        assert d.IsMoving("1")["1"]
        pitools.waitonreferencing(d, "1")
        assert d.IsControllerReady() and d.qFRF("1")["1"]


def startup(t, d):
    with t.step("pitools.startup references every axis"):
        stages = list(d.qCST().values())
        pitools.startup(d, stages=stages, refmodes="FRF")
        equal(d.qFRF(), dict.fromkeys(AXES, True))
        equal(d.qSVO(), dict.fromkeys(AXES, True))
        equal(d.qRON(), dict.fromkeys(AXES, True))
        pitools.waitontarget(d)
        assert all(d.qONT().values())
    with t.step("pitools.startup once more changes nothing"):
        before = d.qPOS()
        pitools.startup(d, refmodes=["FRF"] * 3)
        for axis in AXES:
            near(d.qPOS()[axis], before[axis], 1e-5)
    with t.step("pitools.startup takes other stages and refuses unknown ones"):
        stages = list(d.qCST().values())
        stages_there = [word.strip() for word in d.qVST()]
        assert stages[0] in stages_there and "NOSTAGE" in stages_there, stages_there
        refused(16, lambda: d.CST("1", "NO-SUCH-STAGE"))
        pitools.startup(d, stages=["", "", "NOSTAGE"], refmodes="FRF")
        equal((d.axes, d.allaxes, d.qCST()["3"]), (["1", "2"], AXES, "NOSTAGE"))
        refused(15, lambda: d.SVO("3", True))
        d.VEL(["1", "2"], [20.0, 20.0])
        pitools.startup(d, stages=stages, refmodes="FRF")
        equal((d.axes, d.qFRF()), (AXES, dict.fromkeys(AXES, True)))


def motion(t, d):
    with t.step("one move of several axes"):
        goal = {"1": 1.25, "2": -0.5, "3": 0.03125}
        d.VEL(AXES, [5.0, 5.0, 5.0])
        d.MOV(goal)
        equal(d.qMOV(), goal)
        pitools.waitontarget(d)
        for axis, at in d.qPOS().items():
            near(at, goal[axis], 2e-4)
        equal(d.IsMoving(), dict.fromkeys(AXES, False))
        # Two readings of a stage at rest may differ by its encoder's noise.
        at = d.qPOS()
        for axis, position in d.GetPosStatus().items():
            near(position, at[axis], 2e-5)
        d.HasPosChanged()
        equal(d.HasPosChanged(), dict.fromkeys(AXES, False))
        d.MVR("2", 0.01)
        pitools.waitontarget(d, "2")
        equal(d.HasPosChanged(), {"1": False, "2": True, "3": False})
        d.MVR("2", -0.01)
    with t.step("relative moves add to the target"):
        d.MVR({"1": 0.25, "2": -0.25})
        pitools.waitontarget(d)
        d.MVR("1", -1e-3)
        pitools.waitontarget(d)
        near(d.qMOV("1")["1"], 1.499, 1e-9)
        near(d.qPOS("2")["2"], -0.75, 2e-4)
    with t.step("not on target while moving, error 10 after HLT"):
        d.VEL("1", 0.5)
        d.MOV("1", -1.0)
        time.sleep(0.3)
        equal(d.qONT("1")["1"], False)
        equal(d.IsMoving()["1"], True)
        d.HLT("1", noraise=True)
        until(lambda: not d.IsMoving("1")["1"])
        at = d.qPOS("1")["1"]
        assert -0.9 < at < 1.499, at
        near(d.qMOV("1")["1"], at, 0.001)
        equal(d.GetError(), 0)
    with t.step("STP and #24 raise error 10"):
        d.MOV({"1": 1.0, "2": 1.0})
        time.sleep(0.05)
        refused(10, d.STP)
        until(lambda: not any(d.IsMoving().values()))
        d.MOV("2", 0.5)
        refused(10, d.StopAll)
        equal(d.GetError(), 0)
        until(lambda: not any(d.IsMoving().values()))
    with t.step("home"):
        d.VEL("1", 5.0)
        d.MOV("1", 0.4)
        pitools.waitontarget(d, "1")
        low = d.qTMN("1")["1"]
        d.DFH("1")
        near(d.qPOS("1")["1"], 0.0, 2e-4)
        near(d.qTMN("1")["1"], low - 0.4, 1e-3)
        d.MOV("1", 0.1)
        pitools.waitontarget(d, "1")
        d.GOH("1")
        pitools.waitontarget(d, "1")
        near(d.qPOS("1")["1"], 0.0, 2e-4)
        d.FRF("1")
        pitools.waitonreferencing(d, "1")
        near(d.qTMN("1")["1"], low, 1e-6)


def limits(t, d):
    with t.step("targets outside the limits are refused as a whole"):
        before = d.qMOV()
        refused(7, lambda: d.MOV({"1": 0.0, "2": 1e4}))
        equal(d.qMOV(), before)
        refused(7, lambda: d.MVR("1", -1e4))
    with t.step("soft limits"):
        d.NLM("1", -0.5)
        d.PLM("1", 0.5)
        d.SSL("1", True)
        refused(7, lambda: d.MOV("1", 0.6))
        d.MOV("1", 0.25)
        pitools.waitontarget(d, "1")
        d.SSL("1", False)
        equal((d.qNLM("1")["1"], d.qPLM("1")["1"], d.qSSL("1")["1"]), (-0.5, 0.5, False))
        d.MOV("1", 0.6)
        pitools.waitontarget(d, "1")
    with t.step("bad axes, commands and numbers have their codes"):
        refused(15, lambda: d.send("MOV 9 1"))
        refused(2, lambda: d.send("XYZ 1"))
        refused(26, lambda: d.send("MOV"))
        refused(24, lambda: d.send("MOV 1"))
        refused(25, lambda: d.send("MOV 1 one"))
        refused(22, lambda: d.send("MOV 1 0 1 0.1"))
        refused(17, lambda: d.send("SVO 1 7"))
        equal(d.GetError(), 0)
    with t.step("an unknown query is not answered, its error waits"):
        old = d.timeout
        d.timeout = 400
        try:
            d.read("QQQ?")
            raise AssertionError("answered")
        except GCSError as error:
            equal(error.val, gcserror.E_7_COM_TIMEOUT)
        finally:
            d.timeout = old
        equal(d.GetError(), 2)
    with t.step("an axis with its servo off does not move"):
        d.SVO("3", False)
        refused(5, lambda: d.MOV("3", 0.1))
        equal(d.qONT("3")["3"], False)
        pitools.waitontarget(d)
        d.SVO("3", True)
    with t.step("POS defines the position where no reference is needed"):
        refused(34, lambda: d.POS("2", 0.0))
        d.RON("2", False)
        d.POS("2", 3.0)
        near(d.qPOS("2")["2"], 3.0, 1e-3)
        near(d.qMOV("2")["2"], 3.0, 1e-3)
        d.MVR("2", 0.125)
        pitools.waitontarget(d, "2")
        near(d.qPOS("2")["2"], 3.125, 1e-3)
        d.RON("2", True)
        d.FRF("2")
        pitools.waitonreferencing(d, "2")
        near(d.qPOS("2")["2"], 0.0, 1e-3)


def many(t, d):
    with t.step("errors embedded in the same write"):
        d.embederr = True
        d.MOV("1", 0.2)
        refused(7, lambda: d.MOV("1", 1e5))
        d.embederr = False
        pitools.waitontarget(d, "1")
    with t.step("two hundred questions get two hundred answers"):
        for _ in range(200):
            near(d.qPOS("1")["1"], 0.2, 2e-4)


def again(t, transport, address):
    with t.step("a second client finds the controller as the first left it"):
        with connect(transport, address) as d:
            near(d.qPOS("1")["1"], 0.2, 2e-4)
            equal(d.qFRF(), dict.fromkeys(AXES, True))
            equal(d.GetError(), 0)
    with t.step("reboot forgets the reference"):
        with connect(transport, address) as d:
            d.RBT()
            time.sleep(0.1)
            equal(d.qFRF(), dict.fromkeys(AXES, False))
            equal(d.qSVO(), dict.fromkeys(AXES, False))


def one_axis(model, transport):
    """A controller for one axis, from power-on to a move."""
    with Steps("PIPython", "PIPython", f"pi-gcs2 {model}", transport) as t:
        with simulator(f"pi-gcs2,model={model},axes=1", transport) as address, connect(transport, address) as d:
            with t.step("identity"):
                equal((d.devname, d.axes), (model, ["1"]))
            with t.step("pitools.startup"):
                d.VEL("1", 20.0)
                pitools.startup(d, refmodes=["FNL"])
                near(d.qPOS("1")["1"], d.qTMN("1")["1"], 0.001)
            with t.step("the middle of the travel"):
                pitools.movetomiddle(d)
                pitools.waitontarget(d)
                near(d.qPOS("1")["1"], (d.qTMN("1")["1"] + d.qTMX("1")["1"]) / 2, 2e-4)
                refused(7, lambda: d.MOV("1", d.qTMX("1")["1"] + 0.001))


def main():
    for transport in ("tcp", "pty"):
        with Steps("PIPython", "PIPython", "pi-gcs2 C-884", transport) as t:
            with simulator("pi-gcs2,axes=3", transport) as address:
                with connect(transport, address) as d:
                    for part in (identity, before_reference, startup, parameters, motion, limits, many):
                        part(t, d)
                again(t, transport, address)
    one_axis("C-863", "pty")
    one_axis("C-867", "tcp")


main()
