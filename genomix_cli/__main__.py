"""``python -m genomix_cli`` is the ``genomix`` command."""

from genomix_cli.cli.main import main

if __name__ == "__main__":
    main()
