"""Devices of PIPython for an address of a simulated controller, and its refusals."""

from harness import equal
from pipython import GCSDevice, GCSError
from pipython.pidevice.interfaces.piserial import PISerial
from pipython.pidevice.interfaces.pisocket import PISocket


def connect(transport, address):
    """A device over an address, connected by the method its users call."""
    if transport == "tcp":
        device = GCSDevice(gateway=PISocket(*address, autoconnect=False))
        device.ConnectTCPIP(*address)
    else:
        device = GCSDevice(gateway=PISerial(address, 115200, autoconnect=False))
        device.ConnectRS232(address, 115200)
    return device


def refused(code, act):
    """The controller refuses with exactly this error, and has no other one pending."""
    try:
        act()
    except GCSError as error:
        equal(error.val, code)
        return
    raise AssertionError(f"not refused; expected error {code}")
