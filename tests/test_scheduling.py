"""What the tests are run by: the order of their files, and the process that forks commands."""

from __future__ import annotations

import sys
from pathlib import Path

from tests import scheduling
from tests.models import ROOT, run_command


def test_the_files_that_begin_are_there() -> None:
    assert [name for name in scheduling.LONG if not (ROOT / name).exists()] == []
    assert scheduling.scope_of("tests/integration/container/test_image.py::test_it[a::b]") == scheduling.TOGETHER[0]
    assert scheduling.scope_of("tests/flights/test_demo.py::test_it[a::b]") == "tests/flights/test_demo.py"


def test_a_forked_command_is_like_one_of_a_new_interpreter(tmp_path: Path) -> None:
    """Module, arguments, folder, environment, output and exit code; and nothing of this repository is imported yet."""
    (tmp_path / "given.py").write_text(
        "import os, sys, warnings\n"
        "ours = sorted(name for name in sys.modules if name.split('.')[0] in ('tabular_bento', 'features', 'tests'))\n"
        "print(__name__, sys.argv[1:], os.getcwd(), os.environ['GIVEN'], sys.path[:2], ours, sys.stdin.read())\n"
        "print('wrong', file=sys.stderr)\n"
        "warnings.warn('old', DeprecationWarning)\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    for code in ("0", "7"):
        found = [
            run_command(code, "b c", module="given", cwd=tmp_path, alone=alone, GIVEN="x", PYTHONPATH=str(ROOT))
            for alone in (False, True)
        ]
        forked, new = ((one.args, one.returncode, one.stdout, one.stderr) for one in found)
        assert forked == new
        assert found[0].returncode == int(code)
        assert "wrong\n" in found[0].stderr


def test_a_forked_command_that_fails_prints_its_traceback_and_one_that_is_killed_says_so(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("raise ValueError('no good')\n")
    failed = run_command(module="fails", cwd=tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.rstrip().endswith("ValueError: no good")
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert run_command(module="killed", cwd=tmp_path).returncode == -9


def test_what_a_forked_command_runs_is_forked_if_it_is_of_the_library_and_else_the_interpreter_s(
    tmp_path: Path,
) -> None:
    (tmp_path / "outer.py").write_text(
        "import subprocess, sys\n"
        "code = 'import sys; print(sys.executable); sys.exit(3)'\n"
        "for arguments in (['-m', 'tabular_bento', 'nothing'], ['-c', code]):\n"
        "    print(subprocess.run([sys.executable, *arguments]).returncode, flush=True)\n"
    )
    forked, new = (
        run_command(module="outer", cwd=tmp_path, alone=alone, PYTHONPATH=str(ROOT)) for alone in (False, True)
    )
    assert (forked.stdout, forked.stderr) == (new.stdout, new.stderr)
    assert forked.stdout.split() == ["2", sys.executable, "3"]
    assert "No such command 'nothing'" in forked.stderr
