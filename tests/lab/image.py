"""What a guest boots: a kernel and an initrd, made of Debian packages by any user, without root.

The base (Python and its libraries, busybox, a handful of kernel modules) takes seconds to build and is
kept in the cache. What changes with every commit is a small archive laid over it: init, the lab's command
server and ``guestagent.pyz``, which is all that a guest has of Virtwire: msgpack is not in the base. What the
agent needs for a serial line, and for nothing else, is there as its distribution's own package.
"""

import itertools
import lzma
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cpio
from tests.lab.cache import cached
from tests.lab.debian import Suite, system_tool, unpack
from tests.lab.processes import Argument, output_of
from tests.lab.progress import step

DEFAULT_SUITE = "bookworm"
OLDEST_SUITE = "bullseye"  # whose Python, 3.9, is the oldest that the agent promises to run on
NEWEST_SUITE = "trixie"  # whose Python, 3.13, is the newest of a stable Debian
_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[1]

_PACKAGES = ("busybox-static", "python3", "python3-serial-asyncio")
_KERNEL = "linux-image-cloud-amd64"
_MODULES = (
    "virtio_pci",
    "virtio_console",
    "virtio_balloon",
    "virtio_blk",
    "virtio_net",
    "virtio_mem",
    "vsock_loopback",
)
# Nothing in the guest reads these, and each megabyte is unpacked by an emulated CPU at every boot.
_TRIMMED = (
    "usr/share/*",
    "usr/include",
    "var",
    "etc/init.d",
    "usr/sbin",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/lib/python3.*/ensurepip",
    "usr/lib/python3.*/idlelib",
    "usr/lib/python3.*/lib2to3",
    "usr/lib/python3.*/pydoc_data",
    "usr/lib/python3.*/test",
    "usr/lib/python3.*/tkinter",
    "usr/lib/python3.*/turtle.py",
    "usr/bin/dpkg*",
    "bin/tar",
)
# A package may have its files in either place; which of the two is what the links of a whole Debian are for.
_MERGED = ("bin", "lib", "lib64", "sbin")
_FOLDERS = ("proc", "sys", "dev", "run", "tmp", "root", "usr/sbin", "usr/bin", "var/log", "mnt")

_AGENT_COMMAND = b'#!/bin/sh\nexec python3 /opt/virtwire/guestagent.pyz "$@"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The two files that a direct boot needs."""

    kernel: Path
    initrd: Path


def base_image(suite: str = DEFAULT_SUITE) -> Image:
    """Give a suite's base image, from the cache or newly built."""
    sources = [(_HERE / name).read_bytes() for name in ("image.py", "debian.py", "cpio.py")]
    folder = cached(f"guest-{suite}", [suite, *sources], lambda place: _build(suite, place))
    return Image(kernel=folder / "vmlinuz", initrd=folder / "initrd")


def assemble(suite: str, folder: Path) -> Image:
    """Lay a bootable image, with this working tree's agent in it, into a folder that QEMU's user can read."""
    base = base_image(suite)
    image = Image(kernel=folder / f"vmlinuz-{suite}", initrd=folder / f"initrd-{suite}")
    shutil.copyfile(base.kernel, image.kernel)
    shutil.copyfile(base.initrd, image.initrd)
    with image.initrd.open("ab") as initrd:
        initrd.write(cpio.archive(_overlay()))
    return image


def _overlay() -> Iterator[cpio.Entry]:
    program, folder = stat.S_IFREG | 0o755, stat.S_IFDIR | 0o755
    agent = _REPOSITORY / "guestagent.pyz"
    if not agent.exists():
        raise FileNotFoundError(f"{agent} is not there: run 'make guestagent.pyz'")
    yield cpio.Entry(path="init", mode=program, data=(_HERE / "init.sh").read_bytes())
    yield cpio.Entry(path="usr/bin/guestagent", mode=program, data=_AGENT_COMMAND)
    yield cpio.Entry(path="opt", mode=folder)
    yield cpio.Entry(path="opt/virtwire", mode=folder)
    yield cpio.Entry(path="opt/virtwire/guestagent.pyz", mode=program, data=agent.read_bytes())
    commands = (_HERE / "guest_commands.py").read_bytes()
    yield cpio.Entry(path="opt/virtwire/guest_commands.py", mode=program, data=commands)


def _build(suite_name: str, place: Path) -> None:
    with (
        step(f"building the {suite_name} guest image", about_seconds=20),
        tempfile.TemporaryDirectory(prefix=".build-", dir=place.parent) as scratch,
    ):
        suite = Suite(suite_name, Path(scratch))
        root, kernel = Path(scratch) / "root", Path(scratch) / "kernel"
        _merge_usr(root)
        _merge_usr(kernel)
        unpack(suite.closure(*_PACKAGES), root)
        _trim(root)
        _link_busybox(root)
        _compile_python(root)
        unpack([suite.alone(suite.dependency(_KERNEL, "linux-image-"))], kernel)
        _add_modules(kernel, root)
        (vmlinuz,) = kernel.glob("boot/vmlinuz-*")
        shutil.copyfile(vmlinuz, place / "vmlinuz")
        # Not compressed: an emulated CPU unpacks slower than QEMU hands it over (3.5 s to ready, gzip 3.9 s).
        (place / "initrd").write_bytes(cpio.archive(cpio.tree(root)))


def _merge_usr(root: Path) -> None:
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")


def _trim(root: Path) -> None:
    for pattern in _TRIMMED:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)


def _link_busybox(root: Path) -> None:
    for path in output_of([root / "bin/busybox", "--list-full"]).split():
        link = root / path
        if not (link.is_symlink() or link.exists()):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/bin/busybox")


def _compile_python(root: Path) -> None:
    """Compile the library with the guest's own Python, run by its own loader: any suite, no chroot, no root.

    Without .pyc files an emulated CPU takes 3.5 s for ``import asyncio``, with them 0.9 s. The sources go: a
    compiled module in their place is all that is needed, and the image is a third smaller.
    """
    (library,) = root.glob("usr/lib/python3.*")
    folders = [root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]
    loader: list[Argument] = [folders[0] / "ld-linux-x86-64.so.2", "--library-path", ":".join(map(str, folders))]
    compiling: list[Argument] = [
        "-m",
        "compileall",
        "-q",
        "-b",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        root,
        "-p",
        "/",
    ]
    python = ["env", f"PYTHONHOME={root}/usr", *loader, root / "usr/bin" / library.name]
    libraries = [library, root / "usr/lib/python3"]
    output_of([*python, *compiling, *libraries])
    for source in itertools.chain.from_iterable(folder.rglob("*.py") for folder in libraries):
        source.unlink()


def _add_modules(kernel: Path, root: Path) -> None:
    """Copy the modules we name and those they need, and index them for modprobe."""
    (source,) = kernel.glob("lib/modules/*")
    version = source.name
    output_of([system_tool("depmod"), "-b", kernel, version])
    built_in = (source / "modules.builtin").read_text().splitlines()
    needs: dict[str, list[str]] = {_module_name(path): [] for path in built_in}
    for line in (source / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        needs[_module_name(module)] = [module, *others.split()]
    target = root / "lib/modules" / version
    for module in {path for name in _MODULES for path in needs[name]}:
        placed = target / module.removesuffix(".xz")
        placed.parent.mkdir(parents=True, exist_ok=True)
        opened = lzma.open if module.endswith(".xz") else Path.open
        with opened(source / module, "rb") as packed:  # a guest would unpack it at every boot
            placed.write_bytes(packed.read())
    for index in ("modules.order", "modules.builtin"):
        shutil.copyfile(source / index, target / index)
    output_of([system_tool("depmod"), "-b", root, version])


def _module_name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")
