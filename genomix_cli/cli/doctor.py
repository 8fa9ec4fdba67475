"""``genomix doctor``: check whether scores from this device can be trusted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from genomix_cli.cli.command import command
from genomix_cli.cli.output import echo, print_facts
from genomix_cli.errors import CheckError
from genomix_cli.options import Device, TrainedModel, option
from genomix_cli.variants.requests import DEFAULT_MODEL


@dataclass(frozen=True)
class DoctorRequest:
    """A device to check with a model."""

    model: TrainedModel = DEFAULT_MODEL
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "Numerical precision; auto: bf16 on a GPU, fp32 on a CPU"
    )
    store: bool = option(False, "Store the answers of this machine's CPU as the right ones")
    as_json: bool = option(False, "Print JSON", "--json")
    device: Device = "auto"


def doctor(request: DoctorRequest) -> None:
    """Check a device: run a model on it and compare with stored answers.

    The exit code is 3 when scores from here cannot be trusted.
    """
    from genomix_cli.variants.score.doctor import examine, summarise, write_reference

    if request.store:
        write_reference(request.model)
        return
    diagnosis = examine(request.model, request.device, request.precision)
    if request.as_json:
        echo(json.dumps(asdict(diagnosis), indent=2))
    else:
        print_facts(summarise(diagnosis))
    if not diagnosis.sound:
        raise CheckError(
            "do not trust scores from here: " + "; ".join(diagnosis.problems),
            where=diagnosis.device,
            hint="try --precision fp32, another driver or PyTorch, or --device cpu",
        )
    if not request.as_json:
        echo("This device can be trusted.")


COMMAND = command(doctor, "genomix doctor", "genomix doctor --device cuda --json")
