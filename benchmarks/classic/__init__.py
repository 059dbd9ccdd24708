"""The classic scaffold: FastAPI, a pandas DataFrame per request, and a scikit-learn Pipeline loaded with joblib.

It shares no code with the rest of the repository and runs in its own environment, `requirements/bench.txt`.
"""
