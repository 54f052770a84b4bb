"""The layers hold, and a break fails the build: each contract of `.importlinter` that matters is broken in a copy."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("guestagent", "hostd", "protocol")
LINT = Path(sys.executable).with_name("lint-imports")

VIOLATIONS = [  # where, what is planted there, and the contract that has to name it
    ("hostd/model/world.py", "import hostd.store", "hostd in layers"),
    ("hostd/hypervisor/decode/__init__.py", "from hostd import watcher", "hostd in layers"),
    ("hostd/sampler/host.py", "from hostd import exposition", "hostd in layers"),
    ("hostd/sampler/host.py", "from hostd import watcher", "services of hostd meet in the store"),
    ("hostd/sampler/storage.py", "from hostd.sampler import domains", "hostd.sampler in layers"),
    ("hostd/sampler/domains.py", "import libvirt", "libvirt only in the hypervisor's adapter"),
    ("hostd/guests/telling.py", "from hostd.guests import session", "hostd.guests in layers"),
    ("hostd/metrics/domain.py", "from hostd.metrics import guest", "hostd.metrics in layers"),
    ("hostd/hypervisor/decode/__init__.py", "from hostd.hypervisor import calls", "hostd.hypervisor in layers"),
    ("hostd/hypervisor/decode/cpu.py", "from hostd.hypervisor.decode import perf", "hostd.hypervisor.decode in layers"),
    ("hostd/hypervisor/decode/values.py", "import libvirt", "model, metrics, decoders and protocol do no I/O"),
    ("hostd/renderer.py", "from hostd import http", "services of hostd meet in the store"),
    ("hostd/exposition/render.py", "from hostd.exposition import page", "hostd.exposition in layers"),
    ("hostd/exposition/helpers.py", "", "hostd.exposition in layers"),
    ("hostd/exposition/known.py", "import prometheus_client", "prometheus_client only in hostd's exposition"),
    ("hostd/exposition/render.py", "import logging", "model, metrics, decoders and protocol do no I/O"),
    ("hostd/helpers.py", "", "hostd in layers"),
    ("hostd/http/helpers.py", "", "hostd.http in layers"),
    ("guestagent/helpers.py", "", "guestagent in layers"),
    ("protocol/helpers.py", "", "protocol in layers"),
    ("hostd/daemon.py", "import guestagent", "hostd and guestagent know the protocol, and never each other"),
    ("guestagent/agent.py", "from hostd import model", "hostd and guestagent know the protocol, and never each other"),
    ("protocol/framing.py", "import hostd.config", "hostd and guestagent know the protocol, and never each other"),
    ("protocol/schema.py", "from protocol import messages", "protocol in layers"),
    ("guestagent/notices.py", "from guestagent import hooks", "guestagent in layers"),
    ("guestagent/report.py", "from guestagent import agent", "guestagent in layers"),
    ("hostd/daemon.py", "import libvirt", "libvirt only in the hypervisor's adapter"),
    ("hostd/hypervisor/notices.py", "import libvirt", "libvirt only in the hypervisor's adapter"),
    ("hostd/hypervisor/notices.py", "import time", "model, metrics, decoders and protocol do no I/O"),
    ("hostd/hypervisor/names.py", "import libvirt", "libvirt only in the hypervisor's adapter"),
    ("hostd/exposition/page.py", "import aiohttp", "aiohttp only in hostd.http"),
    ("hostd/http/pages.py", "import prometheus_client", "prometheus_client only in hostd's exposition"),
    ("hostd/model/domain.py", "import time", "model, metrics, decoders and protocol do no I/O"),
    ("hostd/metrics/row.py", "import asyncio", "model, metrics, decoders and protocol do no I/O"),
    ("hostd/store.py", "from hostd import history", "hostd in layers"),
    (
        "hostd/vhostmd/importing/shell.py",
        "from hostd.vhostmd.importing import carrying",
        "hostd.vhostmd.importing in layers",
    ),
    ("hostd/history/taking.py", "from hostd.history import recorder", "hostd.history in layers"),
    ("hostd/guests/session.py", "import aiosqlite", "aiosqlite only in hostd.history"),
    ("guestagent/vhostmd/values.py", "from guestagent.vhostmd import disk", "guestagent.vhostmd in layers"),
    ("guestagent/ring.py", "from guestagent import journal", "guestagent in layers"),
    ("protocol/connection.py", "import logging", "model, metrics, decoders and protocol do no I/O"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their contracts, to be broken."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / ".importlinter", tree)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """`lint-imports` over the packages in `tree`, wherever this project may be installed from."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [LINT, "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_contracts_hold() -> None:
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert " 0 broken" in linted.stdout


def test_an_unbroken_copy_holds_too(copy: Path) -> None:
    linted = lint(copy)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize(("path", "planted", "contract"), VIOLATIONS)
def test_a_break_fails_and_is_named(copy: Path, path: str, planted: str, contract: str) -> None:
    module = copy / path
    before = module.read_text() if module.exists() else None
    module.write_text((before or "") + f"\n{planted}\n")
    try:
        linted = lint(copy)
    finally:
        module.unlink() if before is None else module.write_text(before)
    assert linted.returncode != 0
    broken = [line for line in linted.stdout.splitlines() if " BROKEN" in line]
    assert any(line.startswith(contract) for line in broken), linted.stdout


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """The top-level packages that a module imports, each with whether it does so only when a function runs."""
    tree = ast.parse(path.read_text())
    lazily = {
        inner
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(function)
    }
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [node.module or ""]
        yield from ((name.partition(".")[0], node in lazily) for name in names)


@pytest.mark.parametrize("package", ["guestagent", "protocol"])
def test_the_guests_side_needs_nothing_but_python_and_msgpack(package: str) -> None:
    third_party = {
        (str(path.relative_to(ROOT)), name, is_lazy)
        for path in (ROOT / package).rglob("*.py")
        for name, is_lazy in imports_of(path)
        if name not in sys.stdlib_module_names and name not in PACKAGES
    }
    serial = {("guestagent/ports/tty.py", "serial_asyncio", True)}  # a real serial line's alone, when one is opened
    assert {entry for entry in third_party if entry[1] != "msgpack"} == (serial if package == "guestagent" else set())


def test_only_three_places_catch_whatever_may_come() -> None:
    """One in all is allowed to each boundary; the threads' hands what it catches to whoever awaits it."""
    broad = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
    ]
    assert broad == ["hostd/guests/session.py", "hostd/hypervisor/calls.py", "hostd/hypervisor/subscriptions.py"]
