"""How fast it is: `python -m bench` measures everything in one go, each beside a no-op echo of the same run."""
