"""Training-serving skew: logged rows recomputed by the model's own package."""
