DEFAULT_SPACE = "facenas-elastic"
