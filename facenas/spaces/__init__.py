DEFAULT_SPACE = "facenas-edge"
