"""Who is at the page: by OpenID Connect where the server's secrets ask for it, else as they say.

A server that holds ``[auth]`` in ``.streamlit/secrets.toml`` (and the package Authlib) lets nobody
read a page who has not signed in; without it every reader is a guest, and nothing changes. Secrets
that are there but cannot be read might ask for it, so nobody reads a page until they are mended.
"""

import re
import time
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit import config

from planner.errors import PlannerError
from planner.ui import session
from planner.ui.session import plain

_FILES = "secrets.files"  # option of Streamlit: where secrets are looked for


def required() -> None:
    """Stop the page until its reader has signed in, where that is asked for; a sign-in that its
    provider lets expire is asked again. Secrets that cannot be read stop it for everybody.
    """
    try:
        if not _asked():
            return
    except PlannerError as error:
        st.title("Capacity and cost planner")
        session.failed(error)
        st.stop()
    if st.user.get("is_logged_in") and float(st.user.get("exp") or 0) > time.time():
        with st.sidebar:
            st.button(f"Sign out {plain(_signed_in())}", on_click=st.logout, icon=":material/logout:", width="stretch")
        return
    st.title("Capacity and cost planner")
    st.button("Sign in", on_click=st.login, icon=":material/login:")
    st.stop()


def author(cell: Any) -> str:
    """Name of who writes, shown in ``cell``: who has signed in, which nobody may change, else what
    the reader says, as last said in this session.
    """
    if _asked():
        cell.text_input("Who", value=_signed_in(), disabled=True)
        return _signed_in()
    said = cell.text_input("Who", value=st.session_state.get("who", ""), max_chars=80, placeholder="Your name")
    return str(said).strip()


def remember(author: str) -> None:
    """Offer a name again where who writes is asked next in this session."""
    st.session_state["who"] = author


def _signed_in() -> str:
    """How the provider of the sign-in names the reader."""
    return str(st.user.get("email") or st.user.get("name") or st.user.get("sub") or "")


def _asked() -> bool:
    """Whether this server wants its readers to sign in. Raises :class:`PlannerError` for secrets
    that are there, or that the server is told of, and cannot be read; of their content it says
    nothing but the line.
    """
    try:
        return "auth" in st.secrets
    except (OSError, ValueError) as error:
        files = [Path(file) for file in st.get_option(_FILES)]
        there = [file for file in files if file.exists()]
        if isinstance(error, FileNotFoundError) and not (there or config.is_manually_set(_FILES)):
            return False
        raise PlannerError(
            "nobody is let in, as the server's secrets cannot be read and may ask for a sign-in",
            where=" or ".join(map(str, there or files)),
            got=next(iter(re.findall(r"line \d+", str(error))), type(error).__name__),
            remedy="Mend the file on the server, or remove it where nobody needs to sign in, and load this page again",
        ) from None
