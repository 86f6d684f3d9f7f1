"""An elastic space that trains in a moment: 8 to 16 channels, all kinds of choices."""

from facenas.spaces.elastic_space import ElasticSpace, StageChoices

TINY_SPACE = ElasticSpace(
    "tiny",
    (
        StageChoices((8,)),
        StageChoices((8, 16)),
        StageChoices((16,), (8, 16), (1, 2)),
        StageChoices((16, 24), (8, 16), (1, 2, 3)),
        StageChoices((24, 32), (8, 16), (1, 2)),
    ),
    neck_channels=(8, 16),
    head_channels=(8, 16),
    head_convs=(1, 2),
)
