"""Two devices that a guest's kernel has no driver for, driven by hand: programs for the guest's Python.

The cloud kernel has neither i6300esb nor pvpanic's ISA half, and the modules of Debian's other kernel do not fit it.
Neither program holds an apostrophe, so that each can stand between two in the guest's shell.
"""

ARM_WATCHDOG = """
import ctypes, glob, mmap
(device,) = (d for d in glob.glob("/sys/bus/pci/devices/*") if open(d + "/device").read() == "0x25ab\\n")
open(device + "/enable", "w").write("1")
config = open(device + "/config", "r+b", 0)
start = int(open(device + "/resource").read().split()[0], 16)
file = open("/dev/mem", "r+b")
memory = mmap.mmap(file.fileno(), 4096, offset=start & ~4095)
def write(register, value, kind=ctypes.c_uint16):  # at once: what is written twice locks again
    kind.from_buffer(memory, (start & 4095) + register).value = value
def unlocked(*write_this):
    write(0x0c, 0x80)
    write(0x0c, 0x86)
    write(*write_this)
config.seek(0x60)
config.write(bytes([3, 0]))
unlocked(0, 1 << 9, ctypes.c_uint32)
unlocked(4, 1 << 9, ctypes.c_uint32)
unlocked(0x0c, 0x100)
config.seek(0x68)
config.write(bytes([2]))
"""
"""Starts the watchdog i6300esb, which bites after a second or two: nobody strokes it."""

PANIC = """
import ctypes, mmap
ctypes.CDLL(None).ioperm(0x505, 1, 1)
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("89fa89f0eec3"))  # outb(port, value)
outb = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
outb(0x505, 1)
"""
"""Says to pvpanic, at its port, that the kernel has panicked; ends the domain."""
