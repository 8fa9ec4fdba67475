"""gReLU's `predict_variant_effects` for `peers.py`; runs in gReLU's own environment."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pandas as pd
from grelu.lightning import LightningModel
from grelu.variant import predict_variant_effects
from peers_network import WINDOW, Network, Variant, build, serve


class PeerModel(LightningModel):
    """gReLU's model around our network."""

    def build_model(self) -> None:
        """Build our network in place of one of gReLU's."""
        self.model = build()


def load() -> PeerModel:
    """Return the model, without loader processes, because the benchmark uses one core."""
    parameters = {"task": "regression", "loss": "mse", "num_workers": 0}
    return PeerModel(model_params={"model_type": Network.__name__}, train_params=parameters)


def main() -> None:
    """Answer the requests of `peers.py`."""
    model = load().eval()

    def score(fasta: Path, variants: list[Variant], batch: int) -> list[float]:
        effects = predict_variant_effects(
            pd.DataFrame(variants, columns=["chrom", "pos", "ref", "alt"]),
            model,
            devices="cpu",
            seq_len=WINDOW,
            batch_size=batch,
            num_workers=0,
            genome=str(fasta),
            compare_func="subtract",
            return_ad=False,
        )
        if effects.shape != (len(variants), 1, 1):
            raise ValueError(f"{effects.shape} for {len(variants)} variants")
        return effects[:, 0, 0].tolist()

    serve(version("gReLU"), model.model, score)


if __name__ == "__main__":
    main()
