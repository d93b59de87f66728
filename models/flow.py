"""Warping by optical flow, occlusion masks and the warping error.

A flow is (N, 2, H, W), floating, in pixels: channel 0 is u (to the right), channel 1 is v (down).
It has the pixels of the image it starts from: what is at (x, y) there is at (x + u, y + v) in the
other image. Pixel centers have integer coordinates; (0, 0) is the upper left one.
"""

import torch
from torch import Tensor


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample `image` at the point that each pixel's flow points to (backward warp, bilinear).

    warped[n, :, y, x] = image[n, :, y + v[n, y, x], x + u[n, y, x]]

    image: (N, C, H, W), floating, any range. flow: (N, 2, H, W), from the image that is to be
    approximated to `image`: warp(previous, flow_next_to_prev) approximates the next frame. Returns
    (N, C, H, W), the dtype of `image`; differentiable in both. Beyond the frame its border is
    repeated.

    Equals grid_sample with align_corners=True, padding_mode="border", whose normalized coordinates
    round at 1e-5 pixels; here an integer flow, zero above all, copies values exactly.
    """
    n, c, height, width = image.shape
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.detach().floor(), y.detach().floor()
    share_x = (x - left).unsqueeze(1).to(image.dtype)  # (N, 1, H, W)
    share_y = (y - top).unsqueeze(1).to(image.dtype)
    x0, y0 = left.long(), top.long()
    x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)

    flat = image.flatten(2)

    def sample(rows: Tensor, columns: Tensor) -> Tensor:
        indices = (rows * width + columns).flatten(1).unsqueeze(1).expand(n, c, -1)
        return flat.gather(2, indices).view(n, c, height, width)

    upper = sample(y0, x0) * (1 - share_x) + sample(y0, x1) * share_x
    lower = sample(y1, x0) * (1 - share_x) + sample(y1, x1) * share_x
    return upper * (1 - share_y) + lower * share_y


def _squared_norm(field: Tensor) -> Tensor:
    return field.square().sum(1, keepdim=True)


def _squared_gradient(flow: Tensor) -> Tensor:
    """|grad u|^2 + |grad v|^2 by central differences, one-sided at the border: (N, 1, H, W)."""
    dy, dx = torch.gradient(flow, dim=(2, 3))
    return _squared_norm(dy) + _squared_norm(dx)


def occlusion_mask(flow_forward: Tensor, flow_backward: Tensor) -> Tensor:
    """Where a flow is unreliable, by the rule of Sundaram, Brox and Keutzer, ECCV 2010.

    With w^ = flow_backward and w~(x) = flow_forward(x + w^(x)), a pixel is
    occluded where           |w~ + w^|^2 > 0.01 (|w~|^2 + |w^|^2) + 0.5, or x + w^ is off the frame;
    a motion boundary where  |grad u^|^2 + |grad v^|^2 > 0.01 |w^|^2 + 0.002.

    flow_forward: (N, 2, H, W) from one image to the other; flow_backward: the way back.
    Returns (N, 1, H, W) bool on the pixels that flow_backward starts from: True where it is
    unreliable. For video, occlusion_mask(flow_prev_to_next, flow_next_to_prev) is on the next
    frame, as is warp(previous, flow_next_to_prev).

    Pixels whose flow leaves the frame count as occluded; the paper leaves them to its tracker.
    """
    height, width = flow_backward.shape[2:]
    returned = warp(flow_forward, flow_backward)
    deviations = _squared_norm(returned + flow_backward)
    lengths = _squared_norm(returned) + _squared_norm(flow_backward)
    occluded = deviations > 0.01 * lengths + 0.5
    boundary = _squared_gradient(flow_backward) > 0.01 * _squared_norm(flow_backward) + 0.002
    x = torch.arange(width, device=flow_backward.device) + flow_backward[:, :1]
    y = torch.arange(height, device=flow_backward.device)[:, None] + flow_backward[:, 1:]
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return occluded | boundary | outside


def warping_error(prev_stylized: Tensor, stylized: Tensor, flow: Tensor, mask: Tensor) -> Tensor:
    """E_warp: root mean square difference of a frame from the previous one, warped by the flow.

    E = sqrt( sum_x M (stylized - warp(prev_stylized, flow))^2 / (C sum_x M) )

    prev_stylized, stylized: (N, C, H, W) in [0, 1]. flow: (N, 2, H, W), from this frame to the
    previous one. mask: (N, 1, H, W), bool or [0, 1], 1 where the flow is reliable (the complement
    of `occlusion_mask`). Returns (N,) in [0, 1]; 0 for an empty mask.
    """
    weight = mask.to(stylized.dtype)
    change = (stylized - warp(prev_stylized, flow)).square() * weight
    count = (stylized.shape[1] * weight.sum((1, 2, 3))).clamp_min(1.0)
    return (change.sum((1, 2, 3)) / count).sqrt()
