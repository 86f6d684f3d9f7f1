"""One file a verb, one function with plain arguments: the command line, `facenas run` and `import facenas` call it."""
