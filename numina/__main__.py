"""``python -m numina``: the same as the command ``numina``."""

from numina.cli import main

if __name__ == "__main__":
    main()
