"""The project's own test: the source fits the problem, and a model of a few trees beats the shares of the species."""

from features.problem import PROBLEM
from tabular_bento.training import load_config, train
from training.source import SOURCE


def test_a_model_of_the_penguins_beats_the_naive_baseline() -> None:
    dataset = SOURCE.load()
    assert len(dataset) == 344
    model = train(PROBLEM, dataset, load_config(parameters={"xgboost": {"rounds": 20, "min_child_weight": 1.0}}))
    measured, naive = model.metrics["test"], model.baselines["naive_baseline"]["test"]
    assert measured.log_loss < 0.3 * naive.log_loss
