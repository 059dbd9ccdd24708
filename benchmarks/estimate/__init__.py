"""The coverage study: how often the estimate without labels holds the metric that is observed later."""
