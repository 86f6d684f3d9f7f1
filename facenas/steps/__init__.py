"""A file a verb, with one function of plain arguments, which the command line, `facenas run` and `import facenas` call; and
what several of them share, or one is too long for (`run_search`, `tables`, `place` ...)."""
