"""The scoring layer: runners, the model package, the predictor, and the doors to it."""
