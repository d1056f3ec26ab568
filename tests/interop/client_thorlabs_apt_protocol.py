"""thorlabs-apt-protocol with pyserial against the simulated NanoTrak and stepper K-Cube, on a serial line."""

import socket
import struct
import time

import serial
import thorlabs_apt_protocol as apt
from harness import Steps, equal, near, simulator

UNIT, HOST = 0x50, 1
RESPONSIVITY = 0.95


class Port:
    """A stream with `read` for the unpacker, over either transport."""

    def __init__(self, transport, address):
        if transport == "tcp":
            self.socket = socket.create_connection(address, timeout=1.0)
            self.write, self.close = self.socket.sendall, self.socket.close
        else:
            port = serial.Serial(address, 115200, timeout=1.0)
            self.write, self.read, self.close = port.write, port.read, port.close

    def read(self, count):
        got = b""
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            if not more:
                break
            got += more
        return got


def asker(port):
    unpacker = apt.Unpacker(port, on_error="raise")

    def ask(request, name):
        port.write(request)
        answer = next(unpacker)
        equal(answer.msg, name)
        equal((answer.source, answer.dest), (UNIT, HOST))
        return answer

    return ask


def raw(port, request, identifier, size):
    """The data of an answer that the library has no right parser for."""
    port.write(request)
    header = port.read(6)
    equal(struct.unpack("<HHBB", header), (identifier, size, HOST | 0x80, UNIT))
    return port.read(size)


def check_nanotrak(t, port, model):
    ask = asker(port)
    with t.step("identity"):
        info = ask(apt.hw_req_info(UNIT, HOST), "hw_get_info")
        equal(info.model_number.rstrip(b"\0"), model.encode())
    with t.step("it latches at power-on, both channels ready"):
        mode = ask(apt.pz_req_ntmode(UNIT, HOST), "pz_get_ntmode")
        equal((mode.state, mode.mode), (2, 1))
        bits = ask(apt.pz_req_ntstatusbits(UNIT, HOST), "pz_get_ntstatusbits")
        equal((bits.tracking, bits.channel_a_connected, bits.channel_b_enabled), (False, True, True))
    with t.step("threshold, gain, phase, ranges"):
        port.write(apt.pz_set_nttrackthreshold(UNIT, HOST, 1e-7))
        got = ask(apt.pz_req_nttrackthreshold(UNIT, HOST), "pz_get_nttrackthreshold")
        near(got.threshold_abs_reading[0], 1e-7, 1e-13)
        port.write(apt.pz_set_ntgainparams(UNIT, HOST, 2, 900))
        equal(ask(apt.pz_req_ntgainparams(UNIT, HOST), "pz_get_ntgainparams").nt_gain_sw, 900)
        port.write(apt.pz_set_ntphasecompparams(UNIT, HOST, 2, 3, -2))
        got = ask(apt.pz_req_ntphasecompparams(UNIT, HOST), "pz_get_ntphasecompparams")
        equal((got.phase_comp_asw, got.phase_comp_bsw), (3, -2))
        port.write(apt.pz_set_nttiarangeparams(UNIT, HOST, 2, 800, 200, 4, 1, 12))
        got = ask(apt.pz_req_nttiarangeparams(UNIT, HOST), "pz_get_nttiarangeparams")
        equal((got.range_mode, got.range_up_limit, got.range_sw), (2, 800, 12))
        port.write(apt.pz_set_ntfeedbacksrc(UNIT, HOST, 1))
        equal(ask(apt.pz_req_ntfeedbacksrc(UNIT, HOST), "pz_get_ntfeedbacksrc").feedback_src, 1)
    with t.step("circle (answer 0x0620, for which the library has no parser)"):
        port.write(apt.pz_set_ntcircparams(UNIT, HOST, 1, 0x1000, 160, 0x0CCD, 0x4000, 1))
        data = raw(port, apt.pz_req_ntcircparams(UNIT, HOST), 0x0620, 12)
        equal(struct.unpack("<6H", data), (1, 0x1000, 160, 0x0CCD, 0x4000, 1))
    with t.step("readings in a range of choice and by itself"):
        time.sleep(0.2)
        for _ in range(10):
            got = ask(apt.pz_req_nttiareading(UNIT, HOST), "pz_get_nttiareading")
            near(got.abs_reading, 1e-4 * RESPONSIVITY, 4e-6)
            equal((got.range, got.under_over_read), (12, 1))
            near(got.rel_reading / 32767, got.abs_reading / 1e-4, 1e-3)
        port.write(apt.pz_set_nttiarangeparams(UNIT, HOST, 2, 800, 200, 4, 1, 9))
        time.sleep(0.2)
        got = ask(apt.pz_req_nttiareading(UNIT, HOST), "pz_get_nttiareading")
        equal((got.range, got.under_over_read, got.rel_reading), (9, 3, 32767))
        port.write(apt.pz_set_nttiarangeparams(UNIT, HOST, 1, 800, 200, 4, 1, 9))
        ask(apt.pz_req_nttiareading(UNIT, HOST), "pz_get_nttiareading")
        time.sleep(0.2)
        got = ask(apt.pz_req_nttiareading(UNIT, HOST), "pz_get_nttiareading")
        equal((got.range, got.under_over_read), (13, 1))
        near(got.abs_reading, 1e-4 * RESPONSIVITY, 4e-6)
    with t.step("the circle goes home"):
        port.write(apt.pz_set_ntcirchomepos(UNIT, HOST, 20000, 45000))
        got = ask(apt.pz_req_ntcirchomepos(UNIT, HOST), "pz_get_ntcirchomepos")
        equal((got.circ_home_pos_a, got.circ_home_pos_b), (20000, 45000))
        port.write(apt.pz_move_ntcirctohomepos(UNIT, HOST))
        data = raw(port, apt.pz_req_ntcirccentrepos(UNIT, HOST), 0x0614, 14)
        a, b, amperes, _, code, flag = struct.unpack("<HHfHHH", data)
        equal((a, b, code, flag), (20000, 45000, 13, 1))
        near(amperes, 1e-4 * RESPONSIVITY, 4e-6)
    with t.step("it tracks with signal, without signal, and latches"):
        port.write(apt.pz_set_ntmode(UNIT, HOST, 3))
        time.sleep(0.3)
        equal(ask(apt.pz_req_ntmode(UNIT, HOST), "pz_get_ntmode").state, 4)
        bits = ask(apt.pz_req_ntstatusbits(UNIT, HOST), "pz_get_ntstatusbits")
        equal((bits.tracking, bits.tracking_with_signal), (True, True))
        port.write(apt.pz_set_nttrackthreshold(UNIT, HOST, 1e-3))
        time.sleep(0.3)
        equal(ask(apt.pz_req_ntmode(UNIT, HOST), "pz_get_ntmode").state, 3)
        port.write(apt.pz_set_ntmode(UNIT, HOST, 4))
        equal(ask(apt.pz_req_ntmode(UNIT, HOST), "pz_get_ntmode").mode, 2)
        port.write(apt.pz_set_ntmode(UNIT, HOST, 2))
        equal(ask(apt.pz_req_ntmode(UNIT, HOST), "pz_get_ntmode").state, 2)
    with t.step("the status record has the fields of the list (no parser of the library is right)"):
        data = raw(port, apt.pz_req_ntstatusupdate(UNIT, HOST), 0x0665, 26)
        fields = struct.unpack("<HHHfHHHLhhh", data)
        equal((fields[2], fields[5], fields[8], fields[9], fields[10]), (0x1000, 13, 900, 3, -2))
        equal(fields[7], 0x000F0010)


def check_stepper(t, port):
    ask = asker(port)
    with t.step("status, enable state, counters"):
        status = ask(apt.mot_req_statusupdate(UNIT, HOST, 1), "mot_get_statusupdate")
        equal((status.position, status.homed, status.channel_enabled), (0, False, True))
        port.write(apt.mod_set_chanenablestate(UNIT, HOST, 1, 2))
        equal(ask(apt.mod_req_chanenablestate(UNIT, HOST, 1), "mod_get_chanenablestate").enabled, False)
        port.write(apt.mod_set_chanenablestate(UNIT, HOST, 1, 1))
        port.write(apt.mot_set_poscounter(UNIT, HOST, 1, -5000))
        near(ask(apt.mot_req_poscounter(UNIT, HOST, 1), "mot_get_poscounter").position, -5000, 6)
        port.write(apt.mot_set_enccounter(UNIT, HOST, 1, 7000))
        near(ask(apt.mot_req_enccounter(UNIT, HOST, 1), "mot_get_enccounter").encoder_count, 7000, 6)
    with t.step("a move says when it has ended, unless that is suspended"):
        port.write(apt.mot_move_absolute(UNIT, HOST, 1, 400_000))
        begin = time.monotonic()
        header = port.read(6)
        equal(struct.unpack("<HHBB", header), (0x0464, 14, HOST | 0x80, UNIT))
        near(struct.unpack("<Hll", port.read(14)[:10])[1], 400_000, 25)
        assert 0.15 < time.monotonic() - begin < 2.0
        port.write(apt.mot_suspend_endofmovemsges(UNIT, HOST))
        port.write(apt.mot_move_relative(UNIT, HOST, 1, -200_000))
        equal(port.read(1), b"")
        near(ask(apt.mot_req_poscounter(UNIT, HOST, 1), "mot_get_poscounter").position, 200_000, 35)


def main():
    for model, transport in [("KNA101", "pty"), ("BNT001", "tcp")]:
        with Steps("thorlabs-apt-protocol", "thorlabs-apt-protocol", f"thorlabs-apt {model}", transport) as t:
            with simulator(f"thorlabs-apt,model={model}", transport, "--power-dbm", "-10") as address:
                port = Port(transport, address)
                check_nanotrak(t, port, model)
                port.close()
    with Steps("thorlabs-apt-protocol", "thorlabs-apt-protocol", "thorlabs-apt KST101", "pty") as t:
        with simulator("thorlabs-apt,model=KST101", "pty") as address:
            port = Port("pty", address)
            check_stepper(t, port)
            port.close()


main()
