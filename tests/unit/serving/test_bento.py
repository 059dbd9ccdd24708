"""What tabular_bento/serving/bento.py relies on and BentoML does not promise. Where one of these
fails, read `_bentoml_impl/server/app.py` and `bentoml/models.py` of the new version, then mend that module."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import pytest
from _bentoml_impl.server.app import ServiceAppFactory
from _bentoml_impl.server.serving import serve_http
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from bentoml.models import BentoModel
from bentoml.serving import create_watcher
from circus.arbiter import Arbiter
from circus.controller import Controller
from circus.sighandler import SysHandler
from circus.watcher import Watcher

from tabular_bento.protocol.predictions import PredictionBatch
from tabular_bento.scoring.store import store_home
from tabular_bento.serving.bento import (
    Application,
    PackagedModel,
    ServeError,
    _catches_sighup,
    remove_time_limits,
)
from tests.conftest import ROOT, STORE
from tests.unit.problems import PRICES

PINNED = "1.4.39"

_ORIGINAL = TimeoutMiddleware.__call__


@pytest.fixture
def contract() -> Any:
    """The smallest service with a batchable API."""

    @bentoml.service(name="contract")
    class Contract:
        @bentoml.api(batchable=True)
        async def predict(self, rows: list[int]) -> list[int]:
            prices = {"price": np.array([10.0 * row for row in rows])}
            batch: Any = PredictionBatch(PRICES.declaration, [str(row) for row in rows], None, prices, "prices:1")
            return batch  # type: ignore[no-any-return]

    return Contract


@pytest.fixture
def factory(contract: Any) -> ServiceAppFactory:
    return factory_of(contract)


def factory_of(service: Any) -> ServiceAppFactory:
    service.inject_config()
    return ServiceAppFactory(service, is_main=True)


def prices(batch: PredictionBatch) -> list[float]:
    return [row["price"] for row in batch]


def test_the_library_is_the_version_that_was_read() -> None:
    assert version("bentoml") == PINNED, "the lock moved: run this file, then change PINNED and pyproject.toml together"
    assert f'"bentoml=={PINNED}"' in (ROOT / "pyproject.toml").read_text()


def test_the_factory_is_reachable_from_the_application(factory: ServiceAppFactory) -> None:
    app = factory()
    owner = getattr(app.router.lifespan_context, "__self__", None)
    assert owner is factory, "the lifespan is no longer a method of ServiceAppFactory: see BaseAppFactory.__call__"


def test_there_is_one_dispatcher_for_each_batchable_api(factory: ServiceAppFactory) -> None:
    assert list(factory.dispatchers) == ["predict"], "dispatchers are kept elsewhere: see ServiceAppFactory.__init__"
    dispatcher = factory.dispatchers["predict"]
    assert callable(dispatcher), "a dispatcher is no longer called with the batch function: see batch_infer"
    assert callable(dispatcher.shutdown), "dispatchers are shut down otherwise: see Application.batcher_of"


def test_batches_are_inferred_through_the_dispatcher_of_the_api() -> None:
    parameters = list(inspect.signature(ServiceAppFactory.batch_infer).parameters)
    assert parameters == ["self", "name", "input_args", "input_kwargs"], "batch_infer takes other arguments"
    assert inspect.iscoroutinefunction(ServiceAppFactory.batch_infer), "batch_infer is no longer awaited"


def test_an_api_keeps_the_plain_method_it_was_made_of(contract: Any) -> None:
    assert inspect.iscoroutinefunction(contract.apis["predict"].func), "func is gone: see Application.batcher_of"


def test_the_instance_is_kept_where_it_is_looked_for(factory: ServiceAppFactory) -> None:
    assert factory._service_instance is None, "_service_instance is gone: see ServiceAppFactory.create_instance"


def test_our_batcher_takes_the_place_of_theirs_and_gets_the_requests(factory: ServiceAppFactory) -> None:
    batches: list[int] = []

    async def scenario() -> list[Any]:
        app = factory()
        application = Application(app)
        batcher = application.batcher_of("predict", 100, 1000, batches.append)
        async with app.router.lifespan_context(app):
            assert type(application.instance) is factory.service.inner, "instance is no longer the service's own class"
            ours = [batcher.submit([i, i + 1]) for i in range(10)]
            theirs = [factory.batch_infer("predict", ([i, i + 1],), {}) for i in range(10, 20)]
            return await asyncio.gather(*ours, *theirs)

    assert [prices(batch) for batch in asyncio.run(scenario())] == [[10 * i, 10 * i + 10] for i in range(20)], (
        "responses went to other callers"
    )
    assert sum(batches) == 40
    assert len(batches) < 20, "requests are not merged: batch_infer no longer goes through dispatchers[name]"


def test_an_api_is_called_without_bentoml_around_it_through_local(factory: ServiceAppFactory) -> None:
    async def scenario() -> Any:
        app = factory()
        async with app.router.lifespan_context(app):
            return await factory._service_instance.predict.local([4])

    assert prices(asyncio.run(scenario())) == [40], "methods of the instance no longer have `.local`"


def test_middleware_of_the_service_is_given_the_lifespan_with_the_application() -> None:
    seen: list[Any] = []

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append((scope["type"], scope.get("app")))
            await self.app(scope, receive, send)

    @bentoml.service(name="contract2")
    class Service:
        @bentoml.api
        def noop(self) -> int:
            return 1

    Service.add_asgi_middleware(Middleware)
    app = factory_of(Service)()

    async def scenario() -> None:
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(messages)

        async def send(_: Any) -> None: ...

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(scenario())
    assert seen == [("lifespan", app)], "middleware does not see the lifespan: the endpoints would never start"


def test_the_openapi_description_is_to_be_had_from_the_service(factory: ServiceAppFactory) -> None:
    document = Application(factory()).openapi()
    assert {"openapi", "info", "paths", "components"} <= set(document), "openapi_spec.asdict() changed"


def test_a_service_knows_whether_it_runs_from_a_bento(contract: Any) -> None:
    assert contract.bento is None, "Service.bento is no longer None outside of a bento: see pinned_model"


@pytest.mark.parametrize("method", ["resolve", "to_info"])
def test_the_methods_that_read_the_store_are_those_that_are_wrapped(method: str) -> None:
    assert callable(getattr(BentoModel, method)), f"BentoModel.{method} is gone: see PackagedModel"


def test_a_model_that_is_not_there_is_reported_in_one_line_without_the_network(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"There is no model nothing:here in the store \S+: run `tabular-bento train`"):
        PackagedModel("nothing:here").resolve(base_path=str(tmp_path))


def test_the_store_s_home_is_the_one_bentoml_uses() -> None:
    assert store_home() == STORE, "BentoMLContainer.bentoml_home is gone: see store_home"


def test_the_process_manager_reloads_by_handle_hup_and_knows_its_workers_by_their_pids() -> None:
    assert callable(SysHandler.handle_hup), "handle_hup is gone: see forward_sighup"
    assert signal.SIGHUP in SysHandler.SIGNALS, "the process manager no longer takes SIGHUP"
    assert list(inspect.signature(SysHandler.__init__).parameters) == ["self", "controller"], "see _signal_workers"
    source = inspect.getsource(Controller)
    assert "self.arbiter = arbiter" in source, "the controller no longer knows its arbiter: see _signal_workers"
    assert "SysHandler(self)" in source, "the handler is made otherwise: see forward_sighup"
    assert callable(Arbiter.iter_watchers), "iter_watchers is gone: see _signal_workers"
    assert Watcher("name", "cmd").processes == {}, "processes are kept elsewhere: see _signal_workers"


def test_the_deployment_hook_runs_in_the_manager_before_the_workers_are_made() -> None:
    source = inspect.getsource(serve_http)
    assert source.index("server_on_deployment(svc)") < source.index("create_standalone_arbiter("), "see forward_sighup"


def test_the_workers_would_be_replaced_were_it_not_for_the_other_handler() -> None:
    assert inspect.signature(Watcher.__init__).parameters["send_hup"].default is False
    assert "send_hup" not in inspect.getsource(create_watcher), "BentoML sends SIGHUP on: forward_sighup can go"


@pytest.mark.parametrize(("taken", "code"), [(True, "signal.signal(signal.SIGHUP, print)"), (False, "pass")])
def test_a_process_that_would_be_ended_by_the_signal_is_known(taken: bool, code: str) -> None:
    program = f"import signal, time\n{code}\nprint('ready', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert _catches_sighup(process.pid) is taken
        process.kill()
    assert not _catches_sighup(process.pid)


def test_requests_pass_through_the_time_limit_that_it_never_lets_go_of(contract: Any) -> None:
    limits = [each for each in factory_of(contract).middlewares if each.cls is TimeoutMiddleware]
    assert len(limits) == 1
    source = inspect.getsource(_ORIGINAL)
    assert "loop.call_later(self.timeout" in source
    assert ".cancel()" not in source.replace("fut.cancel()", ""), "it cancels its timer now: use it again"


def test_the_endpoints_have_the_only_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimeoutMiddleware, "__call__", _ORIGINAL)
    remove_time_limits()
    passed: list[Any] = []

    async def app(*arguments: Any) -> None:
        passed.append(arguments)

    asyncio.run(TimeoutMiddleware(app, 1.0)({"type": "http"}, None, None))
    assert passed == [({"type": "http"}, None, None)]
