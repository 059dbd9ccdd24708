"""The feature layer: the problem's one declaration, the features, and the fitted extractor."""
