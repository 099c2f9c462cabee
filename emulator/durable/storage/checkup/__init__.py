"""Looking a state directory over while nobody serves it: every file, the index, and what is left behind.

Nothing is changed by looking; what may be mended without a question comes with the finding. Needs the state lock.
"""

from durable.storage.checkup.finding import Finding
from durable.storage.checkup.state import Checkup

__all__ = ["Checkup", "Finding"]
