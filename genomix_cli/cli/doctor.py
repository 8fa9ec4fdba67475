"""``genomix doctor``: check whether scores from this device can be trusted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from genomix_cli.cli.command import command
from genomix_cli.cli.output import echo, on_terminal, print_facts, print_table
from genomix_cli.errors import CheckError
from genomix_cli.options import option
from genomix_cli.shared_options import Device, TrainedModel
from genomix_cli.variants.requests.score import DEFAULT_MODEL

if TYPE_CHECKING:
    from genomix_cli.variants.score.doctor import Diagnosis


@dataclass(frozen=True)
class DoctorRequest:
    """A device to check with a model."""

    model: TrainedModel = DEFAULT_MODEL
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "Numerical precision; auto: bf16 on a GPU, fp32 on a CPU"
    )
    store: bool = option(False, "Store this CPU's scores as the reference")
    as_json: bool = option(False, "Print JSON", "--json")
    device: Device = "auto"


def doctor(request: DoctorRequest) -> None:
    """Check a device: run a model on it and compare with stored answers.

    The exit code is 3 if scores from this device cannot be trusted.
    """
    from genomix_cli.variants.score.doctor import examine, write_reference

    if request.store:
        write_reference(request.model)
        return
    diagnosis = examine(request.model, request.device, request.precision)
    if request.as_json:
        echo(json.dumps(asdict(diagnosis), indent=2))
    else:
        _print(diagnosis)
    if not diagnosis.sound:
        raise CheckError(
            "scores from this device cannot be trusted: " + "; ".join(diagnosis.problems),
            where=diagnosis.device,
            hint="try --precision fp32, another driver or PyTorch, or --device cpu",
        )
    if not request.as_json:
        echo("This device can be trusted.")


def _print(diagnosis: Diagnosis) -> None:
    """Print the diagnosis; on a terminal, comparisons are a table with their limits."""
    examined = [
        ("model", f"{diagnosis.model}, {diagnosis.precision}"),
        ("device", diagnosis.device),
        *diagnosis.versions.items(),
    ]
    times = [("an allele", f"{diagnosis.ms_per_allele:.3f} ms")]
    if diagnosis.ms_per_window is not None:
        times.insert(0, ("a window", f"{diagnosis.ms_per_window:.2f} ms"))
    stored, repeated, alone, ranks = diagnosis.checks
    if on_terminal():
        print_facts([*examined, *times])
        rows = [
            (check.name, check.found, check.limit, "fails" if check.problem else "holds")
            for check in diagnosis.checks
        ]
        print_table(("difference in SD", "found", "limit", ""), rows)
        return
    compared = [(check.name, check.found) for check in (ranks, repeated, alone)]
    first = (stored.name, f"{stored.found} standard deviations at most")
    print_facts([*examined, first, *compared, *times])


COMMAND = command(doctor, "genomix doctor", "genomix doctor --device cuda --json")
