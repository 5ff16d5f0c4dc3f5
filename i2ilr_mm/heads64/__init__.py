"""What knows the rendered heads: probes of their attributes, and the scores of transfer by them."""

from .transfer import TransferTruth

__all__ = ['TransferTruth']
