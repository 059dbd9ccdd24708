"""The project's own test: the source fits the problem, and a model of a few trees beats the mean."""

from features.problem import PROBLEM
from tabular_bento.training import load_config, train
from training.source import SOURCE


def test_a_model_of_the_patients_beats_the_naive_baseline() -> None:
    dataset = SOURCE.load()
    assert len(dataset) == 442
    model = train(PROBLEM, dataset, load_config(parameters={"xgboost": {"rounds": 20, "max_depth": 2}}))
    assert model.metrics["test"].rmse < 0.9 * model.baselines["naive_baseline"]["test"].rmse
