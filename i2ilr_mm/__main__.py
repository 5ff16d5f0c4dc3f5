"""python -m i2ilr_mm: the same as the command i2ilr."""

from i2ilr.main import main

if __name__ == '__main__':
    main()
