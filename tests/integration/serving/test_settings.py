from __future__ import annotations

from tabular_bento.serving.settings import ServingSettings
from tests.conftest import ROOT
from tests.serving import refused


def test_each_setting_says_what_it_does() -> None:
    for name, field in ServingSettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_what_is_set_wrong_is_named_with_its_value_before_anything_starts() -> None:
    result = refused(ROOT, TABULAR_BENTO_WORKERS="-1", TABULAR_BENTO_LOG_FORMAT="xml")
    said = result.stdout + result.stderr
    assert result.returncode == 2
    assert "TABULAR_BENTO_WORKERS=-1 in the environment: Input should be greater than or equal to 1." in said
    assert "TABULAR_BENTO_LOG_FORMAT=xml in the environment: Input should be 'text' or 'json'." in said
    assert "Traceback" not in said
