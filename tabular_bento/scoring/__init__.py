"""The Scoring layer: runners, the predictor, the model package, parity vectors, the model store and its releases."""
