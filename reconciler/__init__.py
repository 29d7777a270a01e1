"""GitOps for sweeps: commit a manifest, and tasks run until git and the world agree."""

__version__ = "0.1.0"
