"""Where what takes long to build is kept: one folder per thing, named by a hash of what it is made of.

A thing is built in a folder of its own and renamed into place when it is whole, so an interrupted build
leaves nothing that could be mistaken for one; two builders of the same thing do no harm either.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def cache_folder() -> Path:
    """Name the cache: VIRTWIRE_CACHE, or ``virtwire`` in the user's cache folder."""
    if chosen := os.environ.get("VIRTWIRE_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "virtwire"


def key(ingredients: Iterable[bytes | str]) -> str:
    """Digest what a thing is made of; each ingredient is delimited by its length."""
    digest = hashlib.sha256()
    for ingredient in ingredients:
        data = ingredient.encode() if isinstance(ingredient, str) else ingredient
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def cached(name: str, ingredients: Iterable[bytes | str], build: Callable[[Path], None]) -> Path:
    """Give the folder of a thing, built by ``build(folder)`` if the cache has none of these ingredients."""
    place = cache_folder() / f"{name}-{key(ingredients)}"
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place.parent))
    try:
        build(draft)
        draft.chmod(0o755)
        try:
            draft.rename(place)
        except OSError:
            if not place.is_dir():  # else: another builder came first, and theirs is as good
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return place
