from __future__ import annotations

import socket

import pytest

from tabular_bento.serving.ports import free_port, report_taken


def test_ports_that_are_none_taken_or_twice_the_same_are_reported_each_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        used, free = str(taken.getsockname()[1]), str(free_port())
        assert report_taken(["3000x", "-1", "70000", used, free, free])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["3000x", "-1", "70000", used, free]
    assert all("is no port from 0 to 65535" in line for line in lines[:3])
    assert all("is in use" in line for line in lines[3:])


def test_free_ports_and_a_port_that_is_off_are_none_to_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert not report_taken([str(free_port()), "0", "0"])
    assert not capsys.readouterr().err
