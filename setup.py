from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split("'")[1]
    for line in (HERE / 'i2ilr_mm/__init__.py').read_text().splitlines()
    if line.startswith('__version__')
)

setup(
    name='i2ilr_mm',
    version=VERSION,
    description='Image-to-image translation with low-resolution conditioning (I2I-LR) for MMagic',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['i2ilr_mm', 'i2ilr_mm.*']),
    package_data={'i2ilr_mm': ['assets/*']},
    python_requires='>=3.10,<3.13',
    # MMEngine, MMCV and MMagic are installed with --no-deps (requirements/openmmlab.txt): mmcv and
    # mmcv-lite own the same folder, and MMagic declares much that it does not need here.
    install_requires=(HERE / 'requirements/runtime.txt').read_text().split('\n'),
)
