"""What every role shares: formats, errors, options, clients, the engine. Imports no role."""

__version__ = "0.1.0"
