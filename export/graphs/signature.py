"""The inputs and outputs of graphs, as ONNX declares them."""

from collections.abc import Sequence

from onnx import TensorProto, ValueInfoProto, helper

from impasto.export.spec import FRAMES, STYLIZED, GraphShape, NormMode, TensorLayout

MEAN, VARIANCE, WEIGHT = "mean", "variance", "weight"
NEW_MEAN, NEW_VARIANCE = "new_mean", "new_variance"


def tensor_info(
    name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT
) -> ValueInfoProto:
    """An input or output; sides with a name are free."""
    return helper.make_tensor_value_info(name, kind, shape)


def picture_info(
    name: str, layout: TensorLayout = "nhwc-uint8", static: GraphShape | None = None
) -> ValueInfoProto:
    """Pictures of any size, or of one fixed shape."""
    n, height, width = static or ("n", "height", "width")
    if layout == "nchw-float":
        return tensor_info(name, [n, 3, height, width])
    return tensor_info(name, [n, height, width, 3], TensorProto.UINT8)


def video_signature(
    norm_mode: NormMode, channels: int, yuv420: bool
) -> tuple[list[ValueInfoProto], list[ValueInfoProto]]:
    """The inputs and outputs for frames, with the statistics (channels,) of a norm mode."""
    inputs, outputs = [picture_info(FRAMES)], [picture_info(STYLIZED)]
    if yuv420:
        outputs = [tensor_info(STYLIZED, ["n", "rows", "width"], TensorProto.UINT8)]
    if norm_mode != "instance":
        inputs += [tensor_info(name, [channels]) for name in (MEAN, VARIANCE)]
    if norm_mode == "running":
        inputs.append(tensor_info(WEIGHT, []))
        outputs += [tensor_info(name, [channels]) for name in (NEW_MEAN, NEW_VARIANCE)]
    return inputs, outputs
