"""The in-home display as a screen in a terminal (paper IV-B); `gridmon meter run` shows it.

Needs the optional dependencies `display`; everything but `app` works without them.
"""
