"""What tests of configs share."""

PUBLISHED = [f'published/i2ilr_{name}' for name in ('celebahq_128', 'celebahq_256', 'afhq')]
OURS = ['i2ilr_celebahq', 'i2ilr_afhq', 'i2ilr_heads64', 'i2ilr_heads64_small', 'i2ilr_cats']
CONFIGS = [*OURS, *PUBLISHED, 'i2ilr_celebahq_128']


def nested(node, name):
    """Every value of a key, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield value
            yield from nested(value, name)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from nested(child, name)
