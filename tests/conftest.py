"""Options and fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.builders import ROOT

# a process that a test starts runs the same checkout, installed or not
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

# the same examples on every machine, however slow it is
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reference",
        default=str(ROOT.parent / "shared" / "reference"),
        help="folder with tables of known answers (optimiser, queueing, gpuperf, ...)",
    )
    parser.addoption("--renew", action="store_true", help="write documents that are made from the code anew")


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Neighbors go to one worker, which makes what they share once; a worker without work takes some
    of another's.
    """
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(scope="session")
def reference(request: pytest.FixtureRequest):
    """Path of a subfolder of the reference folder; skips the test, with the reason, where it is
    absent.
    """
    root = Path(request.config.getoption("--reference"))

    def find(name: str) -> Path:
        folder = root / name
        if not folder.is_dir():
            pytest.skip(f"no folder {name} in the reference folder given by --reference")
        return folder

    return find
