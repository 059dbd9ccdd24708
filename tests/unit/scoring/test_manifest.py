from __future__ import annotations

import json
from pathlib import Path

import pytest

from tabular_bento.errors import PackageError
from tabular_bento.scoring.manifest import FILE, INCIDENTAL, verify_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small package: two files that count, one of them in a folder, and one that tells how it was made."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.bin").write_bytes(bytes(range(256)))
    (tmp_path / "declaration.json").write_text("{}\n")
    (tmp_path / "provenance.json").write_text('{"trained_at": "today"}\n')
    write_manifest(tmp_path)
    return tmp_path


def flip(path: Path, offset: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << bit
    path.write_bytes(content)


def test_an_untouched_package_verifies_and_has_the_fingerprint_it_was_written_with(folder: Path) -> None:
    assert verify_manifest(folder) == write_manifest(folder)
    assert verify_manifest(folder) == json.loads((folder / FILE).read_text())["fingerprint"]


@pytest.mark.parametrize("bit", [0, 3, 5, 7])
def test_no_single_flipped_bit_of_the_manifest_passes(folder: Path, bit: int) -> None:
    original = (folder / FILE).read_bytes()
    for offset in range(len(original)):
        flip(folder / FILE, offset, bit)
        with pytest.raises(PackageError, match=FILE):
            verify_manifest(folder)
        (folder / FILE).write_bytes(original)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"seal": 1}', b"\xff\xfe", b'{"format": 1', b"7"])
def test_a_manifest_that_is_something_else_is_said_to_be_damaged(folder: Path, content: bytes) -> None:
    (folder / FILE).write_bytes(content)
    with pytest.raises(PackageError, match=FILE):
        verify_manifest(folder)


def test_a_manifest_with_other_whitespace_is_refused_although_it_means_the_same(folder: Path) -> None:
    (folder / FILE).write_text((folder / FILE).read_text() + " ")
    with pytest.raises(PackageError, match=r"manifest\.json is damaged"):
        verify_manifest(folder)


def test_a_missing_manifest_says_that_this_is_no_package(folder: Path) -> None:
    (folder / FILE).unlink()
    with pytest.raises(PackageError, match=r"no manifest\.json.*tabular-bento train"):
        verify_manifest(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "weights" / "model.bin").unlink()
    with pytest.raises(PackageError, match=r"weights/model\.bin is missing"):
        verify_manifest(folder)


def test_a_file_cut_short_or_emptied_is_named(folder: Path) -> None:
    path = folder / "weights" / "model.bin"
    for size in (255, 0):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(PackageError, match=r"weights/model\.bin is damaged"):
            verify_manifest(folder)


def test_an_unlisted_file_is_named_wherever_it_is(folder: Path) -> None:
    (folder / "weights" / "extra.pkl").write_bytes(b"")
    with pytest.raises(PackageError, match=r"weights/extra\.pkl is not listed"):
        verify_manifest(folder)


def test_the_fingerprint_follows_what_predictions_depend_on_and_not_when_it_was_made(folder: Path) -> None:
    before = write_manifest(folder)
    assert "provenance.json" in INCIDENTAL
    (folder / "provenance.json").write_text('{"trained_at": "tomorrow"}\n')
    assert write_manifest(folder) == before
    flip(folder / "weights" / "model.bin", 0)
    assert write_manifest(folder) != before
