"""``genomix train SHARD --task pretrain``: learn from a genome without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genomix_cli.cli.options import parse_fields, parse_names
from genomix_cli.cli.summary import print_rows


def pretrain(options: Mapping[str, Any]) -> None:
    """Run it, and show what came out.

    Parameters
    ----------
    options : mapping of str to Any
        Of `genomix_cli.cli.train.train`, by name.
    """
    import torch

    from genomix_cli.learning.fit_settings import FitConfig
    from genomix_cli.learning.processes import first_process
    from genomix_cli.variants.requests import PRETRAIN_MONITOR as MONITOR
    from genomix_cli.variants.requests import Masking, PretrainRequest
    from genomix_cli.variants.train.pretrain.run import pretrain as run

    def chosen(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names}

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    fit = FitConfig(
        monitor=MONITOR,
        **chosen("epochs", "learning_rate", "weight_decay", "precision", "patience"),
        **chosen("checkpoint_every", "accumulate", "devices", "strategy"),
    )
    found = run(
        PretrainRequest(
            arch=parse_fields(options["arch"]),
            valid_contigs=parse_names(options["valid_contigs"]),
            initial=options["init"],
            masking=Masking(
                share=options["mask_share"],
                span=options["span"],
                track_share=options["track_mask"],
            ),
            fit=fit,
            checkpointing=options["gradient_checkpointing"],
            **chosen("shard", "output", "preset", "valid_regions", "resume", "track_weight"),
            **chosen("spans_per_window", "places_per_window", "windows_per_epoch"),
            **chosen("windows_per_batch", "valid_windows", "max_n", "device", "workers", "seed"),
        )
    )
    if first_process():
        print_rows(found.rows())
