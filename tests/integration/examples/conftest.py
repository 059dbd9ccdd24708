"""The container engine, as the tests of the image have it."""

from tests.integration.container.conftest import engine

__all__ = ["engine"]
