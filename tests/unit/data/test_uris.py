"""URIs with passwords are refused, and passwords are not shown."""

from __future__ import annotations

import pytest

from tabular_bento.data import TableSource
from tabular_bento.data.raw import fetch, fetch_file
from tabular_bento.data.uris import check_uri, scrubbed, secrets_of, shown
from tabular_bento.errors import ConfigError, SourceError
from tabular_bento.training import load_config
from tests.unit.models import PARCELS

HIDDEN = "s3cret"
WITH = [
    f"postgresql://user:{HIDDEN}@host:5432/db",
    f"postgresql://user:{HIDDEN}@host/db?sslmode=require",
    f"postgresql://host/db?user=me&password={HIDDEN}",
    f"postgresql://user:a@{HIDDEN}@host/db",
    f"postgresql://user:a/{HIDDEN}@host/db",
    f"s3://key:{HIDDEN}@bucket/rows.parquet",
    f"sftp://me:{HIDDEN}@host/rows.csv",
    f"https://host/rows.csv?X-Amz-Signature={HIDDEN}&X-Amz-Expires=5",
    f"https://host/rows.csv?access_token={HIDDEN}",
]
WITHOUT = [
    "postgresql://host:5432/db",
    "postgresql://reader@host/db?sslmode=verify-full",
    "sqlite:///orders.db",
    "s3://bucket/a:b@c/rows.parquet",
    "https://host/rows.csv?version=3",
    "package://some/rows.csv",
    "/data/user:x@y/rows.csv",
    "rows.csv",
]


@pytest.mark.parametrize("uri", WITH)
def test_a_uri_with_a_password_is_refused_wherever_it_is_given(uri: str) -> None:
    for use in (
        lambda: check_uri(uri),
        lambda: TableSource(PARCELS, uri),
        lambda: TableSource(PARCELS, "rows.csv").load(uri),
        lambda: fetch(uri, ["rows"]),
        lambda: fetch_file(uri),
    ):
        with pytest.raises(SourceError, match="the URI holds a password or a key") as error:
            use()
        assert HIDDEN not in str(error.value)
    with pytest.raises(ConfigError, match=r"source: .*the URI holds a password") as refused:
        load_config(source=uri)
    assert HIDDEN not in str(refused.value)
    assert HIDDEN not in str(refused.value.__cause__)
    assert HIDDEN not in shown(uri)
    assert any(HIDDEN in secret for secret in secrets_of(uri))


@pytest.mark.parametrize("uri", WITHOUT)
def test_a_uri_without_one_is_taken(uri: str) -> None:
    check_uri(uri)
    assert load_config(source=uri).source == uri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://reader@host:5432/db?sslmode=require", "postgresql://host:5432/db"),
        ("s3://bucket/a:b@c/rows.parquet", "s3://bucket/a:b@c/rows.parquet"),
        ("https://host/rows.csv?version=3", "https://host/rows.csv"),
        ("/data/rows.csv", "/data/rows.csv"),
    ],
)
def test_what_is_shown_of_a_uri_is_where_the_data_are(uri: str, expected: str) -> None:
    assert shown(uri) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"connection to postgresql://user:{HIDDEN}@host failed",
        f"dblink('host=x password={HIDDEN} user=y', 'SELECT 1')",
        f"PASSWORD = '{HIDDEN} with a space'",
        f'client_secret="{HIDDEN}"',
    ],
)
def test_what_looks_like_a_password_is_taken_out_of_a_text(text: str) -> None:
    assert HIDDEN not in scrubbed(text)
    assert "***" in scrubbed(text)


def test_known_secrets_are_taken_out_wherever_they_are() -> None:
    assert scrubbed("could not find host pa/ss, or pa", ["pa", "pa/ss", ""]) == "could not find host ***, or ***"
    query = "SELECT token_count FROM events WHERE token_count = 3"
    assert scrubbed(query) == query
