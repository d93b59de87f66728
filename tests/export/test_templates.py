"""A template filled with weights is the graph that is built from the network."""

import numpy as np
import onnx
import onnxruntime
import pytest

from export.onnx_graph import build_model
from export.templates import GRAPHS, filled, template
from models.forms import FORMS, shapes
from models.styles import load_weights, network_of
from models.transform_net import TransformNet

CASES = [(form, statistics) for form in FORMS for statistics in ("own", "carried", "renewed")]


@pytest.mark.parametrize(("form", "statistics"), CASES)
def test_the_files_are_as_the_builder_writes_them(form, statistics):
    fresh, kept = template(form, statistics), onnx.load(GRAPHS / f"{form}.{statistics}.onnx")
    assert kept == fresh, "run python -m export.templates"


@pytest.mark.parametrize(("form", "statistics"), CASES)
def test_filled_is_built(form, statistics):
    weights = load_weights("great_wave:0.5+starry_night:0.5", strength=0.8, quality=form)
    ours = onnx.load_from_string(filled(weights, statistics))
    built = build_model(network_of(weights), statistics)
    assert ours.graph.node == built.graph.node
    for mine, theirs in zip(ours.graph.initializer, built.graph.initializer, strict=True):
        assert mine.name == theirs.name
        assert np.array_equal(onnx.numpy_helper.to_array(mine), onnx.numpy_helper.to_array(theirs))


def test_a_filled_graph_runs():
    options = onnxruntime.SessionOptions()
    model = filled(load_weights("great_wave"), "own")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    frames = np.random.default_rng(0).integers(0, 256, (1, 40, 50, 3), np.uint8)
    (painted,) = session.run(None, {session.get_inputs()[0].name: frames})
    assert painted.shape == frames.shape and painted.std() > 1


@pytest.mark.parametrize("form", FORMS)
def test_the_contract_of_a_style_file_is_the_network(form):
    state = TransformNet(form).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes(form)
