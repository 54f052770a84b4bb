"""The programs of `packaging/`, which is no package, as modules for tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


def program(name: str) -> ModuleType:
    """That program, loaded anew."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_fresh(page: str, name: str) -> bool:
    """Whether the page in `docs/` is what the program would write."""
    written: str = program(name).text()
    return (ROOT / "docs" / page).read_text(encoding="utf-8") == written
