"""Raw SCPI over pyvisa-py against the simulated power meters and laser sources: texts exactly as the makers give them."""

import time

import pyvisa
from harness import Steps, equal, near, simulator, until
from visa import resource, silent


def common(t, i, maker, model, empty):
    with t.step("identity"):
        words = i.query("*IDN?").split(",")
        equal((words[0], words[1], len(words)), (maker, model, 4))
        equal(i.query("*idn?"), i.query("*IDN?"))
    with t.step("power-on bit, then an event register that reading clears"):
        assert int(i.query("*ESR?")) & 128
        equal(int(i.query("*ESR?")), 0)
    with t.step("bad commands are silent, queue their error, set their bits"):
        equal(i.query("SYST:ERR?"), empty)
        i.write("*CLS")
        i.write("NO:SUCH 1")
        silent(i, "NO:SUCH?")
        equal(int(i.query("*STB?")) & 4, 4)
        equal(i.query("SYST:ERR?"), '-113,"Undefined header"')
        equal(i.query("SYST:ERR:NEXT?"), '-113,"Undefined header"')
        equal(i.query("SYST:ERR?"), empty)
        equal(int(i.query("*STB?")) & 4, 0)
        equal(int(i.query("*ESR?")), 32)
    with t.step("status byte sums up what is enabled"):
        i.write("*ESE 32;*SRE 32")
        equal((int(i.query("*ESE?")), int(i.query("*SRE?"))), (32, 32))
        i.write("NO:SUCH 1")
        equal(int(i.query("*STB?")) & 0x60, 0x60)
        i.write("*CLS")
        equal(int(i.query("*STB?")) & 0x60, 0)
        i.write("*ESE 0;*SRE 0")
    with t.step("*OPC sets its bit"):
        i.write("*CLS;*OPC")
        until(lambda: int(i.query("*ESR?")) & 1)
    with t.step("the error queue holds ten"):
        for _ in range(15):
            i.write("BAD:ONE")
        codes = [i.query("SYST:ERR?").split(",")[0] for _ in range(11)]
        assert all(int(code) < 0 for code in codes[:10]), codes
        equal(int(codes[10]), 0)


def meter(t, i, model):
    empty = '+0,"No error"' if model == "PM100D" else '0,"No error"'
    common(t, i, "THORLABS" if model == "PM100D" else "Thorlabs", model, empty)
    with t.step("joined commands stay in their subtree, answers are joined"):
        equal(i.query("SENS:POW:UNIT W;RANG:AUTO 1;:SENS:POW:UNIT?;RANG:AUTO?"), "W;1")
        equal(i.query("sense:average:count 7;count?;:CONF?"), "7;POW")
        i.write("AVER 1")
        equal(i.query("SYST:ERR?"), empty)
    with t.step("long, short and mixed forms, and none between"):
        for header in ("SENSe:CORRection:WAVelength", "sens:corr:wav", "SENS1:CORR:WAV", "corr:wav", ":Sens:CORRECTION:wav"):
            i.write(f"{header} 1310")
            equal(float(i.query(f"{header}?")), 1310)
        silent(i, "SENS:CORREC:WAV?")
        equal(i.query("SYST:ERR?")[:4], "-113")
    with t.step("limits, missing and wrong arguments"):
        for text, code in (
            ("SENS:CORR:WAV 10", -222),
            ("SENS:CORR:WAV", -109),
            ("SENS:CORR:WAV BLUE", -104),
            ("SENS:POW:RANG 5", -222),
            ("SENS:POW:RANG:AUTO MAYBE", -104),
            ("SENS:POW:UNIT V", -104),
            ("AVER 0", -222),
            ("AVER", -109),
            ("CONF:POW 3", -108),
        ):
            i.write(text)
            equal((text, int(i.query("SYST:ERR?").split(",")[0])), (text, code))
        equal(float(i.query("SENS:CORR:WAV?")), 1310)
    with t.step("ranges are listed, chosen by what they hold, told as they are"):
        ranges = [float(word) for word in i.query("SENS:POW:RANG? AUTO").split(",")]
        equal(ranges, sorted(ranges, reverse=True))
        for r in ranges:
            i.write(f"SENS:POW:RANG {r}")
            equal(float(i.query("SENS:POW:RANG?")), r)
        i.write(f"SENS:POW:RANG {ranges[3] * 1.01}")
        equal(float(i.query("SENS:POW:RANG?")), ranges[2])
        equal(i.query("SENS:POW:RANG:AUTO?"), "0")
        i.write("SENS:POW:RANG:AUTO 1")
    with t.step("averaging takes its time"):
        each_s = 1 / 300 if model == "PM100D" else 1e-3
        i.write("AVER 300")
        i.query("MEAS:POW?")
        begin = time.monotonic()
        near(float(i.query("READ?")), 1e-4, 2e-6)
        took = time.monotonic() - begin
        assert 300 * each_s * 0.98 <= took <= 300 * each_s + 0.2, took
        i.write("AVER 1")
    with t.step("start, wait for data ready, fetch"):
        i.write("STAT:OPER:PTR 512;NTR 0;:STAT:OPER:ENAB 512")
        i.write("AVER 200;:ABOR;:STAT:OPER?")
        i.read()
        i.write("INIT")
        equal(int(i.query("STAT:OPER:COND?")) & 16, 16)
        equal(i.query("FETC:STAT?"), "0")
        until(lambda: int(i.query("STAT:OPER?")) & 512)
        equal(i.query("FETC:STAT?"), "1")
        near(float(i.query("FETC?")), 1e-4, 2e-6)
        i.write("AVER 1;:ABOR")
        silent(i, "FETC?")
        equal(i.query("SYST:ERR?").split(",")[0], "-230")
    with t.step("zeroing takes its time and takes the light away"):
        i.write("SENS:CORR:COLL:ZERO:INIT")
        equal(i.query("SENS:CORR:COLL:ZERO:STAT?"), "1")
        until(lambda: i.query("SENS:CORR:COLL:ZERO:STAT?") == "0")
        near(float(i.query("MEAS:POW?")), 0, 2e-6)
        i.write("*RST")
        near(float(i.query("MEAS:POW?")), 1e-4, 2e-6)
    with t.step("setting and query in one burst"):
        i.write_raw(b"SENS:CORR:WAV 1500\nSENS:CORR:WAV?\nSENS:CORR:WAV 1550\nSENS:CORR:WAV?\n")
        equal((float(i.read()), float(i.read())), (1500, 1550))


def jabber(t, i):
    with t.step("jabber sends without being asked until ABOR"):
        i.write("AVER 20;:SENS:SER:JAB 1;:INIT:CONT")
        for _ in range(5):
            near(float(i.read()), 1e-4, 2e-6)
        i.write("ABOR;:SENS:SER:JAB 0;:AVER 1")
        time.sleep(0.2)
        i.flush(pyvisa.constants.BufferOperation.discard_read_buffer)
        equal(float(i.query("SENS:CORR:WAV?")), 1550)


def laser(t, i):
    common(t, i, "Keysight Technologies", "N7776C", '+0,"No error"')
    with t.step("numbers as Keysight writes them"):
        equal(i.query("SOUR0:WAV?"), "+1.31000000E-006")
        equal(i.query("SOUR0:POW:UNIT?"), "+0")
        equal(i.query("SOUR0:POW?"), "+0.00000000E+000")
        equal(i.query(":LOCK?"), "+0")
    with t.step("units with and without blank, prefix missing"):
        i.write(":WAVELENGTH 1311NM")
        equal(i.query("wav?"), "+1.31100000E-006")
        i.write("SOUR0:WAV 1.3125 UM")
        equal(i.query("SOURCE0:CHAN1:WAV:CW?"), "+1.31250000E-006")
        i.write("SOUR0:WAV 3 APPLES")
        equal(i.query("SYST:ERR?").split(",")[0], "-131")
        i.write("SOUR0:WAV 1550NM")
        equal(i.query("SYST:ERR?").split(",")[0], "-222")
    with t.step("*OPC? waits for the tuning"):
        i.query("*OPC?")
        i.write("SOUR0:WAV 1290NM")
        begin = time.monotonic()
        equal(i.query("*OPC?"), "1")
        assert time.monotonic() - begin > 0.2
    with t.step("lock keeps the laser off, wrong password is refused"):
        i.write(":LOCK 1,0000")
        assert int(i.query("SYST:ERR?").split(",")[0]) < 0
        i.write(":LOCK 1,1234")
        equal(i.query(":LOCK?"), "+1")
        i.write("SOUR0:POW:STAT 1")
        assert int(i.query("SYST:ERR?").split(",")[0]) < 0
        equal(i.query("SOUR0:POW:STAT?"), "+0")
        i.write(":LOCK 0,1234")
        i.write("OUTP0:STAT ON")
        until(lambda: i.query("OUTP0?") == "+1")
        i.write("OUTP0:STAT OFF")
        equal(i.query("SOUR0:POW:STAT?"), "+0")
    with t.step("a block with line ends inside is read whole"):
        i.write("TRIG0:OUTP STF;:SOUR0:WAV:SWE:MODE CONT;LLOG 1;STEP 0.001NM;SPE 50NM/S;STAR 1300NM;STOP 1310NM")
        equal(i.query("SOUR0:WAV:SWE:CHEC?"), "0,OK")
        i.write("SOUR0:WAV:SWE 1")
        until(lambda: i.query("SOUR0:WAV:SWE?") == "+0")
        equal(i.query("SOUR0:READ:POIN? LLOG"), "+10001")
        data = i.query_binary_values("SOUR0:READ:DATA? LLOG", datatype="d")
        equal(len(data), 10001)
        near(data[5000], 1305e-9, 1e-14)
        equal(i.query("SYST:ERR?"), '+0,"No error"')


def ports(t, i, model, count):
    """A multi-port meter: short forms, blocks, comma lists, logs in parts."""
    common(t, i, "Keysight Technologies", model, '+0,"No error"')
    with t.step("slots and channels as pairs of 16-bit numbers"):
        pairs = i.query_binary_values("READ1:POW:ALL:CONF?", datatype="H")
        equal(pairs, [n for slot in range(1, count + 1) for n in (slot, 1)])
        equal(i.query(f"SLOT{count}:EMPT?"), "+0")
        assert model in i.query(f"SLOT{count}:IDN?")
        silent(i, f"READ{count + 1}:POW?")
        equal(i.query("SYST:ERR?").split(",")[0], "-114")
    with t.step("settings with units and blanks"):
        i.write("SENS1:POW:WAV 1310.000000 nm")
        near(float(i.query("SENS1:POW:WAV?")), 1310e-9, 1e-15)
        near(float(i.query("SENS1:POW:WAV? MIN")), 1250e-9, 1e-15)
        i.write("SENS1:POW:ATIM 50MS")
        near(float(i.query("SENS1:POW:ATIM?")), 0.05, 1e-9)
        i.write("SENS1:POW:ATIM 0.02 s")
        equal(i.query("SENS1:POW:ATIM?"), "+2.00000000E-002")
        i.write("SENS1:POW:RANG -14DBM")
        equal(float(i.query("SENS1:POW:RANG?")), -10)
        equal(i.query("SENS1:POW:RANG:AUTO?"), "+0")
        equal(i.query("*OPC?"), "1")
    with t.step("all ports as a block and as a list"):
        i.write(";:".join(f"SENS{n}:POW:UNIT 1" for n in range(1, count + 1)))
        equal(i.query("SENS:POW:UNIT:ALL:CSV?"), ",".join("1" * count))
        time.sleep(0.5)
        block = i.query_binary_values("FETC1:POW:ALL?", datatype="f")
        words = [float(word) for word in i.query("FETC1:POW:ALL:CSV?").split(",")]
        equal((len(block), len(words)), (count, count))
        for value in block + words:
            near(value, 1e-4, 3e-6)
    with t.step("over range is the largest 32-bit number"):
        i.write("SENS2:POW:RANG:AUTO 0;:SENS2:POW:RANG -30DBM")
        time.sleep(0.5)
        equal(i.query("READ2:POW?"), "+3.40282E+038")
        assert i.query_binary_values("READ:POW:ALL?", datatype="f")[1] > 1e38
        i.write("SENS2:POW:RANG:AUTO 1")
    with t.step("a log read in parts and whole"):
        i.write("SENS1:FUNC:STAT LOGG,STOP;:TRIG1:INP IGN;:SENS1:FUNC:PAR:LOGG 4096,100US;:SENS1:FUNC:STAT LOGG,STAR")
        until(lambda: i.query("SENS1:FUNC:STAT?") == "LOGGING_STABILITY,COMPLETE")
        whole = i.query_binary_values("SENS3:FUNC:RES?", datatype="f")
        equal(len(whole), 4096)
        part = i.query_binary_values("SENS3:FUNC:RES:BLOC? 1000,96", datatype="f")
        equal(part, whole[1000:1096])
        i.write("SENS1:FUNC:STAT LOGG,STOP")
    with t.step("zeroing takes seconds and is waited for"):
        begin = time.monotonic()
        i.write("SENS1:CORR:COLL:ZERO")
        i.timeout = 10000
        equal(i.query("SENS1:CORR:COLL:ZERO?"), "+0")
        assert time.monotonic() - begin > 2
        equal(i.query("SYST:ERR?"), '+0,"No error"')


def main():
    for model, count, transport in (("N7744A", 4, "tcp"), ("N7745A", 8, "pty")):
        with Steps("PyVISA-py", "PyVISA-py", f"keysight-pm {model}", transport) as t:
            with simulator(f"keysight-pm,model={model}", transport, "--power-dbm", "-10") as address:
                with resource(transport, address) as i:
                    ports(t, i, model, count)
    for model, transport in (("PM101", "tcp"), ("PM101", "pty"), ("PM103", "tcp"), ("PM100D", "pty"), ("PM400", "pty")):
        with Steps("PyVISA-py", "PyVISA-py", f"thorlabs-pm {model}", transport) as t:
            with simulator(f"thorlabs-pm,model={model}", transport, "--power-dbm", "-10") as address:
                with resource(transport, address) as i:
                    meter(t, i, model)
                    if model in ("PM101", "PM103"):
                        jabber(t, i)
    for transport in ("tcp", "pty"):
        with Steps("PyVISA-py", "PyVISA-py", "keysight-laser N7776C", transport) as t:
            with simulator("keysight-laser", transport) as address:
                with resource(transport, address) as i:
                    laser(t, i)


main()
