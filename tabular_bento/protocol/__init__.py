"""What clients send and receive: request and response models in JSON, and tensors of the Open Inference Protocol."""

from tabular_bento.protocol.layout import Layout, TensorSchema
from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.protocol.requests import ErrorDetail, ErrorResponse, FeedbackReceipt, RequestSchema, explain
from tabular_bento.protocol.tensors import Tensor

__all__ = [
    "ErrorDetail",
    "ErrorResponse",
    "FeedbackReceipt",
    "Layout",
    "PredictionBatch",
    "RequestSchema",
    "Tensor",
    "TensorSchema",
    "explain",
]
