"""Faults that the tests must see: a line of the core, what it becomes, and the tests that fail.

Every line is a mistake that someone could make. Names of modules are below genomix_cli/, those of
tests below tests/.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """Change of a text that stands once in a module, and the file of tests that sees it."""

    module: str
    before: str
    after: str
    tests: str


def _of(module: str, tests: str, *changes: tuple[str, str]) -> list[Mutation]:
    return [Mutation(module, before, after, tests) for before, after in changes]


GENOME = [
    *_of(
        "genome/alphabet.py",
        "unit/genome/test_alphabet.py",
        ("np.array([3, 2, 1, 0, UNKNOWN_BASE]", "np.array([1, 0, 3, 2, UNKNOWN_BASE]"),
        ("np.uint8)[..., ::-1], mode", "np.uint8), mode"),
        ("np.left_shift(left, 2 * right_length,", "np.left_shift(left, right_length,"),
        ("unknown = codes >= UNKNOWN_BASE", "unknown = codes > UNKNOWN_BASE"),
        ("((3 - digits) * 4", "(digits * 4"),
    ),
    *_of(
        "variants/simulate/causal.py",
        "unit/variants/simulate/test_genome.py",
        ("rng.random(n) < 0.5, within[site], 0)", "rng.random(n) < 0.05, within[site], 0)"),
        ("rng.random(n) < 0.5, beside[sites", "rng.random(n) < 0.05, beside[sites"),
    ),
    *_of(
        "genome/parquet_alleles.py",
        "unit/genome/test_parquet_alleles.py",
        ("(each[:, 1] >= group.low)", "(each[:, 1] > group.low)"),
        ("each[:, 0] < group.high", "each[:, 0] <= group.high"),
        ("place < each[last, 1]", "place <= each[last, 1]"),
        ("first += group.num_rows", "first += 1"),
        ("if contig in group.contigs", "if True"),
    ),
    *_of(
        "genome/signal.py",
        "unit/genome/test_signal.py",
        ("np.sign(mean) * np.log1p", "np.log1p"),
        ("(level - self.spec.mean) / self.spec.sd", "level - self.spec.mean"),
        ("ends - starts <= max_gap_bins", "ends - starts <= max_gap_bins + 1"),
        ("(starts > 0) &", "(starts >= 0) &"),
        ("means = np.add.reduceat(target, first) / count", "means = target[first]"),
        ("if levels[0] > 0:", "if levels[0] > 1e9:"),
    ),
    *_of(
        "genome/contacts.py",
        "unit/genome/test_contacts.py",
        ("j // spread - i // spread]", "j // spread]"),
        ("weight[low] * weight[high]", "weight[low]"),
        ("np.divide(1, weight,", "np.divide(weight, 1,"),
        ("[pairs].mean() if", "[pairs].sum() if"),
        ("np.minimum(np.log((ratio", "np.maximum(np.log((ratio"),
        ("np.minimum(row, column) * REACH", "np.maximum(row, column) * REACH"),
        ("np.where(j < n_bins, band, 0)", "band"),
    ),
    *_of(
        "genome/bigwig.py",
        "unit/genome/test_bigwig.py",
        ("edge = (low + 1) * bin_size", "edge = (low + 2) * bin_size"),
        ("value * head)", "value * bin_size)"),
        ("tail = rest.end - rest.start - whole * bin_size", "tail = np.full(len(whole), bin_size)"),
        ("np.maximum(sums.covered, 1, out=sums.covered)", "sums.covered.fill(bin_size)"),
    ),
    *_of(
        "genome/fasta.py",
        "unit/genome/test_fasta.py",
        ("first = min(max(start, 0), end)", "first = min(max(start, 1), end)"),
        ("codes[first - start : last - start]", "codes[: last - first]"),
    ),
    *_of(
        "genome/intervals.py",
        "unit/genome/test_intervals.py",
        ("np.maximum.accumulate(ends[order])", "ends[order]"),
        ("starts[1:] > reach[:-1]", "starts[1:] >= reach[:-1]"),
        ('_MITOCHONDRION = ("MT", "M")', '_MITOCHONDRION = ("MT",)'),
    ),
]

RECORDS = [
    *_of(
        "variants/records/inputs.py",
        "unit/variants/records",
        ("ref[-1 - end] == alt[-1 - end]", "ref[end] == alt[end]"),
        ("reference[end - 1] == bases[-1]", "reference[end - 1] == bases[0]"),
        ("* core - (window - core) // 2", "* core - window // 2"),
        ("* BIN_SIZE - window // 2", "* BIN_SIZE - window // 2 + BIN_SIZE"),
        ("start - MARGIN, end + MARGIN", "start - MARGIN + 1, end + MARGIN + 1"),
        ("(1 - share) + bins[1:] * share", "share + bins[1:] * (1 - share)"),
        # The right flank off by one.
        ("codes[left + len(allele.ref) :]", "codes[left + len(allele.ref) + 1 :]"),
        ("codes[left + len(allele.ref) :]", "codes[left + len(allele.alt) :]"),
        ("before = codes[left - flank : left]", "before = codes[left - flank + 1 : left + 1]"),
        ("long.alt, long.alt_len + flank", "long.alt, long.ref_len + flank"),
        ("window.signal[:, ::-1]", "window.signal"),
        ("window.contacts[::-1, ::-1]", "window.contacts"),
    ),
    *_of(
        "variants/records/checks.py",
        "unit/variants/records",
        # No left context for indels.
        ("near.pos.min()) - 1 - MAX_SHIFT", "near.pos.min()) - 1"),
        ("[classify_allele(ref, alt) or site for", "[classify_allele(ref, alt) for"),
        ("count <= AUDIT_SHARE * self.compared", "count < self.compared"),
    ),
    *_of(
        "variants/records/checks.py",
        "property/variants/records",
        ("[start + i] = _checked(near[i]", "[i] = _checked(near[i]"),
        ("plain[plain] = expected[at[plain]] == bases[plain]", "pass"),
        ("kinds[single & (first == bases)] = OTHER", "pass"),
        ("[symbolic[before == up_to]]", "[symbolic]"),
        ("goes_back[0] |= name != contig", "goes_back[0] |= name == contig"),
    ),
    *_of(
        "variants/records/alleles.py",
        "unit/variants/records",
        ("> MAX_ALLELE:", "> MAX_ALLELE + 1:"),
        ("expected.translate(_FIRST_BASE) == ref", "False"),
        ("pos < 0 or end > self.length", "pos < 0 or end > self.length + 1"),
    ),
    *_of(
        "variants/records/cutting.py",
        "unit/variants/records",
        ("lines.pos[start:stop] - 1) // stride", "lines.pos[start:stop]) // stride"),
        ("for i in (part.number - 1, part.number)", "for i in (part.number - 1, part.total)"),
        ("alleles * DENSE >= len(cores)", "alleles * DENSE < len(cores)"),
    ),
]

ENGINE = [
    *_of(
        "variants/score/engine.py",
        "unit/variants/score/test_engine.py",
        ("arrived()[:, work.columns]", "arrived()[:, : len(work.rows)]"),
    ),
    *_of(
        "variants/score/engine.py",
        "unit/variants/score/test_score.py",
        ("logits[0]) / len(logits)", "logits[0])"),
        ('finite(answers, "a score", check)', "answers"),
    ),
    *_of(
        "variants/score/reading.py",
        "unit/variants/score/test_score.py",
        ("[allele.pos - start for", "[allele.pos for"),
        ("self.model, self.mode)][core]", "self.model, self.mode)][0]"),
        ("(a.codes == UNKNOWN_BASE)", "(a.codes > UNKNOWN_BASE)"),
        ("count - 1)\n        start += size", "count - 1)[::-1].copy()\n        start += size"),
        ("columns[order[::-1]] = np.arange(len(order))[::-1]", "columns[order] = 0"),
    ),
    *_of(
        "variants/score/engine.py",
        "unit/variants/score/test_engine.py",
        ("OnItsWay(self._answers(work))", "OnItsWay(self._answers(work).cpu())"),
        ("> LAUNCHED", ">= LAUNCHED"),
        ("windows += work.n_windows", "windows += len(work.windows[0].codes)"),
        ("        return context[at]\n", "        return context[: len(context[at])]\n"),
    ),
    *_of(
        "variants/models/gmt.py",
        "unit/variants/models/test_gmt_training.py",
        ("self.config.use_sequence and bool(self.config.tracks)", "True"),
    ),
    *_of(
        "variants/train/dataset.py",
        "unit/variants/train/test_dataset.py",
        ("        if epoch != self.epoch:\n            self.set_epoch(epoch)\n", ""),
    ),
    *_of(
        "variants/train/supervised.py",
        "unit/variants/train/test_dataset.py",
        ("persistent_workers=request.workers > 0", "persistent_workers=False"),
    ),
    *_of(
        "variants/train/pretrain/run.py",
        "unit/variants/train/pretrain/test_pretrain.py",
        ("persistent_workers=self.request.workers > 0", "persistent_workers=False"),
        ("order.epoch = epoch", "order.epoch = 0"),
    ),
    *_of(
        "learning/strategies.py",
        "unit/learning/test_strategies.py",
        ('return "ddp" if every', 'return "ddp" if not every'),
    ),
    *_of(
        "variants/score/clock.py",
        "unit/variants/score/test_engine.py",
        ("elapsed_time(end) / 1000", "elapsed_time(end)"),
    ),
    *_of(
        "variants/score/reading.py",
        "unit/variants/score/test_engine.py",
        ("if self._last in places:", "if False:"),
        ("self._last = places == [self._last], places[-1]", "self._last = False, places[-1]"),
        ("place for place in places if place != self._last", "place for place in places"),
        ("int(windows[0]) - n_windows", "int(windows[0])"),
        ("first + 1 or None)", "first + 1)"),
        ("np.array_equal(windows, np.arange(n_windows))", "len(windows) == n_windows"),
        (
            "for place in places}\n        self._unknown = {",
            "for place in places[:1]}\n        self._unknown = {",
        ),
        ("self._unknown[places[group.window]]", "self._unknown[places[0]]"),
        ("tensor.pin_memory().to(", "tensor.to("),
    ),
    *_of(
        "learning/lightning.py",
        "unit/learning/test_loop.py",
        ("optimiser._step_supports_amp_scaling = False", "pass"),
        ('and not precision.startswith("16")', ""),
        ("or score > self.best_model_score:", "or score < self.best_model_score:"),
        ("score = -math.inf if math.isnan(score) else score", "pass"),
        ("enable_checkpointing=any(", "enable_checkpointing=bool("),
    ),
    *_of(
        "variants/train/supervised.py",
        "unit/variants/train/test_dataset.py",
        ('resolve_device(request.device).type == "cuda"', "False"),
    ),
    *_of(
        "variants/score/background.py",
        "unit/variants/score/test_background.py",
        ("50.0 * (below + up_to)", "100.0 * below"),
        ("(as_high + 1) / (n + 1)", "as_high / n"),
        ("return -10.0 * np.log10", "return 10.0 * np.log10"),
    ),
    *_of(
        "variants/score/annotate.py",
        "unit/variants/score/test_score.py",
        ("{DIFFERENCE: logit - scores.null", "{DIFFERENCE: scores.null - logit"),
        ("if not e.startswith(_PREFIX)", "if e"),
        ("if each.site == REF_MISMATCH", "if each.site != REF_MISMATCH"),
    ),
    *_of(
        "variants/score/annotate.py",
        "property/genome/vcf/test_lines.py",
        ("np.where(says, ends, starts)", "ends"),
        ("first != ord(MISSING)", "first == first"),
    ),
    *_of(
        "genome/vcf/lines.py",
        "property/genome/vcf/test_lines.py",
        ("np.minimum(found[INFO], ends, out=found[INFO])", "pass"),
        ("if figures.max() > 9:", "if figures.max() > 10:"),
        ("part.ends + shift for", "part.ends for"),
        ("== count - 1:  # nearly always", ">= 0:"),
    ),
]

MODELS = [
    *_of(
        "variants/models/gmt.py",
        "unit/variants/models/test_gmt.py",
        # The contact prior read at bin 0, and the sign of its decay with distance.
        ("contact_bin = bins // BINS_PER_CONTACT", "contact_bin = bins // BINS_PER_CONTACT * 0"),
        ("decay = -torch.log1p(", "decay = torch.log1p("),
        ("(b)[:, None, None] * contacts", "(b)[:, None, None] * -contacts"),
        ("window.signal * window.observed", "window.signal"),
        ("project(around[:, m]), self.absent[m]", "project(around[:, 0]), self.absent[m]"),
        (
            "(self.cls + context.fused[rows, self.layout.token[bins]])",
            "(self.cls + context.fused[rows, bins * 0])",
        ),
    ),
    *_of(
        "variants/models/gmt.py",
        "unit/variants/models/test_layout.py",
        ("signal / observed.clamp(min=1 / POOLED)", "signal"),
    ),
    *_of(
        "variants/models/layout.py",
        "unit/variants/models/test_layout.py",
        ("np.log(bins)", "0 * np.log(bins)"),
        ("[POOLED] * left + [1] * centre", "[1] * centre + [POOLED] * left"),
        (".mean(dim + 1) for part", ".amax(dim + 1) for part"),
    ),
    *_of(
        "variants/models/activity.py",
        "unit/variants/models/test_gmt_activity.py",
        ("            self.reader.eval()", "            pass"),
    ),
    *_of(
        "variants/models/allele_tokens.py",
        "unit/variants/models/test_gmt.py",
        ("ids = ids * 4 + base", "ids = ids + base * 4**j"),
        ("self.k // 2 - self.radius", "self.k // 2 - self.radius + 1"),
        ("start + length[..., None] - 1", "start + length[..., None]"),
    ),
    *_of(
        "variants/models/activity.py",
        "unit/variants/models/test_sharing.py",
        ("same[..., self._features :] = 0", "same[..., : self._features] = 0"),
        ("read = take(read, kinds.of)", "read = read[:, : kinds.of.shape[1]]"),
        ("((kinds.substitutions, at),", "((kinds.substitutions, None),"),
        ("[..., : len(sd)] * sd", "[..., : len(sd)]"),
    ),
    *_of(
        "variants/models/allele_tokens.py",
        "unit/variants/models/test_sharing.py",
        ("places.pick(log_length[..., :1]", "places.pick(log_length[..., 1:]"),
        ("self._compared(ref, torch.zeros_like(ref))", "self._compared(ref, ref)"),
        ("alt_ends.pick(ref_ends.of))", "alt_ends.rows // ENDS)"),
    ),
    *_of(
        "variants/models/gmt.py",
        "unit/variants/models/test_sharing.py",
        ("Answers(logits, places.spread(null)", "Answers(logits, null"),
        ("[bins, places.pick(bins)]", "[bins, bins[:, : places.rows.shape[1]]]"),
    ),
    *_of(
        "variants/models/base.py",
        "unit/variants/models/test_sharing.py",
        ("shared.places.spread(null_logits)", "null_logits"),
    ),
    *_of(
        "variants/models/sharing.py",
        "unit/variants/models/test_sharing.py",
        ("(ref[:, 1:] != ref[:, :-1]).any(2)", "False"),
        ("(np.diff(ref_len) != 0)", "False"),
        ("if new.all() and substitution.all():", "if new.all():"),
        ("(np.diff(offset) != 0)", "False"),
        ("_ends(new, new & ~single)", "_ends(new, ~single)"),
        ("np.ones_like(new), ~substitution)", "np.ones_like(new), ~single)"),
        ("of_other + substitutions.shape[1]", "of_other"),
        ("device=x.device)[:, None], rows", "device=x.device)[:1, None], rows"),
        ("most + -most % step)", "most)"),
    ),
    *_of(
        "variants/models/gmt.py",
        "golden/test_shipped_weights.py",
        ("self.positions * self.position_scale)[bins]", "self.positions)[bins]"),
        ("[:, :, :n_tokens] + self.dropout(self", "[:, :, :n_tokens] * 0 + self.dropout(self"),
    ),
    *_of(
        "variants/models/allele_tokens.py",
        "golden/test_shipped_weights.py",
        ("y + F.gelu(self.conv2(y))", "F.gelu(self.conv2(y))"),
    ),
    *_of(
        "learning/calibration.py",
        "unit/learning/test_calibration.py",
        ("(n_positive + 1) / (n_positive + 2)", "1.0"),
        ("theta - size * step", "theta + size * step"),
        (
            "log_probability, np.float64) / np.asarray(temperature)",
            "log_probability, np.float64) * np.asarray(temperature)",
        ),
    ),
    *_of(
        "learning/conformal.py",
        "unit/learning/test_conformal.py",
        ("(np.asarray(count) + 1) * level", "np.asarray(count) * level"),
        ("np.sort(p[y == k, k])", "np.sort(p[:, k])"),
    ),
    *_of(
        "sequences/generate/markov.py",
        "unit/sequences/generate/test_markov.py",
        # Back-off to the wrong context.
        ("np.tile(tables[-1], (BASES, 1))", "np.repeat(tables[-1], BASES, 0)"),
        ("(context * BASES + bases[:, i])", "(context + bases[:, i] * BASES)"),
        ("count + STRENGTH * lean", "count + lean"),
        ("(bases[:, i - order - 1] < BASES) if", "(bases[:, i - order - 1] <= BASES) if"),
    ),
    *_of(
        "sequences/generate/chain.py",
        "unit/sequences/generate/test_chain.py",
        ("[table[label] for", "[table[label - 1] for"),
    ),
    *_of(
        "sequences/generate/chain.py",
        "unit/sequences/generate/test_markov.py",
        ("after.repeat(1, times)", "after.repeat_interleave(times, 1)"),
        ("len(joint), -1, contexts).sum(1)", "len(joint), contexts, -1).sum(2)"),
    ),
    *_of(
        "sequences/generate/model.py",
        "unit/sequences/generate/test_chain.py",
        ("nan_to_num(nan=-1).long()", "nan_to_num(nan=0).long()"),
        ("(self.conditions) if kind)", "(self.conditions) if not kind)"),
        ("for part in last.parameters()", "for part in ()"),
    ),
    *_of(
        "sequences/generate/train.py",
        "unit/sequences/generate/test_chain.py",
        ("if at is None else job.values[rows, at]", "if at is None or True else 0"),
        ("if job.sequences.aligned:", "if False:"),
    ),
]

SPLITS = [
    *_of(
        "variants/train/splits.py",
        "unit/variants/train/test_splits.py",
        ("> pos - margin)", "> pos)"),
        ('pos + margin, side="right"', 'pos, side="right"'),
        (
            "(found[:, 0] < end) & (found[:, 1] > start)",
            "(found[:, 0] < end) & (found[:, 1] > end)",
        ),
        ('= "beside"', '= "train"'),
    ),
    *_of(
        "learning/folds.py",
        "unit/learning/test_folds.py",
        ("-sizes[name]):", "sizes[name]):"),
        ("load[fold] += sizes[name]", "load[fold] += 0"),
    ),
    *_of(
        "comparison/splits.py",
        "unit/comparison/test_splits.py",
        ("len(np.unique(data.unit)) < len(data)", "False"),
        ("len(np.unique(data.unit[data.label == k]))", "int((data.label == k).sum())"),
        ("max(2, min(n_folds, max(_units_of_classes(data))))", "n_folds"),
    ),
    *_of(
        "comparison/splits.py",
        "unit/sequences/train/test_splits.py",
        ("np.unique(group[rows], return_inverse", "np.unique(rows, return_inverse"),
    ),
    *_of(
        "sequences/train/splits.py",
        "unit/sequences/train/test_splits.py",
        ("np.setdiff1d(known, test)", "known"),
        ("train, valid = cut(rest, VALID_SHARE", "train, valid = cut(known, VALID_SHARE"),
    ),
    # The two haplotypes of a person.
    *_of(
        "sequences/train/splits.py",
        "unit/sequences/train/test_haplotypes.py",
        ("if parted := int((counts > 1).sum())", "if parted := 0"),
    ),
    *_of(
        "sequences/train/classifiers.py",
        "unit/sequences/train/test_haplotypes.py",
        ("divide(data.unit, data.label, every", "divide(every, data.label, every"),
    ),
    *_of(
        "sequences/prepare/vcf.py",
        "unit/sequences/train/test_haplotypes.py",
        ("units=people,", "units=names,"),
    ),
    *_of(
        "sequences/pretrain/frame.py",
        "unit/sequences/train/test_haplotypes.py",
        ("np.isin(sequences.group, sequences.group[held])", "np.isin(sequences.names, ())"),
    ),
    *_of(
        "formats/seen.py",
        "unit/sequences/train/test_haplotypes.py",
        (" | among(items.owners, self.names)", ""),
        ("[items.names[rows], items.owners[rows]]", "[items.names[rows]]"),
    ),
    *_of(
        "comparison/truth.py",
        "unit/sequences/train/test_haplotypes.py",
        ("Truth(codes, sequences.group[rows],", "Truth(codes, rows.astype(np.int64),"),
    ),
]

PROTOCOL = [
    *_of(
        "comparison/tuning.py",
        "unit/comparison/test_protocol.py",
        # Inner cross-validation trained on its own held-out fold.
        ("arch, data.take(fold != i), None", "arch, data, None"),
        ("if new > old:", "if new < old:"),
        ("best is None or nll < best.nll", "best is None or nll > best.nll"),
    ),
    *_of(
        "comparison/tuning.py",
        "unit/comparison/test_coverage.py",
        # The items of a fold are answered by the trial that they chose themselves.
        ("others = fold != i", "others = fold == i"),
    ),
    *_of(
        "sequences/models/linear_start.py",
        "unit/sequences/models/test_linear_start.py",
        ("rest = fold != i", "rest = fold != -1"),
        ("folds_of(train, FOLDS, seed)", "np.arange(len(train)) % FOLDS"),
    ),
    *_of(
        "sequences/models/transformer.py",
        "unit/sequences/models/test_linear_start.py",
        ("gate = min(GATES, key=nll)", "gate = 1.0"),
    ),
    *_of(
        "comparison/protocol.py",
        "unit/comparison/test_protocol.py",
        ("data.take(fold != 0), data.take(fold == 0)", "data, data.take(fold == 0)"),
        ("temperature_of = fit_temperature", "temperature_of = lambda *_: 1.0"),
        ("data.take(split.train), data", "data, data"),
        (
            "calibrated(each, measured[rows], result",
            "calibrated(each * 2, measured[rows], result",
        ),
        (", aside\n", ", train.take(np.arange(len(aside)))\n"),
        ("data.relabelled(shuffled_labels(data.label, settings.seed))", "data"),
        ("Bootstrap(data.unit[rows], DRAWS).blocks()", "Bootstrap(rows, DRAWS).blocks()"),
    ),
]

CALIBRATIONS = [
    *_of(
        "comparison/calibrations.py",
        "unit/comparison/test_calibrations.py",
        ("class_thresholds(at_temperature(own, temperature)", "class_thresholds(np.exp(own)"),
        ("np.where(holds[:, None], thresholds[which], 0.0)", "thresholds[which]"),
        ("repeat(cautious_temperature)", "repeat(temperature_of)"),
        ("if rest and enough(", "if rest and len("),
        ("| ~possible", ""),
        ("is None), -1)", "is None), 0)"),
    ),
]

METRICS = [
    *_of(
        "comparison/metrics/binary.py",
        "unit/comparison/metrics/test_binary.py",
        ("called = hits + np.cumsum(negative)", "called = hits + np.cumsum(negative) - negative"),
        ("bins = bins[np.flatnonzero(starts)][np.cumsum(starts) - 1]", "pass"),
        ("(miss[step_start] + miss[step_end]) / 2", "miss[step_end]"),
        ("np.abs(difference) > min_difference", "np.abs(difference) >= 0"),
        ("np.cumsum(mass) - mass / 2", "np.cumsum(mass)"),
        ("(group[step:] == group[:-step]) &", "(group[step:] == group[step:]) &"),
        ("size >= min_items", "size > 0"),
        ("mass / np.maximum(size, 1), 0)", "1, 0)"),
        ("total(w * a) * per_item", "(w @ a) / w.sum()"),
    ),
    *_of(
        "comparison/metrics/multiclass.py",
        "unit/comparison/metrics/test_multiclass.py",
        ("np.take(self._weights, at.own, axis=1)", "np.ones((len(self._weights), len(at.own)))"),
        ("- (called - until + above[:, at.start] - before) / 2", "- (called - until)"),
        ("_mean(t.recall, t.true > 0)", "_mean(t.recall, t.present)"),
        ("2 * value - high, 2 * value - low", "low, high"),
        ("top * (1 - top), N_BINS", "top, N_BINS"),
    ),
    *_of(
        "comparison/bootstrap.py",
        "unit/comparison/test_bootstrap.py",
        ("minlength=n)[self._unit]", "minlength=n)[np.arange(len(self._unit)) % n]"),
        ("drawn = rng.integers(0, n, n)", "drawn = rng.permutation(n)"),
        ("if draw >= self._skip:", "if draw < self.draws:"),
        ("- metric(y, other, weights=weights)", "- metric(y, other)"),
        ("n_contigs >= MIN_CONTIGS", "n_contigs >= 1"),
    ),
    *_of(
        "sequences/score/retrieval.py",
        "unit/sequences/models/test_alignment.py",
        # Ties resolved in our favour.
        (
            'hit = np.take_along_axis(right, np.argsort(-score, axis=1, kind="stable"), 1)',
            "hit = np.take_along_axis(right, np.argsort(-score - 1e-9 * right, axis=1), 1)",
        ),
        (
            'order = np.argsort(-score.T, axis=1, kind="stable")',
            'order = np.argsort(-score.T - 1e-9 * right.T, axis=1, kind="stable")',
        ),
        ("times.cumsum(1) - times", "times.cumsum(1)"),
        ("gap | (own[:, None] == other)", "gap & (own[:, None] == other)"),
    ),
]

ACTIVITY = [
    *_of(
        "sequences/activity/sources.py",
        "unit/sequences/activity/test_sources.py",
        (
            "among(learned.digests.values, held_out) | here",
            "among(learned.digests.values, held_out)",
        ),
        ("np.concatenate([codes, reverse_complement(codes)])", "codes"),
        ("(trait.values - outputs[i].mean) / outputs[i].sd", "trait.values / outputs[i].sd"),
        ("np.where(values < 0, np.nan, values == number)", "values == number"),
        ("if trait.name in taken and trait.name not in kept", "if trait.name in taken"),
        ("if (sizes != 2).any():", "if (sizes > 2).any():"),
        ("learned.known[items].any(1)", "learned.known[items].any(1) | True"),
    ),
    *_of(
        "sequences/activity/learning.py",
        "unit/sequences/activity/test_learning.py",
        ("(1 - config.own_share) / config.own_share", "(1 - config.own_share)"),
        ("-most, most + 1, (", "0, most + 1, ("),
        ("(len(codes), 1, 1)", "(*codes.shape[:2], 1)"),
        (".masked_fill((at < 0) | (at >= length), ANY)", ""),
        (
            "lambda way: self._model.standardised(0, way, rows)",
            "lambda way: self._model.standardised(0, bases(batch.codes[:, 0]), rows)",
        ),
        ("(found - target.nan_to_num()).square()", "(found - target).square()"),
        ("batch.target[:, 1] - batch.target[:, 0]", "batch.target[:, 0] - batch.target[:, 1]"),
        ("self._config.difference * difference", "difference"),
        ("known.sum().clamp(min=1)", "known.numel()"),
        ("torch.where(is_class, nats,", "torch.where(~is_class, nats,"),
    ),
    *_of(
        "sequences/activity/ridge.py",
        "unit/sequences/activity/test_ridge.py",
        ("values - values.mean()", "values"),
        ("np.append(column, self.d)", "np.append(column, 0)"),
        ("if error < least:", "if error > least:"),
        ("residual - step * towards", "residual + step * towards"),
    ),
    *_of(
        "sequences/activity/train.py",
        "unit/sequences/activity/test_activity_run.py",
        ("number % len(start.members)", "0"),
        ("seed = setting.seed + number", "seed = setting.seed"),
        ("seen = seen.joined(Seen(keys, keys[:0], keys[:0]))", "pass"),
        ("kept = own.names if pairs else ()", "kept = ()"),
    ),
    *_of(
        "sequences/models/motifs.py",
        "unit/sequences/models/test_motifs.py",
        ("= (mean - thresholds) / sd", "= 0.0"),
        ("odds * size[:, None, None]", "odds"),
    ),
    *_of(
        "sequences/models/network.py",
        "unit/sequences/models/test_motifs.py",
        ("start_from(self.module.filters, self.motifs)", "pass"),
    ),
    *_of(
        "comparison/entrants.py",
        "unit/sequences/models/test_motifs.py",
        ("self.equip(model)", "pass"),
    ),
    *_of(
        "sequences/activity/results.py",
        "unit/sequences/activity/test_activity_run.py",
        ("answers[:, np.isfinite(truth[split.test])]", "answers[:, : len(test)]"),
    ),
    *_of(
        "learning/activity.py",
        "unit/learning/test_activity.py",
        ("mean + sd * self.standardised", "sd * self.standardised"),
        ("torch.ones_like(x[:, :1])", "torch.ones_like(x)"),
        ("torch.cat([first, p, last], 1)", "torch.cat([last, p, first], 1)"),
        ("answer(p.flip(1, 2))", "answer(p.flip(1))"),
    ),
]

PROFILES = [
    *_of(
        "formats/sequences.py",
        "unit/formats/test_sequences.py",
        ("tuple(map(names.index, others)), signal", "tuple(range(len(names))), signal"),
        ("or not numbers.issuperset(names)", ""),
        ("any(paired.get(other) != name for", "any(other not in paired for"),
    ),
    *_of(
        "sequences/prepare/profiles.py",
        "unit/sequences/prepare/test_signal.py",
        ("views[starts - first]", "views[np.arange(len(rows))]"),
        ("signal[:, list(self.opposite), ::-1]", "signal[:, :, ::-1]"),
        ("signal[:, list(self.opposite), ::-1]", "signal[:, list(self.opposite)]"),
        ("bins.mean[~bins.covered] = np.nan", "pass"),
        ('if self.uncovered == "missing":', "if True:"),
        ('rows = rows[np.argsort(self.windows.start[rows], kind="stable")]', "pass"),
        ("if values.min() < 0:", "if values.max() < 0:"),
    ),
    *_of(
        "sequences/prepare/signal.py",
        "unit/sequences/prepare/test_signal.py",
        ("other |= {plus: minus, minus: plus}", "pass"),
        ("values[:, list(opposite)], values)", "values, values)"),
    ),
    *_of(
        "learning/profiles.py",
        "unit/learning/test_profiles.py",
        ("other.profile.flip(-1).log_softmax(-1)", "other.profile.log_softmax(-1)"),
        ("[self.config.opposite[row] for row in rows]", "list(rows)"),
        ("self.counts.bias.copy_(", "self.counts.bias.add_("),
        ("first = max(0, beside - reach)", "first = beside"),
        ("(self.length - self.profile) % 2", "False"),
        ("paired = sorted(opposite) == numbers", "paired = True"),
        ("control[:, list(self.config.control_opposite)].flip(-1)", "control.flip(-1)"),
        ("torch.cat([control, around], 1)", "torch.cat([around, control], 1)"),
        ("SMOOTH // 2, count_include_pad=False)", "SMOOTH // 2)"),
        ("nn.init.zeros_(self.control_profile.weight)", "pass"),
        ("nn.init.zeros_(self.control_counts.weight)", "pass"),
    ),
    *_of(
        "learning/layers/convolution.py",
        "unit/learning/test_profiles.py",
        ("dilated(channels, NARROW, 2**i)", "dilated(channels, NARROW, 2 * i)"),
    ),
    *_of(
        "sequences/profile/windows.py",
        "unit/sequences/profile/test_learning.py",
        ("(counts.sum(-1) / share)", "counts.sum(-1)"),
        ("measured = share >= COVERED", "measured = share > COVERED"),
    ),
    *_of(
        "sequences/profile/learning.py",
        "unit/sequences/profile/test_learning.py",
        ("(seen.counts + 1).lgamma().sum(-1)", "0"),
        ("profile.masked_fill(~seen.known, -torch.inf)", "profile"),
        ("log_p = log_p.masked_fill(~seen.known, 0)", "pass"),
        ("signal[:, list(others)].flip(-1)", "signal.flip(-1)"),
        ("seen(batch.control, config.control_opposite)", "seen(batch.control, (0, 1))"),
        ("signal[:, list(others)].flip(-1)", "signal[:, list(others)]"),
        ("(length - size) // 2 + by +", "(length - size) // 2 - by +"),
        ("self._alpha / 2 *", "self._alpha *"),
        (
            "self._model.answers(bases(batch.codes), control)",
            "self._model(bases(batch.codes), control)",
        ),
        ("- target.nan_to_num()).square()", "- target).square()"),
    ),
    *_of(
        "sequences/profile/results.py",
        "unit/sequences/profile/test_results.py",
        ("own.roll(1, 0)", "own"),
        ("total += (seen.counts / reads.clamp(min=1e-30)).sum(0)", "total += seen.counts.sum(0)"),
        ("log_p + n_known.double().log()", "log_p + np.log(counts.shape[-1])"),
        ("gain[m, order[where]], jsd[m, order[where]] =", "gain[m, where], jsd[m, where] ="),
        ("_ratio(w @ gain, w @ reads)", "_ratio(w @ gain, w.sum())"),
        ("less = per_read(own - mean_gain), per_read", "less = per_read(own), per_read"),
    ),
    *_of(
        "sequences/profile/train.py",
        "unit/sequences/profile/test_profile_run.py",
        ("counts[split.train], request", "counts[split.test], request"),
        ("0 < size <= length - 2 * shift", "0 < size <= length"),
        ('"][:, of]', '"][:, to]'),
        ("own[name][to] = its[name][of]", "own[name][to] = its[name][to]"),
        ("model.body.load_state_dict(start.body.state_dict())", "pass"),
        ("job.split, request.init)", "job.split)"),
        ("names, options.controls)", "names)"),
    ),
    *_of(
        "variants/models/profile.py",
        "unit/variants/models/test_profile.py",
        ("return alt - ref", "return ref - alt"),
    ),
    *_of(
        "variants/models/start.py",
        "unit/variants/models/test_profile.py",
        ("if not config.reads_window and config.model != TASK:", "if False:"),
    ),
]

SUITE = [
    *_of(
        "variants/score/lookup.py",
        "unit/variants/score/test_lookup.py",
        ('_SAID = ("Background", "Calibration")', '_SAID = ("Background",)'),
        ('found=", ".join(f"{name} {there', 'found=", ".join(f"{name} {here'),
        ("if not _agree(before, row):", "if False:"),
        ("ROUNDING = 1e-3", "ROUNDING = 1e-9"),
    ),
    *_of(
        "variants/evaluate/suite/stack.py",
        "unit/variants/evaluate/suite/test_stack.py",
        ("np.nanmean(valid, 0), np.nanstd(valid, 0)", "0.0, np.nanstd(valid, 0)"),
        ("[member.score for member in members], 1", "[_valid(member) for member in members], 1"),
        ("target = task.target[task.valid]", "target = task.target[task.test]"),
        ("both = np.isfinite(other)", "both = np.isfinite(own)"),
        ("min(members, key", "max(members, key"),
        ("judge.replicates(measure, own, both) -", "judge.replicates(measure, own) -"),
    ),
    *_of(
        "variants/evaluate/suite/results.py",
        "unit/variants/evaluate/suite/test_stack.py",
        ('e.kind in ("baseline", "column")', 'e.kind != "model"'),
        ("    if less.sign > 0:\n        said", "    if less.value > 0:\n        said"),
    ),
    *_of(
        "variants/trained.py",
        "unit/variants/evaluate/suite/test_run.py",
        ("if each.keeps_order", "if each"),
    ),
    *_of(
        "variants/conditions.py",
        "unit/variants/evaluate/suite/test_run.py",
        ("self.platt.slope > 0", "self.platt.slope < 0"),
    ),
    *_of(
        "variants/evaluate/leaderboard.py",
        "unit/variants/evaluate/test_leaderboard.py",
        ("both = known & np.isfinite(row.score)", "both = known"),
        ("own - judge.replicates(measure, row.score, both)", "own - row.metrics[main].value"),
        ("own = ahead if (both == known).all() else", "own = ahead if True else"),
        ("(r for r in rows if r.n == whole)", "rows"),
        ("leads and row.name != leader.name,", "False,"),
        ("d[0].digest == each.digest or ", ""),
        ("if request.reference else leader", "if False else leader"),
        ("if row.behind.sign < 0]", "if row.behind.value > 9]"),
        ("if names.count(name) == 1\n        else [dataset", "if True\n        else [dataset"),
        ("and np.array_equal(r.score, row.score, equal_nan=True)", ""),
        ("if one == two:", "if len(one) == len(two):"),
        ("controls=controls if i == 0 else {}", "controls=controls"),
        ("if not abs(again", "if False and not abs(again"),
        ("if board.leads and (level or above):", "if board.leads and above:"),
    ),
    *_of(
        "variants/evaluate/suite/columns.py",
        "unit/variants/evaluate/suite/test_columns.py",
        ("- MAX_SHIFT, np.array(starts[name]) + MAX_SHIFT", ", np.array(starts[name])"),
        ("if base != expected", "if base == expected"),
        ("differing > AUDIT_SHARE", "differing > 5 * AUDIT_SHARE"),
        ("and before != value", "and before > value"),
        ('min if self.direction == "down" else max', "max"),
        ("[int(text) - 1]", "[int(text)]"),
        ("_placed(self._shard, name, pos - 1,", "_placed(self._shard, name, pos,"),
    ),
    *_of(
        "variants/evaluate/suite/entrants.py",
        "unit/variants/evaluate/suite/test_columns.py",
        ('task.train, "training")', 'task.test, "training")'),
        ("return bool(quality < 0)", "return bool(quality > 0)"),
        ('column.direction == "down", "declared"', 'False, "declared"'),
    ),
]

DIFFERENCES = [
    *_of(
        "variants/explain/alleles.py",
        "unit/variants/explain/test_activity.py",
        (
            "cell = request.cell or scored_cell",
            "cell = scored_cell(reader.header, loaded) or scored_cell",
        ),
        ('facts.get("Model") != [loaded.name]', "False"),
        ("own = [of_output(activity.of_cell(cell))]", "own = [of_output(cell + cell)]"),
    ),
    *_of(
        "variants/models/activity.py",
        "unit/variants/models/test_activity.py",
        ("self.flank = network.config.length // 2", "self.flank = network.config.length // 2 - 1"),
        ("torch.full((1, 4), 0.25)", "torch.zeros(1, 4)"),
    ),
    *_of(
        "learning/activity_differences.py",
        "property/learning/test_activity_differences.py",
        ("(alt - ref).unbind(-1)", "(ref - alt).unbind(-1)"),
        ("sd * standardised(", "standardised("),
        ("len(left) + at", "at"),
        ("ref.shape[1] - 1 - at", "ref.shape[1] - at"),
        ("(at + before) // POOL + 1", "(at + before) // POOL"),
        ("max(0, at - width + 1 + before)", "max(0, at - before + 1)"),
        ("without[..., before + at] = 0", "without[..., at] = 0"),
    ),
    *_of(
        "variants/models/activity.py",
        "property/variants/models/test_activity.py",
        ("_differences(variants, self.flank)", "_differences(variants, self.flank - 8)"),
        ("network.both_strands(p", "network(p"),
    ),
    *_of(
        "learning/activity.py",
        "unit/variants/models/test_activity.py",
        (
            "tuple(each.name for each in of_assay or quantities)",
            "tuple(o.name for o in quantities)",
        ),
    ),
    *_of(
        "variants/score/differences.py",
        "unit/variants/score/test_differences.py",
        ("count(o.name) / len(self.averaged) / o.sd", "count(o.name) / len(self.averaged)"),
        ("count(o.name) / len(self.averaged)", "1 / len(self.averaged)"),
        ("values[:, k] for k, o in", "values[:, 0] for k, o in"),
        ('.replace("{", "{{")', ""),
        ("({self._named})", ""),
    ),
    *_of(
        "variants/score/annotate.py",
        "unit/variants/score/test_differences.py",
        (
            "np.abs(self.differences.mean(scores.differences))",
            "self.differences.mean(scores.differences)",
        ),
    ),
    *_of(
        "learning/activity.py",
        "unit/variants/score/test_differences.py",
        ("for name in (cell + OF_CELL, cell)", "for name in (cell, cell + OF_CELL)"),
    ),
    *_of(
        "variants/explain/activity.py",
        "unit/variants/explain/test_activity.py",
        ("activity, cell=request.cell).weights", "activity).weights"),
    ),
    *_of(
        "variants/score/reading.py",
        "unit/variants/score/test_differences.py",
        ("core, allele.is_substitution].append(i)", "0, allele.is_substitution].append(i)"),
    ),
    *_of(
        "variants/score/engine.py",
        "unit/variants/score/test_differences.py",
        ("answers[n_logits:].T", "answers[n_logits:][::-1].T"),
    ),
    *_of(
        "variants/score/plan.py",
        "unit/variants/score/test_differences.py",
        ("b.statistic == self.statistic", "b.statistic"),
        ("contacts=contacts, uncovered=None)", "contacts=contacts, uncovered=files.uncovered)"),
        ("if config.reads_window else Given((), False)", ""),
        ('"" if config.reads_window else request.genome.cell', '""'),
        ('precision="fp32", both_strands=True', "both_strands=True"),
    ),
    *_of(
        "variants/score/tags.py",
        "unit/variants/score/test_differences.py",
        ("RANKING = (LOGIT, PROBABILITY, ACTIVITY)", "RANKING = (LOGIT, PROBABILITY)"),
        ("return key == ACTIVITY or", "return False and"),
    ),
    *_of(
        "variants/evaluate/scores.py",
        "unit/variants/evaluate/test_scores.py",
        ("np.abs(self.score) if self.signed else self.score", "np.abs(self.score)"),
        ("other is not None and self.other_signed", "other is not None"),
        ("label=np.abs(self.label)", "label=self.label"),
        ("return table if quantities else table.magnitudes()", "return table"),
        ("(MAGNITUDES, table.magnitudes())", "(MAGNITUDES, table)"),
    ),
    *_of(
        "variants/explain/activity.py",
        "unit/variants/explain/test_activity.py",
        ("return -self._path(base, ref, steps)", "return self._path(base, ref, steps)"),
        ("((end - base) * path.gradients", "(end * path.gradients"),
        ("rows[at, at // 4] = at % 4", "rows[at, at // 4] = at % 4 * 0"),
        ("@ self.weights", "@ (self.weights * 0 + 0.5)"),
        ("site.allele.pos]", "len(self.request.select)]"),
    ),
    *_of(
        "learning/encoders/base.py",
        "unit/learning/test_encoders.py",
        ("if path.suffix in READ)", ")"),
        ("{path.name}\\0{sha256(path)}", "{path.name}"),
    ),
    *_of(
        "learning/encoders/program.py",
        "unit/learning/test_encoders.py",
        ("middle = given.shape[1] * (codes.shape[1] // 2) // codes.shape[1]", "middle = 0"),
        ("masked_fill((runs > 3).any(-1), -1)", "masked_fill((runs > 4).any(-1), -1)"),
        ("torch.arange(self._k, device=codes.device).flip(0)", "torch.arange(self._k)"),
        ("given[:, first : given.shape[1] - last]", "given[:, first:]"),
        ('== ".pt2" and not is_trusted(folder)', '== ".pt3" and not is_trusted(folder)'),
    ),
    *_of(
        "learning/encoders/hugging_face.py",
        "unit/learning/test_encoders.py",
        ("inside[row, part] = 1", "inside[row, :] = 1"),
        ("mask[row, : part.stop + after] = 1", "mask[row] = 1"),
        ('len(text) // 2, side="right")', 'len(text) // 2 - 3, side="right")'),
        ("if not self.trusted and kind not in", "if kind not in"),
        ("if self.trusted and elsewhere:", "if False:"),
        ('if not any(folder.glob("*.safetensors")):', "if False:"),
        ("max(0, min(middle - most // 2, len(ids) - most))", "0"),
        ('"left over": [n for n in extra', '"left over": [n for n in extra[:0]'),
        ("if lacking:", "if False:"),
    ),
    *_of(
        "variants/models/frozen.py",
        "unit/variants/models/test_frozen.py",
        ('if config.digest not in ("", encoder.digest):', "if False:"),
        ("if features.shape[1] != 2 * self.config.width:", "if False:"),
        ("width = config.width or encoder.width(bases)", "width = encoder.width(bases)"),
    ),
    *_of(
        "sequences/score/tracks.py",
        "unit/sequences/score/test_tracks.py",
        ("[:, list(model.config.opposite)].flip(-1)", ".flip(-1)"),
        (
            "counts[:, list(model.config.opposite)].flip(-1)",
            "counts[:, list(model.config.opposite)]",
        ),
        ("sequences.windows.start[some] + beside", "sequences.windows.start[some]"),
        (
            "yield Stretch(start, total[:, :done] / covering[:done])",
            "yield Stretch(start, total[:, :done])",
        ),
        ("known & (sequences.windows.contig == number)", "sequences.windows.contig == number"),
    ),
    *_of(
        "sequences/explain/motifs.py",
        "unit/sequences/explain/test_motifs.py",
        ("if place in seen:", "if False:"),
        ("covers[better] >= COVERED", "covers[better] > 0"),
        ("sites.start, sites.end - 1)", "sites.start, sites.end)"),
    ),
    *_of(
        "sequences/explain/plots.py",
        "unit/sequences/explain/test_motifs.py",
        ("[[0.0], np.abs(values).cumsum()]", "[[0.0], values.cumsum()]"),
    ),
    *_of(
        "sequences/explain/page.py",
        "cli/test_explain_sequences.py",
        ("sizes[-1] / 2)) + 1", "sizes[-1] / 2))"),
    ),
    *_of(
        "cohorts/explain/page.py",
        "cli/test_explain_cohort.py",
        ("each.attribution > 0]", "each.attribution < 0]"),
        ("-abs(each.attribution)", "-each.attribution"),
        ("values[chosen].mean(0)", "values.mean(0)"),
    ),
    *_of(
        "report/vector.py",
        "unit/report/test_vector.py",
        ("here = near[-1] if near else start", "here = near[-1] if near else here"),
        ("sorted(map(float, bar.group(2, 4)))", "[*map(float, bar.group(2, 4))]"),
        ("if look == same and", "if look is not None and"),
        ('"svg.fonttype": "none"', '"svg.fonttype": "path"'),
    ),
    *_of(
        "report/explained.py",
        "cli/test_explain_cohort.py",
        ('np.argsort(-probability, kind="stable")[:MOST]', "np.arange(len(probability))[:MOST]"),
        ("if each[0] != row.explained.of_class), (", "), ("),
        ("key=lambda item: -item[1]", "key=lambda item: item[1]"),
    ),
    *_of(
        "variants/explain/browser.py",
        "unit/variants/explain/test_browser.py",
        ("{start + 1}\\t{value!s}", "{start + 1}\\t{value:.4g}"),
        ("values[values == 0] = np.nan", "values[values < 0] = np.nan"),
    ),
    *_of(
        "variants/explain/browser.py",
        "unit/variants/explain/test_region.py",
        ("(starts >= 0) & (starts < length)", "(starts >= 0)"),
        ("self._write_bases(stem, title", "self._write_bases(SESSION, title"),
    ),
    *_of(
        "variants/score/tracks.py",
        "unit/variants/score/test_tracks.py",
        ("max(texts, key=lambda text: abs(float(text)))", "max(texts, key=float)"),
        ("{contig}\\t{pos - 1}\\t{pos}", "{contig}\\t{pos}\\t{pos + 1}"),
        ("(*tracks.contigs, *lengths)", "lengths"),
        ("(contig != last or pos < at)", "contig != last"),
        ("            tracks.flush()", "            pass"),
        ('if tag.kind == "Float"', 'if tag.kind != "Integer"'),
    ),
    *_of(
        "variants/explain/region.py",
        "unit/variants/explain/test_region.py",
        ("Interval(contig, max(0, start - around)", "Interval(contig, max(0, start)"),
        ("min(end + around, contigs[contig])", "end + around"),
        ("allele.alt if allele.is_substitution else slice(None)", "slice(None)"),
        ("changes[places, bases] = values", "changes[places, bases] = -values"),
    ),
    *_of(
        "variants/explain/heat_map.py",
        "unit/variants/explain/test_region.py",
        ("np.nan_to_num(np.abs(self.changes)).argmax", "np.nan_to_num(self.changes).argmax"),
    ),
    *_of(
        "variants/explain/page.py",
        "unit/variants/explain/test_page.py",
        ("key=lambda entry: entry[:2], reverse=True)", "key=lambda entry: entry[:2])"),
        (
            "(key, -self.explained) < self._rows[0][:2]",
            "(key, -self.explained) > self._rows[0][:2]",
        ),
        ("first - NEAR, allele.pos", "first - NEAR * 4, allele.pos"),
        ("both_strands=not reads_window", "both_strands=reads_window"),
        ("key=lambda i: rows[i].order", "key=lambda i: rows[i].locus"),
    ),
]

PAGES = [
    *_of(
        "variants/evaluate/suite/figures.py",
        "unit/variants/evaluate/suite/test_run.py",
        ("for entrant in suite.entrants)", "for entrant in suite.entrants[:TOGETHER])"),
    ),
    *_of(
        "variants/evaluate/leaderboard.py",
        "unit/variants/evaluate/test_leaderboard.py",
        ("for row in best if row is not others[0]]", "for row in best]"),
    ),
]

TERMINAL = [
    *_of(
        "cli/output.py",
        "unit/cli/test_output.py",
        ('cell.replace(" [", "\\n[")', "cell"),
        ("key=lambda i: wanted[i] - widths[i]", "key=lambda i: -wanted[i]"),
        ("(_WORDS_AND_BRACKETS, _WORDS)", "(_WORDS,)"),
        ("min(longest, console.width // 2)", "longest"),
        (r'"$|[-+.\d]|nan$"', r'"$|[-+.\d]"'),
    ),
    *_of(
        "variants/score/doctor.py",
        "unit/variants/score/test_doctor.py",
        ("failed = not value <= tolerance", "failed = value > tolerance"),
        ("failed = not correlation >= least", "failed = False"),
    ),
    *_of(
        "cli/help.py",
        "contract/test_cli_contract.py",
        ("if everything or not leaf.option.rare", "if leaf.is_required"),
        ("max(width, 10), break_on_hyphens=False", "max(width, 10)"),
        (' and not all(f"{name}:" in text for name in leaf.choices)', ""),
    ),
    *_of(
        "cli/command.py",
        "contract/test_cli_contract.py",
        ("(leaf.usage for leaf", "(leaf.metavar for leaf"),
    ),
    *_of(
        "cli/inputs.py",
        "contract/test_missing_inputs.py",
        ("and not path.exists()", "and not path.parent.exists()"),
        ("                    model_folder(value)", "                    pass"),
        (
            "            elif leaf.is_path or (leaf.option.reads and leaf.choices):",
            "            elif leaf.is_path:",
        ),
    ),
    *_of(
        "options.py",
        "contract/test_cli_contract.py",
        ("rare = RARE in notes", "rare = False"),
    ),
]

BASELINES = [
    *_of(
        "comparison/clustering.py",
        "unit/comparison/test_clustering.py",
        (
            "bootstrap = Bootstrap(unit, DRAWS, seed)",
            "bootstrap = Bootstrap(np.arange(len(unit)), DRAWS)",
        ),
        ("mean(after - before, own)", "mean(after, own)"),
    ),
    *_of(
        "comparison/contest.py",
        "unit/comparison/test_protocol.py",
        ("result.rows[: len(result.vectors)]", "result.rows[-len(result.vectors) :]"),
    ),
    *_of(
        "cohorts/simulate/copy_number.py",
        "unit/cohorts/simulate/test_generative.py",
        ("yield np.maximum(likelihood, np.float32(LEAST))", "yield likelihood"),
    ),
    *_of(
        "cohorts/simulate/factors.py",
        "unit/cohorts/simulate/test_factors.py",
        ("total.precision[:, own, own] += part.precision", "pass"),
        ("(volume[:, None] - mean + fit) / 2", "(volume[:, None] + fit) / 2"),
        ("volume = np.linalg.slogdet(prior)[1] - ", "volume = -"),
        ("row = np.arange(n) * rows // n", "row = np.arange(n) % rows"),
    ),
    *_of(
        "cohorts/fit/factors.py",
        "unit/cohorts/fit/test_factors.py",
        ("own -= means[:, :, None] * means[:, None, :]", "pass"),
        ("clean = measured.without_batches().values", "clean = measured.values"),
        ("measured = replace(measured, values=values)", "pass"),
        ("len(shown) // SAMPLES_PER_FACTOR", "len(shown)"),
        ("observed[present] = ~np.isnan(shown)", "observed[present] = True"),
        ("np.where((loadings @ root @ axes.T).sum(0) < 0, -1, 1)", "np.ones(len(axes))"),
    ),
    *_of(
        "formats/writer.py",
        "unit/formats/test_sequences.py",
        ("packing = _packing(shape, dtype) if array.packed else {}", "packing = {}"),
        ("<= row * shape[0] <= PACKED[1]", "<= row * shape[0]"),
    ),
    *_of(
        "formats/genome_shard.py",
        "unit/formats/test_sequences.py",
        ("values.flags.writeable = False", "pass"),
    ),
    *_of(
        "cohorts/models/linear.py",
        "unit/cohorts/models/test_defaults.py",
        ("return STRENGTHS[int(np.argmin(loss))]", "return STRENGTHS[int(np.argmax(loss))]"),
        ("fit_temperature(of_strength, label) if calibrated else 1.0", "1.0"),
        ("held, kept = fold == i, fold != i", "held, kept = fold == i, fold == fold"),
        ("% FOLDS if count[k] > 1 else -1", "% FOLDS"),
    ),
    *_of(
        "sequences/pretrain/align.py",
        "unit/sequences/models/test_alignment.py",
        ("away = np.isin(group, group[unseen])", "away = unseen"),
        ("(AMONG_UNSEEN, ~seen)", "(AMONG_UNSEEN, seen)"),
        ("if phenotype.name != label)", "if phenotype.name)"),
    ),
    *_of(
        "cohorts/models/xgboost.py",
        "unit/cohorts/models/test_baselines.py",
        ("np.nextafter(condition, np.float32(-np.inf))", "condition"),
    ),
    *_of(
        "cohorts/models/mofa.py",
        "unit/cohorts/models/test_mofa.py",
        ("pairs += of.variance[:, :, None] * np.eye(f)", "pairs += 0"),
        ("np.tile(np.eye(f), (n, 1, 1))", "np.zeros((n, f, f)) + 1e-9 * np.eye(f)"),
    ),
    *_of(
        "cohorts/models/network.py",
        "unit/cohorts/models/test_tabular_networks.py",
        ("label.repeat_interleave(logits.shape[1])", "label.repeat(logits.shape[1])"),
    ),
    *_of(
        "cohorts/train/holdout.py",
        "unit/cohorts/train/test_holdout.py",
        ("n_folds, seed + r) for r", "n_folds, seed) for r"),
    ),
    *_of(
        "comparison/contest.py",
        "unit/comparison/test_protocol.py",
        ("settings.seed + split.repeat)", "settings.seed)"),
        ("seed + split.repeat for seed", "seed for seed"),
        ("replace(entrant, control=False), replace(rules", "entrant, replace(rules"),
    ),
    *_of(
        "comparison/results.py",
        "unit/comparison/test_results.py",
        ("each.probability[:repeats]]", "each.probability[:1].repeat(repeats, 0)]"),
        ("over_splits.get(each, differences[each])", "differences[each]"),
        ("zip(study.repeats, *both", "zip(study.repeats[:1].repeat(2, 0), *both"),
    ),
    *_of(
        "comparison/intervals.py",
        "unit/comparison/test_bootstrap.py",
        ("(1 / len(known) + held_out)", "(1 / len(known))"),
    ),
    *_of(
        "comparison/protocol.py",
        "unit/comparison/test_protocol.py",
        ("aside is not None and rules.trials == 1", "False"),
    ),
    *_of(
        "sequences/models/gkm.py",
        "unit/sequences/models/test_gkm.py",
        ("comb(l - a, k - a) *", "comb(l, k - a) *"),
        ("3 - number // 4**i % 4", "number // 4**i % 4"),
        ("else 2 * result)", "else result)"),
    ),
]

MUTATIONS = [
    *(*GENOME, *RECORDS, *ENGINE, *MODELS, *SPLITS, *PROTOCOL, *CALIBRATIONS, *METRICS),
    *ACTIVITY,
    *PROFILES,
    *DIFFERENCES,
    *SUITE,
    *PAGES,
    *TERMINAL,
    *BASELINES,
]
