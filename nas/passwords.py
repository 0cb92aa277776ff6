"""Passwords: none is ever shown. What could hold one, of a URL or of any other text, goes through here first."""

from __future__ import annotations

import re

STARS = "***"
_SECRET = r"(?:password|passwd|passphrase|pwd|secret|access_token)"
SECRET_OPTION = re.compile(rf"{_SECRET}$", re.IGNORECASE)
"""What an option of a URL is called that holds a password: password, passwd, sslpassword ..."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A password may hold spaces, quotes and further @: it ends at the last @ of its line, but at another URL at the latest.
_OF_USER = re.compile(r"(://[^:/@\s]*):(?!\*\*\*@)(?:(?!://)[^\n])*@")
# That of an option ends at the next option, or at the quote in which our messages put a value.
_OF_OPTION = re.compile(rf"({_SECRET}\s*=\s*)(?:(?!['\"](?:[;,:)\s]|$))[^&\n])+", re.IGNORECASE | re.MULTILINE)


def hidden(text: str) -> str:
    """The text without the passwords of the URLs in it. Of a URL that is known to be one, `hidden_url` finds more."""
    return _OF_OPTION.sub(rf"\1{STARS}", _OF_USER.sub(rf"\1:{STARS}@", text))


def hidden_url(url: str) -> str:
    """A URL, or what was meant to be one, without its password: whatever stands between a colon and the last @."""
    scheme = _SCHEME.match(url)
    start = scheme[0] if scheme else ""
    login, at, host = url.removeprefix(start).rpartition("@")
    user, colon, _ = login.partition(":")
    return hidden(f"{start}{user}:{STARS}@{host}" if colon and at else url)
