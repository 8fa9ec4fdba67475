"""One verb for several domains: ``genomix VERB [DOMAIN] INPUT``.

With the name of a domain, the command is that domain's. Without it, the input decides. To find the
input among the arguments, it must be known which options of any domain take a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from typer.core import TyperGroup

from genomix_cli.cli.command import Command, RequestCommand, command
from genomix_cli.cli.common import CONFIG
from genomix_cli.cli.help import write_group_help
from genomix_cli.cli.settings import keys
from genomix_cli.errors import DataError, UsageError
from genomix_cli.formats.detect import (
    domain_of_run,
    is_cohort,
    is_hdf5,
    is_sequences,
    is_table_or_fasta,
)
from genomix_cli.options import Leaf

HELP = ("-h", "--help", "--help-all")
MODEL = ("-m", "--model")


@dataclass(frozen=True)
class Domain:
    """A kind of input of a verb, and the command for it.

    Attributes
    ----------
    names : str
        Plural noun for messages, such as ``cohorts``.
    phrase : str
        Noun phrase for one input, such as ``a cohort``.
    owns : callable
        Function that returns True if the file or folder at a path belongs to this domain.
    command : Command
        Command of a verb.
    """

    names: str = ""
    phrase: str = ""
    owns: Callable[[Path], bool] = lambda path: True
    command: Command = field(default_factory=lambda: Command("", {}))

    def with_command(self, command: Command) -> Domain:
        """Return the domain with the command of a verb."""
        return replace(self, command=command)

    def runs(
        self, function: Callable[[Any], int | None], *examples: str, threads: bool = True
    ) -> Domain:
        """Return the domain with a command built from a function."""
        return self.with_command(command(function, *examples, threads=threads))


VARIANTS = Domain("variants", "of variants")
COHORTS = Domain("cohorts", "a cohort", is_cohort)
SEQUENCES = Domain("sequences", "a file of sequences", is_sequences)


@dataclass(frozen=True)
class Verb:
    """A subcommand that several domains have.

    Attributes
    ----------
    name, help : str
    domains : dict of str to Domain
        Domains by name; the first takes inputs that no other owns.
    examples : tuple of str
        By default the first example of each domain.
    by_input : bool
        True if the name of the domain may be left out.
    prepared : bool
        True if all domains read only files that `prepare` has made.
    """

    name: str
    help: str
    domains: Mapping[str, Domain]
    examples: tuple[str, ...] = ()
    by_input: bool = True
    prepared: bool = False


class VerbGroup(TyperGroup):
    """The Click group of a `Verb`."""

    def __init__(self, verb: Verb) -> None:
        self.verb = verb
        known = [
            key
            for domain in verb.domains.values()
            for leaf in domain.command.leaves()
            for key in keys(leaf)
        ]
        commands: dict[str, Any] = {
            word: RequestCommand(
                word,
                domain.command,
                [verb.name] if verb.by_input else [verb.name, word],
                known if verb.by_input else (),
            )
            for word, domain in verb.domains.items()
        }
        super().__init__(
            name=verb.name,
            commands=commands,
            help=verb.help,
            no_args_is_help=True,
            rich_markup_mode=None,
        )

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the domains, in their own order."""
        return list(self.verb.domains)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the domain's name if the arguments have none."""
        words = {*self.verb.domains, *HELP}
        if self.verb.by_input and args and args[0] not in words:
            try:
                word = self._word(args)
            except UsageError:
                if not ctx.resilient_parsing:
                    raise
                word = next(iter(self.verb.domains))  # shell completion of an unfinished line
            args = [word, *args] if word else ["--help"]
        return super().parse_args(ctx, args)

    def _word(self, args: Sequence[str]) -> str:
        """Return the domain that owns the input; empty for a request of general help."""
        options = {word: _spellings(domain) for word, domain in self.verb.domains.items()}
        tokens = list(_tokens(args, {f: v for one in options.values() for f, v in one.items()}))
        given = next((token.text for token in tokens if not token.is_option), None)
        if given is None:
            if any(token.text in HELP for token in tokens):
                return ""
            domains = "|".join(self.verb.domains)
            raise UsageError(
                "INPUT is missing", expected=f"genomix {self.verb.name} [{domains}] INPUT"
            )
        path = Path(given)
        if sum(not token.is_option for token in tokens) > 1 and given != "-" and not path.exists():
            # Only one domain takes several inputs: a wrong guess would blame the second one.
            raise UsageError("no such file", where=path)
        if self.verb.prepared and path.is_file() and not is_hdf5(path):
            raise DataError(
                "is not HDF5",
                where=path,
                expected="a file that genomix prepare has made",
                hint="run: genomix prepare variants, cohort or sequences",
            )
        default, *others = self.verb.domains
        word = next((w for w in others if self.verb.domains[w].owns(path)), default)
        if word == default and is_table_or_fasta(path):
            word = self._word_of_model(tokens, default)
        for token in tokens:
            owners = [w for w, own in options.items() if token.text in own]
            if token.is_option and owners and word not in owners:
                self._refuse(token.text, owners, word, path)
        return word

    def _word_of_model(self, tokens: Iterable[Token], default: str) -> str:
        """Return the domain of the run given as --model, which decides what a table is."""
        kinds = {domain.names: word for word, domain in self.verb.domains.items()}
        runs = (Path(token.value) for token in tokens if token.text in MODEL)
        return next((kinds[kind] for kind in map(domain_of_run, runs) if kind in kinds), default)

    def _refuse(self, flag: str, owners: Sequence[str], word: str, path: Path) -> None:
        """Refuse an option of another domain than that of the input."""
        domains = self.verb.domains
        names = " and ".join(domains[owner].names for owner in owners)
        if word != next(iter(domains)):
            said = f"{path} is {domains[word].phrase}"
        elif not path.exists():
            said = f"there is no {path}"
        else:
            said = f"{path} is not {domains[owners[0]].phrase}"
        hint = f"options for {domains[word].names}: genomix {self.verb.name} {word} --help-all"
        raise UsageError(f"{flag} is for {names}, and {said}", hint=hint)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the verb, with one line per domain."""
        lines = {
            word: domain.command.help.partition("\n")[0]
            for word, domain in self.verb.domains.items()
        }
        words = "|".join(self.verb.domains)
        firsts = [domain.command.examples[:1] for domain in self.verb.domains.values()]
        examples = self.verb.examples or [example for first in firsts for example in first]
        usage, title = f"{{{words}}} ...", "Commands"
        if self.verb.by_input:
            usage, title = f"[{words}] INPUT [OPTIONS]", "Domains"
        write_group_help(ctx, formatter, self.verb.help, lines, examples, usage=usage, title=title)


class Token(NamedTuple):
    """A command-line argument: the name of an option with its value, or a positional value."""

    text: str
    is_option: bool
    value: str = ""


def _spellings(domain: Domain) -> dict[str, bool]:
    """Return every spelling of every option, with True if a value follows it."""
    spelled = {f"--{CONFIG}": True, "-v": False, "--verbose": False, "-q": False, "--quiet": False}
    spelled |= dict.fromkeys(HELP, False)
    for leaf in domain.command.leaves():
        for flag in _flags(leaf):
            spelled[flag] = not leaf.is_flag
    return spelled


def _flags(leaf: Leaf) -> list[str]:
    texts = [*leaf.flags, *leaf.option.old.split()]
    return [flag for text in texts for flag in text.split("/") if flag]


def _tokens(args: Sequence[str], takes_value: Mapping[str, bool]) -> Iterator[Token]:
    """Yield the options, with their values, and the positional values of a command line."""
    rest = iter(args)
    for text in rest:
        if text == "--":
            yield from (Token(value, False) for value in rest)
        elif text == "-" or not text.startswith("-"):
            yield Token(text, False)
        elif text.startswith("--"):
            flag, equals, value = text.partition("=")
            if takes_value.get(flag, False) and not equals:
                value = next(rest, "")
            yield Token(flag, True, value)
        else:  # short options may be combined, the last one with its value
            for i, letter in enumerate(text[1:], 1):
                flag = f"-{letter}"
                if not takes_value.get(flag, False):
                    yield Token(flag, True)
                    continue
                yield Token(flag, True, text[i + 1 :] or next(rest, ""))
                break
