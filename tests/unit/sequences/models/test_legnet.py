"""Parts of LegNet in closed form."""

from __future__ import annotations

import torch

from genomix_cli.sequences.models.legnet import Block, Excitation, LegNet, LegNetConfig


def test_a_gate_multiplies_each_channel_by_a_number_of_all_their_means() -> None:
    gate = Excitation(2, 1)
    x = torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(0))
    factor = gate(x) / x
    torch.testing.assert_close(factor, factor[..., :1].expand_as(factor))
    torch.testing.assert_close(gate.gate(x.mean(-1))[0], factor[0, :, 0])


def test_a_block_joins_its_input_to_what_it_made_of_it() -> None:
    config = LegNetConfig(expansion=2, block_width=3)
    block = Block(4, 6, config).eval()
    x = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), block.join(torch.cat([x, block.wide(x)], 1)))
    # Separable: a filter of the middle layer reads one channel.
    assert block.wide[3].weight.shape == (8, 1, 3)


def test_tiny_is_a_tenth_of_the_default() -> None:
    large, tiny = (
        sum(p.numel() for p in LegNet.of(fields).build(200, 4).parameters())
        for fields in LegNet.presets.values()
    )
    assert 8 < large / tiny < 12
