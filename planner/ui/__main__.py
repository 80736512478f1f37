"""Starts the server with the first sample already under way, so that the first visitor does not
wait for imports and solver.
"""

import sys
from pathlib import Path
from threading import Thread

from planner.errors import PlannerError


def _warm() -> None:
    from planner.ui import session

    session.warm()


def main(arguments: list[str]) -> None:
    """Serve the app; ``arguments`` are Streamlit's own flags such as ``--server.port=8501``. Raises
    :class:`PlannerError`.
    """
    package = Path(__file__).resolve().parent.parent
    # a wheel carries app.py inside the package, a checkout has it beside the package
    page = next((p for p in (package / "_app.py", package.parent / "app.py") if p.is_file()), None)
    if page is None:
        raise PlannerError("app.py is missing", remedy="Reinstall the package, or run from a complete checkout")
    Thread(target=_warm, daemon=True).start()
    from streamlit.web import cli

    sys.argv = ["streamlit", "run", str(page), *arguments]
    cli.main()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PlannerError as error:
        sys.exit(str(error))
