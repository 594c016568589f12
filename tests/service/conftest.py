"""A small plan, compiled as the engine compiles it; tests change the few facts they are about."""

import msgspec
import pytest
from nexus_engine.compile.compiler import compile_feed
from nexus_engine.contract.registry import build_registry
from nexus_engine.spec.model import FieldSpec, SourceSpec, Spec, TargetSpec


@pytest.fixture(scope="session")
def compiled():
    spec = Spec(
        name="a", source=SourceSpec(options={"endpoint": "http://127.0.0.1:9/a"}), fields={"id": FieldSpec(type="UInt32")},
        target=TargetSpec(table="t.a", key=("id",)),
    )
    formats = {name: item.cls for name, item in build_registry().formats.items()}
    return compile_feed(spec, formats=formats)


@pytest.fixture
def make_plan(compiled):
    """``make_plan(name, table="t", schedule=...)``: anything of the plan may be replaced."""

    def make(name, *, table="t", **changes):
        target = msgspec.structs.replace(compiled.target, table=table)
        return msgspec.structs.replace(compiled, feed=name, target=target, **changes)

    return make
