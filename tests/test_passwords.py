"""No password in what is shown: URLs as they should be, and as they should not."""

from __future__ import annotations

import pytest

from nas.documents.mistakes import shown
from nas.documents.text import cut
from nas.errors import ConfigError, Fault, StoreError
from nas.passwords import hidden, hidden_url

URLS = [
    "postgresql://me:s3cret@host/db",
    "postgresql://me:my s3cret@host/db",
    "postgresql://me:s3cret@s3cret@host:5432/db",
    "postgresql://me:it's s3cret@host/db",
    "postgresql://:s3cret@host/db",
    "postgresql://host/db?user=me&password=s3cret&x=1",
    "postgresql://host/db?sslpassword=my s3cret",
    "mysql://host/db?PASSWD=s3cret",
]


@pytest.mark.parametrize("url", URLS)
def test_no_text_shows_a_password(url: str) -> None:
    for text in (hidden_url(url), hidden(url), hidden(f"found '{url}'; allowed: sqlite:///a or postgresql://you@host/b"),
                 str(StoreError(f"database {url} does not answer")), str(Fault("a.yaml:1:1", "store", url, "another")),
                 str(ConfigError([Fault("--set", "", f"'{url}'", "key=value")])), shown(url), shown([url]),
                 shown({"store": url}), cut(url)):  # fmt: skip
        assert "cret" not in text, text
        assert "***" in text, text


@pytest.mark.parametrize("url", ["postgresql:me:s3cret@host", "postgresql:/me:s3cret@host", "me:a://s3cret@host",
                                 "postgresql://me:a://s3cret@host"])  # fmt: skip
def test_what_was_meant_to_be_a_url_shows_none_either(url: str) -> None:
    assert "cret" not in hidden_url(url)


def test_a_password_that_is_too_long_to_be_shown_is_not_shown_in_part() -> None:
    url = f"postgresql://me:s3cret{'x' * 100}@host/db"
    assert "s3cret" not in cut(url) + shown(url) + shown([url])


@pytest.mark.parametrize(
    "text",
    [
        "found 'mysql://host:3306/db'; allowed: a URL such as sqlite:////data/trials.sqlite or postgresql://user@host/db",
        "ray://10.0.0.1:10001",
        "sqlite:////tmp/a:b@c.sqlite",
        "set RAY_AUTH_MODE=token, and have its token",
        "space.choices.tokens.size=[1, 2]",
    ],
)
def test_what_holds_none_stays_as_it_is(text: str) -> None:
    assert hidden(text) == text
