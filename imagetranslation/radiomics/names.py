"""What PyRadiomics and MIRP call each feature, in the terms of the Image Biomarker Standardisation Initiative (IBSI).

Names and codes are those of the IBSI reference manual (ibsi.readthedocs.io; Zwanenburg et al., Radiology 2020,
doi 10.1148/radiol.2020191145). Three codes (discretised percentiles, small zone emphasis) are missing or misprinted in
the published table of reference values; they are given here as in the manual. A feature that is not in the standard
has no code. A `note` says where a value of that engine is not the standard's by definition.
"""

from __future__ import annotations

from dataclasses import dataclass

MORPHOLOGY = "Morphology"
LOCAL = "Local intensity"
STATISTICS = "Intensity statistics"
HISTOGRAM = "Intensity histogram"
VOLUME_HISTOGRAM = "Intensity-volume histogram"
GLCM = "Grey level co-occurrence"
GLRLM = "Grey level run length"
GLSZM = "Grey level size zone"
GLDZM = "Grey level distance zone"
NGTDM = "Neighbourhood grey tone difference"
NGLDM = "Neighbouring grey level dependence"


@dataclass(frozen=True)
class Identity:
    """name: IBSI's. code: four letters, "" where the standard has none. family: one of the above. unit: "" for a plain
    number, "intensity" for the unit of the image. note: how the engine's value differs from the standard's.
    """

    name: str
    code: str
    family: str
    unit: str = ""
    note: str = ""


def _table(text: str) -> dict[str, tuple[str, str, str]]:
    """Lines of `key | name | code | unit` to key -> (name, code, unit)."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return {key: (name, code, unit) for key, name, code, unit in rows}


# Keys are MIRP's, without family prefix.
_MORPHOLOGY = _table("""
volume | Volume (mesh) | RNU0 | mm^3
vol_approx | Volume (voxel counting) | YEKZ | mm^3
area_mesh | Surface area (mesh) | C0JK | mm^2
av | Surface to volume ratio | 2PR5 | 1/mm
comp_1 | Compactness 1 | SKGS |
comp_2 | Compactness 2 | BQWJ |
sph_dispr | Spherical disproportion | KRCK |
sphericity | Sphericity | QCFX |
asphericity | Asphericity | 25C7 |
com | Centre of mass shift | KLMA | mm
diam | Maximum 3D diameter | L0JK | mm
pca_maj_axis | Major axis length | TDIC | mm
pca_min_axis | Minor axis length | P9VJ | mm
pca_least_axis | Least axis length | 7J51 | mm
pca_elongation | Elongation | Q3CK |
pca_flatness | Flatness | N17B |
vol_dens_aabb | Volume density (axis-aligned bounding box) | PBX1 |
area_dens_aabb | Area density (axis-aligned bounding box) | R59B |
vol_dens_aee | Volume density (approximate enclosing ellipsoid) | 6BDE |
area_dens_aee | Area density (approximate enclosing ellipsoid) | RDD2 |
vol_dens_conv_hull | Volume density (convex hull) | R3ER |
area_dens_conv_hull | Area density (convex hull) | 7T7F |
integ_int | Integrated intensity | 99N0 | intensity*mm^3
moran_i | Moran's I index | N365 |
geary_c | Geary's C measure | NPT7 |
""")
_LOCAL = _table("""
peak_loc | Local intensity peak | VJGA | intensity
peak_glob | Global intensity peak | 0F91 | intensity
""")
_STATISTICS = _table("""
mean | Mean intensity | Q4LE | intensity
var | Intensity variance | ECT3 | intensity^2
skew | Intensity skewness | KE2A |
kurt | (Excess) intensity kurtosis | IPH6 |
median | Median intensity | Y12H | intensity
min | Minimum intensity | 1GSF | intensity
p10 | 10th intensity percentile | QG58 | intensity
p90 | 90th intensity percentile | 8DWT | intensity
max | Maximum intensity | 84IY | intensity
iqr | Intensity interquartile range | SALO | intensity
range | Intensity range | 2OJQ | intensity
mad | Intensity-based mean absolute deviation | 4FUA | intensity
rmad | Intensity-based robust mean absolute deviation | 1128 | intensity
medad | Intensity-based median absolute deviation | N72L | intensity
cov | Intensity-based coefficient of variation | 7TET |
qcod | Intensity-based quartile coefficient of dispersion | 9S40 |
energy | Intensity-based energy | N8CA | intensity^2
rms | Root mean square intensity | 5ZWQ | intensity
""")
_HISTOGRAM = _table("""
mean | Mean discretised intensity | X6K6 |
var | Discretised intensity variance | CH89 |
skew | Discretised intensity skewness | 88K1 |
kurt | (Excess) discretised intensity kurtosis | C3I7 |
median | Median discretised intensity | WIFQ |
min | Minimum discretised intensity | 1PR8 |
p10 | 10th discretised intensity percentile | GPMT |
p90 | 90th discretised intensity percentile | OZ0C |
max | Maximum discretised intensity | 3NCY |
mode | Intensity histogram mode | AMMC |
iqr | Discretised intensity interquartile range | WR0O |
range | Discretised intensity range | 5Z3W |
mad | Intensity histogram mean absolute deviation | D2ZX |
rmad | Intensity histogram robust mean absolute deviation | WRZB |
medad | Intensity histogram median absolute deviation | 4RNL |
cov | Intensity histogram coefficient of variation | CWYJ |
qcod | Intensity histogram quartile coefficient of dispersion | SLWD |
entropy | Discretised intensity entropy | TLU2 |
uniformity | Discretised intensity uniformity | BJ5W |
max_grad | Maximum histogram gradient | 12CE |
max_grad_g | Maximum histogram gradient intensity | 8E6O |
min_grad | Minimum histogram gradient | VQB3 |
min_grad_g | Minimum histogram gradient intensity | RHQZ |
""")
_GLCM = _table("""
joint_max | Joint maximum | GYBY |
joint_avg | Joint average | 60VM |
joint_var | Joint variance | UR99 |
joint_entr | Joint entropy | TU9B |
diff_avg | Difference average | TF7R |
diff_var | Difference variance | D3YU |
diff_entr | Difference entropy | NTRS |
sum_avg | Sum average | ZGXS |
sum_var | Sum variance | OEEB |
sum_entr | Sum entropy | P6QZ |
energy | Angular second moment | 8ZQL |
contrast | Contrast | ACUI |
dissimilarity | Dissimilarity | 8S9J |
inv_diff | Inverse difference | IB1Z |
inv_diff_norm | Normalised inverse difference | NDRX |
inv_diff_mom | Inverse difference moment | WF0Z |
inv_diff_mom_norm | Normalised inverse difference moment | 1QCO |
inv_var | Inverse variance | E8JP |
corr | Correlation | NI2N |
auto_corr | Autocorrelation | QWB0 |
clust_tend | Cluster tendency | DG8W |
clust_shade | Cluster shade | 7NFM |
clust_prom | Cluster prominence | AE86 |
info_corr1 | Information correlation 1 | R8DG |
info_corr2 | Information correlation 2 | JN9H |
""")
_GLRLM = _table("""
sre | Short runs emphasis | 22OV |
lre | Long runs emphasis | W4KF |
lgre | Low grey level run emphasis | V3SW |
hgre | High grey level run emphasis | G3QZ |
srlge | Short run low grey level emphasis | HTZT |
srhge | Short run high grey level emphasis | GD3A |
lrlge | Long run low grey level emphasis | IVPO |
lrhge | Long run high grey level emphasis | 3KUM |
glnu | Grey level non-uniformity | R5YN |
glnu_norm | Normalised grey level non-uniformity | OVBL |
rlnu | Run length non-uniformity | W92Y |
rlnu_norm | Normalised run length non-uniformity | IC23 |
r_perc | Run percentage | 9ZK5 |
gl_var | Grey level variance | 8CE5 |
rl_var | Run length variance | SXLW |
rl_entr | Run entropy | HJ9O |
""")
_GLSZM = _table("""
sze | Small zone emphasis | 5QRC |
lze | Large zone emphasis | 48P8 |
lgze | Low grey level zone emphasis | XMSY |
hgze | High grey level zone emphasis | 5GN9 |
szlge | Small zone low grey level emphasis | 5RAI |
szhge | Small zone high grey level emphasis | HW1V |
lzlge | Large zone low grey level emphasis | YH51 |
lzhge | Large zone high grey level emphasis | J17V |
glnu | Grey level non-uniformity | JNSA |
glnu_norm | Normalised grey level non-uniformity | Y1RO |
zsnu | Zone size non-uniformity | 4JP3 |
zsnu_norm | Normalised zone size non-uniformity | VB3A |
z_perc | Zone percentage | P30P |
gl_var | Grey level variance | BYLV |
zs_var | Zone size variance | 3NSA |
zs_entr | Zone size entropy | GU8N |
""")
_GLDZM = _table("""
sde | Small distance emphasis | 0GBI |
lde | Large distance emphasis | MB4I |
lgze | Low grey level zone emphasis | S1RA |
hgze | High grey level zone emphasis | K26C |
sdlge | Small distance low grey level emphasis | RUVG |
sdhge | Small distance high grey level emphasis | DKNJ |
ldlge | Large distance low grey level emphasis | A7WM |
ldhge | Large distance high grey level emphasis | KLTH |
glnu | Grey level non-uniformity | VFT7 |
glnu_norm | Normalised grey level non-uniformity | 7HP3 |
zdnu | Zone distance non-uniformity | V294 |
zdnu_norm | Normalised zone distance non-uniformity | IATH |
z_perc | Zone percentage | VIWW |
gl_var | Grey level variance | QK93 |
zd_var | Zone distance variance | 7WT1 |
zd_entr | Zone distance entropy | GBDU |
""")
_NGTDM = _table("""
coarseness | Coarseness | QCDE |
contrast | Contrast | 65HE |
busyness | Busyness | NQ30 |
complexity | Complexity | HDEZ |
strength | Strength | 1X9X |
""")
_NGLDM = _table("""
lde | Low dependence emphasis | SODN |
hde | High dependence emphasis | IMOQ |
lgce | Low grey level count emphasis | TL9H |
hgce | High grey level count emphasis | OAE7 |
ldlge | Low dependence low grey level emphasis | EQ3F |
ldhge | Low dependence high grey level emphasis | JA6D |
hdlge | High dependence low grey level emphasis | NBZI |
hdhge | High dependence high grey level emphasis | 9QMG |
glnu | Grey level non-uniformity | FP8K |
glnu_norm | Normalised grey level non-uniformity | 5SPA |
dcnu | Dependence count non-uniformity | Z87G |
dcnu_norm | Normalised dependence count non-uniformity | OKJI |
dc_perc | Dependence count percentage | 6XV8 |
gl_var | Grey level variance | 1PFV |
dc_var | Dependence count variance | DNX2 |
dc_entr | Dependence count entropy | FCBV |
dc_energy | Dependence count energy | CAS9 |
""")
# Prefix in MIRP's names to family and its features.
FAMILIES = {
    "morph": (MORPHOLOGY, _MORPHOLOGY), "loc": (LOCAL, _LOCAL), "stat": (STATISTICS, _STATISTICS),
    "ih": (HISTOGRAM, _HISTOGRAM), "cm": (GLCM, _GLCM), "rlm": (GLRLM, _GLRLM), "szm": (GLSZM, _GLSZM),
    "dzm": (GLDZM, _GLDZM), "ngt": (NGTDM, _NGTDM), "ngl": (NGLDM, _NGLDM),
}  # fmt: skip


def ibsi(prefix: str, feature: str, note: str = "") -> Identity:
    """The identity of a feature by MIRP's prefix and short name; KeyError where there is none."""
    family, features = FAMILIES[prefix]
    name, code, unit = features[feature]
    return Identity(name, code, family, unit, note)
