"""The server: `CLASSIC_MODEL=model.joblib uvicorn benchmarks.classic.app:app`."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI

from benchmarks.classic.features import WEATHER
from benchmarks.classic.schema import Prediction, PredictRequest

MODEL_NAME = "flights-classic"

state: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Load the Pipeline once; one thread for XGBoost, since more of them only get in the way of one process."""
    state["pipeline"] = joblib.load(Path(os.environ["CLASSIC_MODEL"])).set_params(model__n_jobs=1)
    yield


app = FastAPI(title=MODEL_NAME, lifespan=lifespan)


@app.get("/readyz")
async def ready() -> str:
    """Returned once the model is loaded."""
    return "ready"


@app.post("/predict")
def predict(request: PredictRequest) -> list[Prediction]:
    """Predict the arrival delay of flights that are pushing back.

    A plain function, which FastAPI runs in a thread, as its documentation advises for work like this. `async def` is
    a few percent faster here, and lets some callers wait for seconds while it serves the others.
    """
    if not request.flights:
        return []
    frame = pd.DataFrame([flight.model_dump() for flight in request.flights])
    frame = frame.astype(dict.fromkeys(WEATHER, float))
    delays = frame["dep_delay"] + state["pipeline"].predict(frame)
    return [
        Prediction(prediction_id=str(uuid.uuid4()), id=flight.id, arrival_delay=delay, model=MODEL_NAME)
        for flight, delay in zip(request.flights, delays.tolist(), strict=True)
    ]
