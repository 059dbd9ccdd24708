from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tabular_bento.serving.ports import free_port, report_taken, why_not
from tests.conftest import ROOT


def test_a_port_is_taken_while_something_listens_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert why_not(port) == "is in use: stop what listens there"
    assert why_not(port) is None


def test_the_command_names_each_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("0.0.0.0", 0)) as first, socket.create_server(("0.0.0.0", 0)) as second:
        ports = [str(listener.getsockname()[1]) for listener in (first, second)]
        assert report_taken([ports[0], str(free_port()), ports[1]])
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == [f"Port {port} is in use" for port in ports]
    assert all("TABULAR_BENTO_GRPC_PORT" in line for line in said)


def test_a_port_that_cannot_be_had_for_another_reason_is_reported_too() -> None:
    assert why_not(free_port(), "192.0.2.1") == "cannot be opened at 192.0.2.1: Cannot assign requested address"
    assert "cannot be opened at nowhere.invalid" in str(why_not(free_port(), "nowhere.invalid"))
    with socket.create_server(("::", 0), family=socket.AF_INET6) as listener:
        assert str(why_not(listener.getsockname()[1], "::")).startswith("is in use")


def test_the_command_is_silent_about_free_ports() -> None:
    command = [sys.executable, "-m", "tabular_bento.serving.ports", str(free_port())]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_make_serve_ends_with_a_message_where_the_port_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        command = [
            "make",
            "--old-file=.venv/.locked",
            f"PY={sys.executable}",
            "serve",
            f"PORT={port}",
            f"TABULAR_BENTO_GRPC_PORT={free_port()}",
        ]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert f"Port {port} is in use" in result.stderr
    assert "Traceback" not in result.stderr


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
