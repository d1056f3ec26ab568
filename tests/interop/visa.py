"""Resources of pyvisa-py for an address of a simulated instrument."""

import contextlib

import pyvisa


def name(transport, address):
    """VISA name of a socket or a serial line."""
    return f"TCPIP0::{address[0]}::{address[1]}::SOCKET" if transport == "tcp" else f"ASRL{address}::INSTR"


@contextlib.contextmanager
def resource(transport, address, end="\n", timeout_ms=5000):
    """An open resource; `end` terminates what is written, LF what is read."""
    manager = pyvisa.ResourceManager("@py")
    instrument = manager.open_resource(name(transport, address))
    instrument.write_termination, instrument.read_termination, instrument.timeout = end, "\n", timeout_ms
    if transport == "pty":
        instrument.baud_rate = 115200
    try:
        yield instrument
    finally:
        instrument.close()
        manager.close()


def silent(instrument, text, timeout_ms=300):
    """Asks what must not be answered."""
    old, instrument.timeout = instrument.timeout, timeout_ms
    try:
        answer = instrument.query(text)
    except pyvisa.VisaIOError as error:
        assert error.error_code == pyvisa.constants.StatusCode.error_timeout, error
        return
    finally:
        instrument.timeout = old
    raise AssertionError(f"{text} was answered: {answer!r}")
