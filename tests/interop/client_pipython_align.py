"""PIPython against the simulated hexapod and piezo controllers: moves, coordinates, recorder and fast alignment."""

import subprocess
import sys
import time

from gcs import connect, refused
from harness import Steps, equal, near, simulator, until
from pipython import datarectools, pitools
from pipython.fastaligntools import ResultID, waitonalign

POSE = ["X", "Y", "Z", "U", "V", "W"]
PIEZO = ["1", "2", "3"]


def hexapod_startup(t, d):
    with t.step("identity, axes and units"):
        equal(d.devname, "C-887")
        equal(d.axes, POSE)
        equal(list(d.qPUN().values()), ["MM"] * 3 + ["DEG"] * 3)
        assert not d.HasVEL() and d.HasVLS() and d.HasFDR() and d.HasKSD() and not d.HasATZ()
    with t.step("no motion without reference"):
        equal(d.qFRF(), dict.fromkeys(POSE, False))
        refused(5, lambda: d.MOV("X", 0.0))
    with t.step("pitools.startup references all axes at once"):
        pitools.startup(d, refmodes=["FRF"] * 6)
        equal(d.qFRF(), dict.fromkeys(POSE, True))
        equal(d.qSVO(), dict.fromkeys(POSE, True))
        equal(d.qPOS(), dict.fromkeys(POSE, 0.0))
    with t.step("busy while it references"):
        d.FRF("X")
        assert not d.IsControllerReady()
        refused(1005, lambda: d.MOV("Y", 0.1))
        pitools.waitonreferencing(d)


def hexapod_motion(t, d):
    with t.step("six axes move as one"):
        goal = dict(zip(POSE, [0.5, -0.25, 0.125, 0.5, -0.5, 0.25]))
        d.MOV(goal)
        equal(d.qMOV(), goal)
        equal(d.qONT(), dict.fromkeys(POSE, False))
        pitools.waitontarget(d)
        for axis, at in d.qPOS().items():
            near(at, goal[axis], 1e-6)
        equal(d.IsMoving(), dict.fromkeys(POSE, False))
        d.MVR({"X": 0.5, "W": -0.25})
        pitools.waitontarget(d)
        near(d.qPOS("X")["X"], 1.0, 1e-6)
    with t.step("velocity of the system"):
        d.VLS(2.0)
        equal(d.qVLS(), 2.0)
        refused(8, lambda: d.VLS(1000))
    with t.step("what an axis can reach depends on the others"):
        low, high = d.qTMN("X")["X"], d.qTMX("X")["X"]
        assert low < -5 < 5 < high
        d.MOV(dict.fromkeys(POSE, 0.0))
        pitools.waitontarget(d)
        equal(d.qVMO("X", high - 0.01), True)
        equal(d.qVMO({"X": high - 0.01, "Z": 6.0, "V": 9.0}), False)
        refused(7, lambda: d.MOV({"X": high - 0.01, "Z": 6.0, "V": 9.0}))
        far = d.qTRA("X", 1.0)["X"]
        near(far, high, 1e-3)
    with t.step("stop and halt raise error 10"):
        d.MOV({"X": 2.0, "Y": 2.0})
        time.sleep(0.1)
        refused(10, d.StopAll)
        until(lambda: not any(d.IsMoving().values()))
        assert 0.0 < d.qPOS("X")["X"] < 2.0
        d.VLS(20.0)
        d.MOV(dict.fromkeys(POSE, 0.0))
        pitools.waitontarget(d)


def hexapod_coordinates(t, d):
    with t.step("pivot: only while nothing is turned"):
        d.SPI({"R": 1.0, "S": 2.0, "T": 3.0})
        equal(dict(d.qSPI()), {"R": 1.0, "S": 2.0, "T": 3.0})
        d.MOV("U", 0.5)
        pitools.waitontarget(d)
        refused(9, lambda: d.SPI("R", 0.0))
        d.MOV("U", 0.0)
        pitools.waitontarget(d)
        d.SPI({"R": 0.0, "S": 0.0, "T": 0.0})
    with t.step("a directed system turns the axes"):
        equal(d.qKEN(), {"PI_BASE": "KSB", "ZERO": "KSD"})
        d.KSD("turned", {"W": 90.0})
        d.KEN("TURNED")
        equal(d.qKEN(), {"PI_BASE": "KSB", "TURNED": "KSD"})
        equal(d.qKET("KSD")["KSD"], "TURNED")
        d.MOV("X", 1.0)
        pitools.waitontarget(d)
        refused(532, lambda: d.KRM("TURNED"))
        d.KEN("ZERO")
        at = d.qPOS()
        near(at["X"], 0.0, 1e-6)
        near(at["Y"], 1.0, 1e-6)
    with t.step("a system found here is zero here"):
        d.KSF("here")
        d.KEN("HERE")
        for value in d.qPOS().values():
            near(value, 0.0, 1e-6)
        d.KEN("0")
        near(d.qPOS("Y")["Y"], 1.0, 1e-6)
    with t.step("work, tool and chains"):
        d.KSW("w", {"X": 1.0})
        d.KST("t", {"Z": 50.0})
        d.KEN("W")
        d.KEN("T")
        equal(d.qKEN(), {"PI_BASE": "KSB", "W": "KSW", "T": "KST"})
        at = d.qPOS()
        near(at["X"], -1.0, 1e-6)
        near(at["Z"], 50.0, 1e-6)
        d.KEN("ZERO")
        d.KSD("a", {"X": 1.0})
        d.KSD("b", {"X": 2.0})
        d.KLN("B", "A")
        refused(533, lambda: d.KLN("A", "B"))
        equal(d.qKLN("B")["B"], "A")
        assert "Name=B\tEndCoordSys=ZERO\tX=3.0" in d.qKLT(), d.qKLT()
        assert "Name=A\tType=KSD" in d.qKLS()
        refused(530, lambda: d.KEN("NONE"))
        d.KRM("B")
        d.KRM("A")
        d.MOV(dict.fromkeys(POSE, 0.0))
        pitools.waitontarget(d)


def piezo_startup(t, d):
    with t.step("identity, axes and units"):
        equal(d.devname, "E-712")
        equal(d.axes, PIEZO)
        equal(list(d.qPUN().values()), ["UM"] * 3)
        assert d.HasATZ() and not d.HasFRF() and not d.HasRON()
        equal(d.qTPC(), 3)
    with t.step("open loop until the servo is on, no reference"):
        equal(d.qSVO(), dict.fromkeys(PIEZO, False))
        refused(5, lambda: d.MOV("1", 10.0))
    with t.step("pitools.startup with auto-zero"):
        equal(d.qATZ(), dict.fromkeys(PIEZO, False))
        pitools.startup(d, refmodes=["ATZ"] * 3)
        equal(d.qATZ(), dict.fromkeys(PIEZO, True))
        equal(d.qSVO(), dict.fromkeys(PIEZO, True))
        near(d.qPOS("1")["1"], 0.0, 0.01)
    with t.step("moves in micrometres, within the travel"):
        d.VEL(PIEZO, [5000.0] * 3)
        d.MOV({"1": 50.0, "2": 25.5, "3": 50.0})
        pitools.waitontarget(d)
        near(d.qPOS("2")["2"], 25.5, 0.005)
        refused(7, lambda: d.MOV("1", 101.0))
        near(d.qVOL("2")["2"], 25.5, 0.1)
    with t.step("there is no reference move"):
        refused(2, lambda: d.send("FRF 1"))


def lines(t, d):
    with t.step("digital and analog lines"):
        equal(dict(d.qTIO()), {"I": 4, "O": 4})
        d.DIO([1, 3], [True, False])
        refused(17, lambda: d.DIO(9, True))
        equal(d.qDIO([1, 2]), {1: False, 2: False})
        equal(d.qTAC(), 2)
        equal(sorted(d.qTAV()), [1, 2])
        near(d.qTAV(2)[2], 0.0, 2e-3)
        refused(14, lambda: d.send("SIC 7 0"))
    with t.step("inputs are shaped as routines see them"):
        d.SIC(1, 2, [1.5, 0, 0, 0, 0])
        equal(d.qTCI(1)[1], 1.5)
        equal(d.qSIC(1)[1], [2, 1.5, 0.0, 0.0, 0.0, 0.0])
        d.SIC(1, 0)
        near(d.qTCI(1)[1], d.qTAV(1)[1], 2e-3)


def recorder(t, d, axis, to):
    with t.step("recorder: what PIPython reads about it"):
        options, triggers, more = datarectools.get_hdr_options(d, return_additional_info=True)
        assert 2 in options and 150 in options and 1 in triggers and "8192 datapoints per table" in more
        equal(d.qTNR(), 8)
    with t.step("recorder: a move with commanded and actual position"):
        start = d.qPOS(axis)[axis]
        record = datarectools.Datarecorder(d)
        record.options = [1, 2]
        record.sources = [axis, axis]
        record.trigsources = datarectools.TriggerSources.POSITION_CHANGING_COMMAND_1
        record.samplerate = 4
        record.numvalues = 500
        record.arm()
        d.MOV(axis, to)
        header, data = record.getdata(timeout=20)
        equal((header["DIM"], header["NDATA"], header["SEPARATOR"]), (2, 500, 32))
        near(header["SAMPLE_TIME"], 4 * record.servotime, 1e-9)
        equal([len(column) for column in data], [500, 500])
        moved = sorted([data[1][0], data[1][-1]])
        assert min(start, to) - 0.01 <= moved[0] and moved[1] <= max(start, to) + 0.01 and moved[0] != moved[1], moved
        pitools.waitontarget(d)
    with t.step("recorder: what it refuses"):
        refused(57, lambda: d.DRC(9, axis, 2))
        refused(58, lambda: d.DRC(1, axis, 7))
        refused(59, lambda: d.DRC(1, "9", 2))


def alignment(t, d, scan, step, middle, um):
    """Area scan and gradient search over the spot of the receptacle; `um` is a micrometre in the controller's unit."""

    def home():
        d.MOV({scan: middle, step: middle})
        pitools.waitontarget(d)

    with t.step("an area scan finds the light and drives there"):
        home()
        d.FDR(1, scan, 90 * um, step, 90 * um, 0.001, 1, 20, 60 * um, None, None, 0, 1, 30, 100, 0)
        refused(7, lambda: (d.FDR(9, scan, 1e5 * um, step, 90 * um), d.FRS(9)))
        d.FRS(1)
        equal(list(d.qFRP(1).values()), [2])
        assert d.IsControllerReady()
        refused(53, lambda: d.MOV(scan, middle))
        began = time.monotonic()
        waitonalign(d, 1)
        assert 1.0 < time.monotonic() - began < 5.0
        ids = [ResultID.success, ResultID.max_value, ResultID.max_position, ResultID.scan_time]
        result = d.qFRR([1] * 4, ids)[1]
        equal(flat(result[ResultID.success]), ["1"])
        at = [float(v) for v in result[3]]
        near(d.qMOV(scan)[scan], at[0], 1e-3 * um)
        near(d.qMOV(step)[step], at[1], 1e-3 * um)
        assert d.qTCI(1)[1] > 0.02, d.qTCI(1)
        assert d.qFRR(1, 4)[1][4][:3] == ["FDR", "1", scan]
        assert "Success" in d.qFRH()
    with t.step("a gradient search climbs from beside the maximum"):
        top = d.qPOS()
        best = d.qTCI(1)[1]
        d.MVR({scan: 3 * um, step: -3 * um})
        pitools.waitontarget(d)
        below = d.qTCI(1)[1]
        assert below < 0.9 * best, (below, best)
        d.FDG(2, scan, step, 0.001, 1, 1 * um, 2 * um, 25, 10, 500 * um, 6, 0)
        d.FRS(2)
        centre = d.qFGC(2)
        equal(len(list(centre.values())[0]), 2)
        waitonalign(d, 2)
        equal(flat(d.qFRR(2, 1)[2][1]), ["1"])
        after = d.qTCI(1)[1]
        assert after > 0.97 * best, (after, best)
        near(d.qPOS(scan)[scan], top[scan], 1.5 * um)
    with t.step("stop, pause and resume"):
        d.FDG(2, scan, step, 0, 1, 1 * um, 2 * um, 25, 10, 500 * um)
        refused(608, lambda: d.FRP(2, 0))
        refused(609, lambda: d.FRP(2, 2))
        d.FRS(2)
        d.FRP(2, 1)
        equal(list(d.qFRP(2).values()), [1])
        d.FRP(2, 2)
        equal(list(d.qFRP(2).values()), [2])
        d.FRP(2, 0)
        equal(list(d.qFRP(2).values()), [0])
        d.FRS(2)
        refused(10, d.StopAll)
        equal(list(d.qFRP(2).values()), [0])
        refused(17, lambda: d.FRS(77))
    with t.step("a first-light search stops where light is"):
        home()
        d.FDL(3, scan, 90 * um, step, 90 * um, 8, 1, 1, 60, None, None, middle - 44 * um, middle - 44 * um)
        d.FRS(3)
        pitools.waitonfastalign(d, 3)
        equal(flat(d.qFRR(3, 1)[3][1]), ["1"])
        assert d.qTCI(1)[1] > 1e-3
    with t.step("coupled routines start together"):
        d.FRC(1, 3)
        equal(flat(list(d.qFRC(1).values())[0]), ["3"])
        refused(53, lambda: d.FRS(1))
        d.FRC(1, 0)
    with t.step("the recorder keeps the scan as PI's sample program reads it"):
        home()
        d.DRC([1, 2, 3], [scan, step, "1"], [2, 2, 150])
        servo = datarectools.getservotime(d)
        rate = 1 if servo > 2e-4 else 4
        d.RTR(rate)
        d.DRT(0, 1, 0)
        d.FRS(1)
        waitonalign(d, 1)
        seconds = float(flat(d.qFRR(1, 5)[1][5])[0])
        points = int(seconds / servo / rate) - 2
        until(lambda: d.qDRL(1)[1] >= points, 20)
        header = d.qDRR([1, 2, 3], 1, points)
        while d.bufstate is not True:
            time.sleep(0.01)
        data = d.bufdata
        equal((header["DIM"], len(data[2])), (3, points))
        k = max(range(points), key=lambda i: data[2][i])
        at = [float(v) for v in d.qFRR(1, 3)[1][3]]
        near(data[0][k], at[0], 6 * um)
        near(data[1][k], at[1], 6 * um)


def flat(value):
    """A value that PIPython gives alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def hexapod(transport):
    with Steps("PIPython", "PIPython", "pi-gcs2 C-887", transport) as t:
        with simulator("pi-gcs2,model=C-887", transport, "--power-dbm", "0") as address:
            with connect(transport, address) as d:
                for part in (hexapod_startup, hexapod_motion, hexapod_coordinates, lines):
                    part(t, d)
                recorder(t, d, "X", 0.5)
                alignment(t, d, "X", "Y", 0.0, 1e-3)


def piezo(transport):
    with Steps("PIPython", "PIPython", "pi-gcs2 E-712", transport) as t:
        with simulator("pi-gcs2,model=E-712", transport, "--power-dbm", "0") as address:
            with connect(transport, address) as d:
                for part in (piezo_startup, lines):
                    part(t, d)
                recorder(t, d, "1", 60.0)
                alignment(t, d, "1", "2", 50.0, 1.0)


def main():
    if len(sys.argv) > 2:
        {"hexapod": hexapod, "piezo": piezo}[sys.argv[1]](sys.argv[2])
        return
    # A process each: a recorder of PIPython asks its closed connection again when the next device connects.
    for controller in ("hexapod", "piezo"):
        for transport in ("tcp", "pty"):
            subprocess.run([sys.executable, __file__, controller, transport], check=True)


main()
