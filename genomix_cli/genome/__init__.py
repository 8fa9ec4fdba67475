"""DNA, coordinates and their file formats, with NumPy only (no torch).

Coordinates are 0-based and half-open, bases are uint8 codes (A0 C1 G2 T3, anything else 4).
"""
