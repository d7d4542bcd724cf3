"""What the simulated pelvis is made of: relaxation and acoustic properties of each tissue, with their sources.

Sources (a value without a letter is our choice, made to follow how radiologists describe the tissue):
B  de Bazelaire et al., Radiology 2004 (3 T, in vivo): prostate T1 1597, muscle 898 / 29, marrow 586 / 49, fat 382 /
68 ms.
L  Liu et al., Magn Reson Med 2011, doi 10.1002/mrm.22874 (3 T): T2 normal 149 +/- 32, cancer 100 +/- 10 ms.
S  Simpkin et al., Br J Radiol 2013, PMC3635787: T2 PZ 149 +/- 49, TZ 125 +/- 26, tumour 97 +/- 23 ms.
R  PMID 30368900, Magn Reson Med 2018 (3 T, young men): T2 PZ 97 +/- 14, central gland 76 +/- 7, muscle 36 +/- 3 ms.
P  Pai et al., Magn Reson Imaging 2008, PMC2849643: T2 of fat 41 to 143 ms, longer with a longer echo train.
A  Sensors 2023, PMC10346919, table A2: impedance fat 1.39, muscle 1.68, cortical bone 6.5 MRayl; attenuation fat 0.8,
   muscle 1.2, bone 1 to 10, water 0.002 dB/(cm MHz).
D  Diagnostics 2023, PMC10001275, table 4: attenuation at 1 MHz liver 0.50, connective tissue 1.57, bone 15 dB/cm.

No measured backscatter of the whole pelvis on one scale was found: `echo` is our choice throughout. The forward
models are left to `prostate_mr` and `prostate_ultrasound`, places and shapes to `prostate_anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """t1, t2: ms at 3 T. pd: proton density, water 1. impedance: MRayl. echo: backscattered intensity in dB against
    the peripheral zone. attenuation: dB/cm at 1 MHz, one way. power: of its growth with frequency.
    mr_texture: relative SD of the MR signal, echo_texture: SD of the echo in dB, both over millimetres.
    """

    name: str
    t1: float
    t2: float
    pd: float
    impedance: float
    echo: float
    attenuation: float
    power: float = 1.0
    mr_texture: float = 0.0
    echo_texture: float = 0.0


# fmt: off
_TABLE = (
    #      name                    T1     T2    PD    Z     echo   att  power texture MR, echo
    Tissue("fat",                  382,   120, 0.90, 1.39,   1.0, 0.80, 1.0, 0.16, 2.5),  # B, P (echo train), A
    Tissue("peripheral zone",     1597,   149, 0.90, 1.62,   0.0, 0.50, 1.0, 0.17, 1.2),  # B, L and S; D: as liver
    Tissue("transition zone",     1597,    78, 0.88, 1.63,  -5.5, 0.50, 1.0, 0.28, 2.0),  # B, R (S is longer)
    Tissue("central zone",        1597,    76, 0.87, 1.63,  -2.0, 0.50, 1.0, 0.12, 1.2),  # B, R
    Tissue("fibromuscular stroma", 1200,   48, 0.80, 1.66,  -7.0, 0.90, 1.0, 0.06, 1.0),  # ours: between muscle and TZ
    Tissue("urethra",             1597,   160, 0.90, 1.60,  -8.0, 0.40, 1.0, 0.04, 1.0),  # B
    Tissue("capsule",             1000,    45, 0.75, 1.70,  -1.0, 1.57, 1.0, 0.00, 0.5),  # D: connective tissue
    Tissue("glandular nodule",    1597,   150, 0.92, 1.62,  -1.5, 0.50, 1.0, 0.25, 1.5),  # as PZ
    Tissue("stromal nodule",      1597,    60, 0.85, 1.64,  -8.0, 0.60, 1.0, 0.12, 1.2),  # ours
    Tissue("seminal vesicle",     1800,   230, 0.95, 1.58, -14.0, 0.30, 1.0, 0.12, 1.5),  # ours
    Tissue("vesicle wall",        1200,    60, 0.80, 1.66,  -4.0, 0.70, 1.0, 0.05, 1.0),  # ours
    Tissue("bladder",             3000,  1200, 1.00, 1.53, -45.0, 0.002, 2.0),            # ours; A: water
    Tissue("bladder wall",         900,    40, 0.80, 1.67,  -4.0, 0.80, 1.0, 0.04, 1.0),  # as muscle
    Tissue("rectal wall",          900,    55, 0.82, 1.65,  -5.0, 0.80, 1.0, 0.06, 1.5),  # as muscle
    Tissue("rectal content",      1200,    75, 0.50, 1.55, -12.0, 0.80, 1.0, 0.25, 3.0),  # ours
    Tissue("muscle",               898,    33, 0.80, 1.68,  -9.0, 1.20, 1.0, 0.10, 2.5),  # B; between B and R; A
    Tissue("marrow",               586,    75, 0.70, 1.60,  -8.0, 8.00, 1.0, 0.08, 1.0),  # B, longer by the echo train
    Tissue("cortical bone",        500,     1, 0.20, 6.50,   6.0, 10.0, 1.0),             # A
    Tissue("bundle",              1500,   130, 0.80, 1.60,  -6.0, 0.60, 1.0, 0.35, 3.0),  # ours: veins, nerves, fat
    Tissue("venous plexus",       1600,   170, 0.85, 1.60,  -9.0, 0.40, 1.0, 0.30, 3.0),  # ours: slow blood
    Tissue("calcification",        500,     1, 0.15, 4.00,  14.0, 10.0, 1.0),             # ours: below cortical bone
    Tissue("gas",                  500,     1, 0.00, 0.01,   0.0, 40.0, 1.0),             # opaque
)
# fmt: on

TISSUES = {tissue.name: tissue for tissue in _TABLE}
# The number of a tissue in the maps called zones; 0 is whatever lies outside of all of them.
CODES = {tissue.name: number for number, tissue in enumerate(_TABLE)}
# A nodule belongs to the transition zone, which is what a reader outlines.
GLAND = ("peripheral zone", "transition zone", "central zone", "fibromuscular stroma", "urethra", "capsule")
GLAND_PARTS = (*GLAND, "glandular nodule", "stromal nodule", "calcification")
