"""python -m i2ilr: the same as the command i2ilr."""

from .main import main

if __name__ == '__main__':
    main()
