DEFAULT_SPACE = "facenas-edge"
ELASTIC_SPACE = "facenas-elastic"
