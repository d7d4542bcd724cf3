"""PyRadiomics' feature names, in the IBSI terms of `names`."""

from __future__ import annotations

from functools import cache

from .names import GLCM, MORPHOLOGY, STATISTICS, Identity, ibsi

KURTOSIS = "This is the standard's excess kurtosis (IPH6) plus 3."
AXES = "PyRadiomics takes variances over N voxels, the standard over N - 1: small regions come out a little shorter."
ENERGY = (
    "PyRadiomics adds voxelArrayShift to every intensity first; it is the standard's where that is 0, as by default."
)
AVERAGED = "3D, averaged"
# PyRadiomics class to the prefix of `names.FAMILIES` and its features, each as Name=short name there.
_CLASSES = {
    "firstorder": ("stat", """
        10Percentile=p10 90Percentile=p90 InterquartileRange=iqr Maximum=max Mean=mean
        MeanAbsoluteDeviation=mad Median=median Minimum=min Range=range RobustMeanAbsoluteDeviation=rmad
        RootMeanSquared=rms Skewness=skew Variance=var"""),
    "shape": ("morph", """
        MeshVolume=volume VoxelVolume=vol_approx SurfaceArea=area_mesh SurfaceVolumeRatio=av Sphericity=sphericity
        SphericalDisproportion=sph_dispr Compactness1=comp_1 Compactness2=comp_2 Maximum3DDiameter=diam
        Elongation=pca_elongation Flatness=pca_flatness"""),
    "glcm": ("cm", """
        Autocorrelation=auto_corr JointAverage=joint_avg ClusterProminence=clust_prom ClusterShade=clust_shade
        ClusterTendency=clust_tend Contrast=contrast Correlation=corr DifferenceAverage=diff_avg
        DifferenceEntropy=diff_entr DifferenceVariance=diff_var JointEnergy=energy JointEntropy=joint_entr
        Imc1=info_corr1 Imc2=info_corr2 Idm=inv_diff_mom Idmn=inv_diff_mom_norm Id=inv_diff Idn=inv_diff_norm
        InverseVariance=inv_var MaximumProbability=joint_max SumAverage=sum_avg SumEntropy=sum_entr
        SumSquares=joint_var"""),
    "glrlm": ("rlm", """
        ShortRunEmphasis=sre LongRunEmphasis=lre GrayLevelNonUniformity=glnu GrayLevelNonUniformityNormalized=glnu_norm
        RunLengthNonUniformity=rlnu RunLengthNonUniformityNormalized=rlnu_norm RunPercentage=r_perc
        GrayLevelVariance=gl_var RunVariance=rl_var RunEntropy=rl_entr LowGrayLevelRunEmphasis=lgre
        HighGrayLevelRunEmphasis=hgre ShortRunLowGrayLevelEmphasis=srlge ShortRunHighGrayLevelEmphasis=srhge
        LongRunLowGrayLevelEmphasis=lrlge LongRunHighGrayLevelEmphasis=lrhge"""),
    "glszm": ("szm", """
        SmallAreaEmphasis=sze LargeAreaEmphasis=lze GrayLevelNonUniformity=glnu
        GrayLevelNonUniformityNormalized=glnu_norm SizeZoneNonUniformity=zsnu SizeZoneNonUniformityNormalized=zsnu_norm
        ZonePercentage=z_perc GrayLevelVariance=gl_var ZoneVariance=zs_var ZoneEntropy=zs_entr
        LowGrayLevelZoneEmphasis=lgze HighGrayLevelZoneEmphasis=hgze SmallAreaLowGrayLevelEmphasis=szlge
        SmallAreaHighGrayLevelEmphasis=szhge LargeAreaLowGrayLevelEmphasis=lzlge
        LargeAreaHighGrayLevelEmphasis=lzhge"""),
    "gldm": ("ngl", """
        SmallDependenceEmphasis=lde LargeDependenceEmphasis=hde GrayLevelNonUniformity=glnu
        DependenceNonUniformity=dcnu DependenceNonUniformityNormalized=dcnu_norm GrayLevelVariance=gl_var
        DependenceVariance=dc_var DependenceEntropy=dc_entr LowGrayLevelEmphasis=lgce HighGrayLevelEmphasis=hgce
        SmallDependenceLowGrayLevelEmphasis=ldlge SmallDependenceHighGrayLevelEmphasis=ldhge
        LargeDependenceLowGrayLevelEmphasis=hdlge LargeDependenceHighGrayLevelEmphasis=hdhge"""),
    "ngtdm": ("ngt", """
        Coarseness=coarseness Contrast=contrast Busyness=busyness Complexity=complexity Strength=strength"""),
}  # fmt: skip
_OTHERS = {
    ("firstorder", "Entropy"): ibsi("ih", "entropy"),
    ("firstorder", "Uniformity"): ibsi("ih", "uniformity"),
    ("firstorder", "TotalEnergy"): Identity("Energy times voxel volume", "", STATISTICS, "intensity^2*mm^3"),
    ("firstorder", "StandardDeviation"): Identity("Standard deviation of intensity", "", STATISTICS, "intensity"),
    ("firstorder", "Energy"): ibsi("stat", "energy", ENERGY),
    ("firstorder", "Kurtosis"): Identity("Intensity kurtosis (not excess)", "", STATISTICS, "", KURTOSIS),
    ("shape", "MajorAxisLength"): ibsi("morph", "pca_maj_axis", AXES),
    ("shape", "MinorAxisLength"): ibsi("morph", "pca_min_axis", AXES),
    ("shape", "LeastAxisLength"): ibsi("morph", "pca_least_axis", AXES),
    ("shape", "Maximum2DDiameterSlice"): Identity("Maximum 2D diameter in slices", "", MORPHOLOGY, "mm"),
    ("shape", "Maximum2DDiameterColumn"): Identity("Maximum 2D diameter in columns", "", MORPHOLOGY, "mm"),
    ("shape", "Maximum2DDiameterRow"): Identity("Maximum 2D diameter in rows", "", MORPHOLOGY, "mm"),
    ("glcm", "MCC"): Identity("Maximal correlation coefficient", "", GLCM),
}


# Those that PyRadiomics computes only where they are asked for by name.
_DEPRECATED = {
    ("firstorder", "StandardDeviation"), ("shape", "Compactness1"), ("shape", "Compactness2"),
    ("shape", "SphericalDisproportion"),
}  # fmt: skip


def usual() -> list[tuple[str, str]]:
    """(class, feature) of the 107 that PyRadiomics makes by default, without importing it."""
    named = [(kind, pair.split("=")[0]) for kind, (_, text) in _CLASSES.items() for pair in text.split()]
    found = [feature for feature in (*named, *_OTHERS) if feature not in _DEPRECATED]
    return sorted(found, key=lambda feature: list(_CLASSES).index(feature[0]))


@cache
def identity(feature_class: str, feature: str) -> Identity:
    """What PyRadiomics' `feature` of `feature_class` is; one that is not in the standard keeps PyRadiomics' name."""
    if (found := _OTHERS.get((feature_class, feature))) is not None:
        return found
    prefix, features = _CLASSES.get(feature_class, ("", ""))
    short = dict(pair.split("=") for pair in features.split()).get(feature)
    if short is not None:
        return ibsi(prefix, short)
    family = MORPHOLOGY if feature_class.startswith("shape") else _family(feature_class)
    return Identity(feature, "", family)


def _family(feature_class: str) -> str:
    from .names import FAMILIES

    prefix, _ = _CLASSES.get(feature_class, ("", ""))
    return FAMILIES[prefix][0] if prefix else feature_class


def aggregation(feature_class: str) -> str:
    """How the values of several directions become one, in IBSI's words; "" where there are no directions."""
    return AVERAGED if feature_class in ("glcm", "glrlm") else "3D" if feature_class.startswith(("gl", "ng")) else ""
