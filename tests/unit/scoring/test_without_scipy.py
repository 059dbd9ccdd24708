"""XGBoost's runner with SciPy, scikit-learn and pandas out of reach, as in the image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tabular_bento.scoring.package import ModelPackage

ROOT = Path(__file__).resolve().parents[3]

HIDDEN = ("scipy", "sklearn", "skops", "pandas", "pyarrow")

HIDE = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in {HIDDEN!r} else found(name, *rest)
"""


def without_scipy(program: str, *arguments: str) -> Any:
    """What `program` prints as JSON, where the libraries of `HIDDEN` cannot be imported."""
    command = [sys.executable, "-W", "error", "-c", HIDE + program, *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_without_scipy_every_parity_vector_comes_out_to_the_bit(folder: Path, prices_package: ModelPackage) -> None:
    program = """
import json
from pathlib import Path
from tabular_bento.scoring.package import ModelPackage
from tests.unit.problems import PRICES
loaded = ModelPackage.load(Path(sys.argv[1]), sys.argv[2], PRICES)
print(json.dumps([loaded.parity_rows, loaded.predictor.runner.kind, sorted({n.split(".")[0] for n in sys.modules})]))
"""
    rows, kind, modules = without_scipy(program, str(folder), prices_package.tag)
    assert (rows, kind) == (prices_package.parity_rows, "xgboost")
    assert not set(HIDDEN) & set(modules)


def test_the_stand_in_is_gone_once_xgboost_is_imported() -> None:
    program = """
import json
from tabular_bento.scoring.runners.xgboost import _xgboost
_xgboost()
try:
    import scipy.sparse
except ModuleNotFoundError as error:
    print(json.dumps(error.name))
"""
    assert without_scipy(program) == "scipy"


def test_a_sparse_matrix_is_refused_by_its_type_and_a_dense_one_of_any_layout_is_predicted(
    folder: Path,
) -> None:
    program = """
import json
import numpy as np
from pathlib import Path
from tabular_bento.scoring.runners.xgboost import XGBoostRunner
runner = XGBoostRunner.load(Path(sys.argv[1]) / "runner")
X = np.zeros((3, runner.booster.num_features()), dtype=np.float32)
expected = runner.predict(X).tolist()
same = all(runner.predict(laid).tolist() == expected for laid in (np.asfortranarray(X), np.repeat(X, 2, 0)[::2]))
class csr_matrix:
    shape = X.shape
try:
    runner.predict(csr_matrix())
except TypeError as error:
    print(json.dumps([same, str(error)]))
"""
    same, refusal = without_scipy(program, str(folder))
    assert same
    assert "not supported by inplace prediction" in refusal


def test_where_scipy_is_installed_xgboost_has_the_real_one() -> None:
    scipy = pytest.importorskip("scipy.sparse")
    from tabular_bento.scoring.runners.xgboost import _xgboost

    assert _xgboost().core.scipy.sparse is scipy


def test_without_scipy_contributions_are_the_same(folder: Path, prices_package: ModelPackage) -> None:
    program = """
import json
import numpy as np
from pathlib import Path
from tabular_bento.scoring.runners.xgboost import XGBoostRunner
runner = XGBoostRunner.load(Path(sys.argv[1]) / "runner")
X = np.arange(3 * runner.booster.num_features(), dtype=np.float32).reshape(3, -1)
X[0, 0] = np.nan
print(json.dumps([runner.explain(X).tolist(), sorted({name.split(".")[0] for name in sys.modules})]))
"""
    found, modules = without_scipy(program, str(folder))
    runner: Any = prices_package.runner
    X = np.arange(3 * runner.booster.num_features(), dtype=np.float32).reshape(3, -1)
    X[0, 0] = np.nan
    assert found == runner.explain(X).tolist()
    assert not set(HIDDEN) & set(modules)
