"""`python -m facenas` is `facenas`."""

from facenas.cli.main import main

if __name__ == "__main__":
    main()
