"""A folder of files written as one thing: at any moment, whatever is
killed, it holds one whole set.

The new set is written beside the folder, flushed to disk, and put in its place by one
exchange of names (``renameat2`` with ``RENAME_EXCHANGE``: Linux 3.15; ext4, xfs, btrfs,
tmpfs, overlayfs). Where the system or file system lacks it, the old folder is moved aside and
the new one in: between these two renames the name is absent, the old set whole beside it, and
the next writer puts it back.

``manifest.json`` lists the files of a set with their SHA-256. Files of the folder that no manifest
lists belong to someone else and stay: they are hard-linked into the new set before the exchange.
Two writers each exchange a set of their own: the later one stands, never a mixture. What a killed
writer left is unlocked and cleared by the next.
"""

import ctypes
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from planner.errors import PlannerError

MANIFEST = "manifest.json"
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of linux/fs.h and fcntl.h
_LACKING = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def write_set(contents: Mapping[str, bytes], folder: str | Path) -> list[Path]:
    """Write files (name → bytes) as one set in ``folder``; returns their paths.

    An earlier set is replaced as a whole, files that it held and the new one does not are gone.
    Raises :class:`PlannerError` if the folder cannot be written, is the current folder, or holds
    folders; everything is then as it was.
    """
    folder = Path(folder)
    try:
        target = folder.resolve()
        _own(target, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(target)
        with _part(target) as part:
            _fill(part, contents)
            _keep_others(target, part)
            _put(part, target)
        return [folder / name for name in contents]
    except OSError as error:
        raise PlannerError(
            f"the files cannot be written: {error.strerror or error}",
            where=folder,
            remedy="Choose another folder",
        ) from None


def write_file(content: bytes, path: str | Path) -> Path:
    """Write one file, whole or not at all. Raises :class:`PlannerError` if it cannot be written."""
    path, part = Path(path), None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device keeps its place
            path.write_bytes(content)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{path.name}.part-", dir=path.parent)
        os.fchmod(handle, 0o666 & ~_umask())
        with open(handle, "wb") as file:
            _flush(file.fileno(), content)
        return Path(part).replace(path)
    except OSError as error:
        raise PlannerError(
            f"the file cannot be written: {error.strerror or error}",
            where=path,
            remedy="Choose another place",
        ) from None
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)


def _own(target: Path, folder: Path) -> None:
    """Raises :class:`PlannerError` where an exchange would take more along than a set of files."""
    if target == Path.cwd() or target == target.parent:
        raise PlannerError(
            "a set of files takes the place of the whole folder, and this is the current one",
            where=folder,
            remedy="Give a folder of its own",
        )
    inner = sorted(p.name for p in target.iterdir() if p.is_dir()) if target.is_dir() else []
    if inner:
        raise PlannerError(
            "a set of files takes the place of the whole folder, and this one holds folders",
            where=folder,
            got=inner[:3],
            remedy="Give a folder of its own",
        )


def _umask() -> int:
    """Permissions the process withholds; they can only be read by setting them, so
    for an instant none are.
    """
    old = os.umask(0)
    os.umask(old)
    return old


def _flush(handle: int, content: bytes) -> None:
    """Write all of a content and have the disk confirm it. Raises :class:`OSError` where
    the disk is full or fails.
    """
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
    os.fsync(handle)  # a full or failing disk says so here, not after the exchange


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """A locked folder beside the target; whatever stands under its name afterwards is removed."""
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.parent))
    handle = _locked(part)
    try:
        part.chmod(0o777 & ~_umask())
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _locked(folder: Path) -> int | None:
    """A lock on a folder that ends with the process; ``None`` if another holds it."""
    try:
        import fcntl
    except ImportError:  # a system without such locks: parts of killed writers stay
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _clear(target: Path) -> None:
    """Remove what killed writers left; put back an old set that was
    moved aside and not replaced.
    """
    aside = target.with_name(f".{target.name}.old")
    if aside.is_dir():
        if not target.exists():
            aside.rename(target)
        else:
            shutil.rmtree(aside, ignore_errors=True)
    for part in target.parent.glob(f".{_plain(target.name)}.part-*"):
        handle = _locked(part) if part.is_dir() else None
        if handle is not None:
            shutil.rmtree(part, ignore_errors=True)
            os.close(handle)


def _plain(name: str) -> str:
    """A name in which a pattern's signs stand for themselves."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _fill(part: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files of a set and their manifest into the new folder."""
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = json.dumps({"files": listed}, indent=1).encode() + b"\n"
    for name, content in {**contents, MANIFEST: manifest}.items():
        with (part / name).open("wb", buffering=0) as file:
            _flush(file.fileno(), content)


def _keep_others(target: Path, part: Path) -> None:
    """Link files of the folder that are of no set into the new one."""
    if not target.is_dir():
        return
    ours = _listed(target)
    for path in target.iterdir():
        if path.name not in ours and not (part / path.name).exists():
            _link(path, part / path.name)


def _link(path: Path, copy: Path) -> None:
    """A second name for a file, or a copy where the file system has one name only."""
    try:
        os.link(path, copy, follow_symlinks=False)
    except FileNotFoundError:  # its owner removed it
        return
    except OSError:
        shutil.copy2(path, copy, follow_symlinks=False)


def _listed(folder: Path) -> set[str]:
    """Files of the set that a folder holds; none where its manifest is missing or damaged."""
    try:
        return {*json.loads((folder / MANIFEST).read_bytes())["files"], MANIFEST}
    except (OSError, ValueError, KeyError, TypeError):
        return {MANIFEST}


def _put(part: Path, target: Path) -> None:
    """Give the new set the target's name: by exchange if something stands there, else by rename."""
    for _ in range(100):  # another writer may come or go in between
        try:
            if target.exists():
                _exchange(part, target)
            else:
                part.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST) or not part.exists():
                raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _exchange(part: Path, target: Path) -> None:
    """Swap two folders' names in one step, or in two where the system cannot."""
    if not target.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    code = _renameat2(part, target)
    if code in _LACKING:
        aside = target.with_name(f".{target.name}.old")
        target.rename(aside)
        part.rename(target)
        aside.rename(part)
    elif code:
        raise OSError(code, os.strerror(code))


def _renameat2(part: Path, target: Path) -> int:
    """Error number of the exchange; 0 when it is done, ENOSYS where the system has none."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if call is None:
        return errno.ENOSYS
    done = call(_HERE, os.fsencode(part), _HERE, os.fsencode(target), ctypes.c_uint(_EXCHANGE))
    return ctypes.get_errno() if done else 0
