"""Colours of the stains of H&E.

Optical densities in red, green and blue, of length 1 up to rounding: Ruifrok & Johnston, Anal
Quant Cytol Histol 23:291-299, 2001.
"""

from __future__ import annotations

HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)
