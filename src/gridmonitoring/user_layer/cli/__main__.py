"""`python -m gridmonitoring.user_layer.cli`: the program `gridmon` where no script is installed."""

from __future__ import annotations

from gridmonitoring.user_layer.cli.app import main

if __name__ == "__main__":
    main()
