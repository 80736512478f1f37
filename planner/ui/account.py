"""Who is at the page: by OpenID Connect where the server's secrets ask for it, else as they say.

A server that holds ``[auth]`` in ``.streamlit/secrets.toml`` (and the package Authlib) lets nobody
read a page who has not signed in; without it every reader is a guest, and nothing changes.
"""

import time

import streamlit as st


def required() -> None:
    """Stop the page until its reader has signed in, where that is asked for; a sign-in that its
    provider lets expire is asked again.
    """
    if not _asked():
        return
    if st.user.get("is_logged_in") and float(st.user.get("exp") or 0) > time.time():
        with st.sidebar:
            st.button(f"Sign out {who()}", on_click=st.logout, icon=":material/logout:", width="stretch")
        return
    st.title("Capacity and cost planner")
    st.button("Sign in", on_click=st.login, icon=":material/login:")
    st.stop()


def who() -> str:
    """Name of the reader: of the one signed in, else what was last said in this session."""
    if _asked():
        return str(st.user.get("email") or st.user.get("name") or "")
    return str(st.session_state.get("who", ""))


def _asked() -> bool:
    """Whether this server wants its readers to sign in."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False
