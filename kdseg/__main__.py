"""Makes ``python -m kdseg`` and ``accelerate launch -m kdseg`` work."""

from kdseg.cli import main

if __name__ == "__main__":
    main()
