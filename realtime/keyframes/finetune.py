"""A style fine-tuned on the painted keyframes of a video."""

from pathlib import Path

from impasto.models.errors import SinkError
from impasto.models.styles import load_style
from impasto.models.training.finetune import finetune
from impasto.models.training.results import save_network
from impasto.realtime.atomic import atomic_write
from impasto.realtime.engines.torch_engine import resolve_device
from impasto.realtime.keyframes.folder import KeyframeFolder
from impasto.realtime.keyframes.job import KeyframeJob
from impasto.realtime.keyframes.selection import Selection
from impasto.realtime.pixels import as_tensor
from impasto.realtime.progress import OnProgress, with_rate


def finetune_style(
    job: KeyframeJob,
    selection: Selection,
    folder: KeyframeFolder,
    parent: str,
    target: Path,
    on_progress: OnProgress,
) -> None:
    """Fine-tune the style `parent` on the keyframes, and save it. Raises SinkError, WeightsError.

    target: a .safetensors file.
    """
    with atomic_write(target, overwrite=job.overwrite) as partial:
        pairs = [
            (as_tensor(image), as_tensor(folder.read(keyframe)))
            for keyframe, image in job.clip.frames_of(selection.keyframes)
        ]
        device, on_step = resolve_device(job.device), with_rate(on_progress)
        network = load_style(parent, network=job.network)
        network = finetune(
            network, pairs, device=device, precision=job.settings.precision, on_step=on_step
        )
        try:
            save_network(network, partial, parent=parent)
        except OSError as error:
            raise SinkError(f"cannot write {target}: {error}") from error
