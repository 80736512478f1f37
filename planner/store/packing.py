"""A scenario made self-contained: its text, the content of every file it names, and the prices it
may buy from; and back again, wherever it is opened.

Contents are kept under the SHA-256 of their plain bytes, so what two revisions share is kept once.
"""

import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pandas as pd
import yaml

from planner import columns
from planner.catalog import Catalog
from planner.catalog.snapshot import FRAMES
from planner.errors import StoreError
from planner.scenario import Scenario

FILES = "files"  # folder in which a stored scenario finds what it names
_BESIDE = ("unpriced", "set_aside")


class _Cell(NamedTuple):
    """How the cells of a kind of column are read, and what dtype holds them."""

    dtype: str
    of: Callable[[str], object]


_READ = {
    "str": _Cell("str", str),
    "float": _Cell("float64", lambda text: float(text) if text else float("nan")),
    "int": _Cell("int64", int),
    "bool": _Cell("bool", lambda text: text == "True"),
}


class Packed(NamedTuple):
    """A scenario that needs nothing around it.

    ``text``: YAML without its state, files renamed; ``files``: name in the text → SHA-256;
    ``catalog``: frame → SHA-256 of its CSV; ``blobs``: SHA-256 → compressed content.
    """

    text: str
    files: Mapping[str, str]
    catalog: Mapping[str, str]
    blobs: Mapping[str, bytes]


def pack(scenario: Scenario, catalog: Catalog) -> Packed:
    """The scenario with all it reads. Raises :class:`StoreError` for a file that cannot be read.

    Any text of the scenario that names a file, beside it or one folder up, is taken for one, so
    no reader need tell what it reads; a text that happens to be a file's name is taken too. The
    state is left out, as it belongs to the revision.
    """
    blobs: dict[str, bytes] = {}
    raw = scenario.model_dump(mode="json", exclude_defaults=True)
    raw.pop("state", None)
    named = {text: path for text in _texts(raw) if (path := _found(scenario.folder, text))}
    names = _names(named)
    files = {names[text]: _keep(blobs, _read(path)) for text, path in named.items()}
    frames = {name: _keep(blobs, _csv(getattr(catalog, name))) for name in (*FRAMES, *_BESIDE)}
    text = yaml.safe_dump(_renamed(raw, names), sort_keys=False, allow_unicode=True)
    return Packed(text, files, frames, blobs)


@contextmanager
def unpacked(text: str, state: str, files: Mapping[str, bytes]) -> Iterator[Scenario]:
    """The scenario with its files in a folder that lasts as long as the block. Raises
    :class:`StoreError` for a file name that leads out of it.

    Names come from a store that others may write, so only names directly
    in ``FILES`` are written.
    """
    with TemporaryDirectory(prefix="planner-") as place:
        for name, content in files.items():
            if PurePosixPath(name).parent != PurePosixPath(FILES):
                raise StoreError("a stored file leads out of its folder", got=name, remedy="Do not use this store")
            target = Path(place) / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)
        yield Scenario.from_yaml(text, where="stored scenario", folder=Path(place)).replace(state=state)


def catalog_of(frames: Mapping[str, bytes]) -> Catalog:
    """The prices that were kept, to the last digit."""
    return Catalog(**{name: _frame(name, frames[name]) for name in (*FRAMES, *_BESIDE)})


def compress(content: bytes) -> bytes:
    """What is written of a content."""
    return zlib.compress(content, 9)


def restore(key: str, body: bytes) -> bytes:
    """The content again. Raises :class:`StoreError` if it is not what was kept.

    >>> from hashlib import sha256
    >>> restore(sha256(b"ts,requests").hexdigest(), compress(b"ts,requests"))
    b'ts,requests'
    """
    try:
        content = zlib.decompress(body)
    except zlib.error:
        content = b""
    if sha256(content).hexdigest() != key:
        raise StoreError(
            "what is stored is not what was kept: its SHA-256 differs",
            got=key[:12],
            remedy="Take the store back from a copy",
        )
    return content


def _keep(blobs: dict[str, bytes], content: bytes) -> str:
    """Put a content among the blobs; its key is the SHA-256 of its plain bytes."""
    key = sha256(content).hexdigest()
    blobs[key] = compress(content)
    return key


def _texts(value: Any) -> Iterator[str]:
    """Every text of a scenario: any reader may name a file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _found(folder: Path | None, text: str) -> Path | None:
    """The file that a text names, looked for as the readers do: beside the scenario, or one up."""
    here = folder or Path()
    for place in (here, here.parent):
        try:
            if text and (place / text).is_file():
                return place / text
        except (OSError, ValueError):  # no name of a file: too long, or with a zero byte
            return None
    return None


def _names(named: Mapping[str, Path]) -> dict[str, str]:
    """A name of its own for each file; endings stay, as readers tell formats by them.

    >>> _names({"a/load.csv": Path("a/load.csv"), "b/load.csv": Path("b/load.csv")})
    {'a/load.csv': 'files/load.csv', 'b/load.csv': 'files/2-load.csv'}
    """
    found: dict[str, str] = {}
    for text in named:
        name, k = f"{FILES}/{Path(text).name}", 2
        while name in found.values():
            name, k = f"{FILES}/{k}-{Path(text).name}", k + 1
        found[text] = name
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A scenario's values with each text that names a file replaced by the file's stored name."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {k: _renamed(v, names) for k, v in value.items()}
    return [_renamed(v, names) for v in value] if isinstance(value, list) else value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the file cannot be read: {error.strerror or error}",
            where=path,
            remedy="Check the path",
        ) from None


def _csv(frame: pd.DataFrame) -> bytes:
    """CSV that reads back as the same frame: shortest digits that tell two floats apart."""
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _frame(name: str, content: bytes) -> pd.DataFrame:
    """The frame that :func:`_csv` wrote; every cell is read as Python reads it, exactly."""
    known = columns.dictionary()
    table = pd.read_csv(io.BytesIO(content), dtype="str", keep_default_na=False)
    for column in table.columns:
        read = _READ[known[column].dtype if column in known else "str"]
        table[column] = pd.Series([read.of(text) for text in table[column]], dtype=read.dtype, index=table.index)
    return columns.check(f"catalog.{name}", table) if name in FRAMES else table
