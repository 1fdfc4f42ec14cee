"""Write `docs/meter_state_diagram.md` anew from the meter rule's table."""

from __future__ import annotations

from pathlib import Path

from gridmonitoring.contracts.diagram import diagram_page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "meter_state_diagram.md"


def main() -> None:
    """Write the page."""
    PAGE.write_text(diagram_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
