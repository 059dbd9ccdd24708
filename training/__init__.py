"""The project's data, and how its model is trained."""
