"""The unit of scores inside this implementation: ``ln 2``."""

import math

LOG2E = math.log2(math.e)
LN2 = math.log(2.0)
