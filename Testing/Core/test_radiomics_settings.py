"""Settings files: every value as it stands, every fault a sentence, and nothing a file can do to the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagetranslation.errors import InputError
from imagetranslation.radiomics.parameters import FEATURE_CLASSES, IMAGE_TYPES, SECTIONS
from imagetranslation.radiomics.settings import (
    Settings,
    from_mapping,
    from_parameters,
    read_settings,
    without_parameters,
)

PARAMETERS = """
# A PyRadiomics parameter file.
imageType:
  Original: {}
  LoG:
    sigma: [1.0, 3.0]
    binWidth: 5
featureClass:
  shape:
  firstorder: []
  glcm: [Autocorrelation, Contrast]
setting:
  binWidth: 25
  resampledPixelSpacing: [2, 2, 0]
  interpolator: 'sitkLinear'
  force2D: true
  weightingNorm: null
  label: 4
"""


def written(tmp_path: Path, text: str, name: str = "settings.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_settings(path)
    sentence = str(caught.value)
    assert len(sentence) < 500
    assert sentence.endswith(".")
    return sentence


def test_a_parameter_file_is_taken_as_pyradiomics_takes_it(tmp_path):
    path = written(tmp_path, PARAMETERS, "params.yaml")
    mine = read_settings(path).pyradiomics()
    radiomics = pytest.importorskip("radiomics.featureextractor")
    theirs = radiomics.RadiomicsFeatureExtractor(str(path))
    assert list(mine["imageType"].items()) == list(theirs.enabledImagetypes.items())
    assert list(mine["featureClass"].items()) == list(theirs.enabledFeatures.items())
    assert read_settings(path).general() == theirs.settings


def test_json_is_read_as_well_and_gives_the_same_hash(tmp_path):
    import ruamel.yaml

    mapping = ruamel.yaml.YAML(typ="safe", pure=True).load(PARAMETERS)
    as_json = read_settings(written(tmp_path, json.dumps(mapping), "params.json"))
    assert as_json.sha256 == read_settings(written(tmp_path, PARAMETERS)).sha256
    assert as_json.sha256 != Settings().sha256


def test_our_own_settings_are_read_and_hashed_by_value(tmp_path):
    path = written(tmp_path, "bin_width: 5\nspacing: [1, 1, 2]\nnormalisation: z-score\nminimum_voxels: 20\n")
    found = read_settings(path)
    assert found == Settings(None, 5, (1.0, 1.0, 2.0), normalisation="z-score", minimum_voxels=20)
    assert found.sha256 == from_mapping({**{k: v for k, v in found.to_dict().items() if k != "parameters"}}).sha256
    assert Settings() == from_mapping({})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no settings"),
        ("just words", "holds no settings"),
        ("- a\n- list", "holds no settings"),
        ("a: [1, 2", "not valid YAML"),
        ("bin_number: 1", "whole number from 2 to 4096"),
        ("bin_number: true", "whole number from 2 to 4096"),
        ("bin_number: 32\nbin_width: 5", "give one of them"),
        ("bin_width: .nan", "finite number"),
        ("bins: 32", "known are"),
        ("spacing: [1, 1]", "three numbers"),
        ("setting: {binWidth: 0}", "above 0"),
        ("setting: {binWidth: '25'}", "above 0"),
        ("setting: {binwidth: 25}", "does not know"),
        ("setting: {label: 0}", "whole number from 1"),
        ("setting: {resampledPixelSpacing: [1, 1]}", "a list of 3"),
        ("setting: {interpolator: cubic}", "sitkBSpline"),
        ("setting: {interpolator: 3}", "sitkBSpline"),
        ("setting: {normalize: 1}", "true or false"),
        ("setting: {sigma: [-1]}", "above 0"),
        ("setting: 5", "not a mapping"),
        ("imageType: {Laplace: {}}", "knows Original"),
        ("imageType: {LoG: [1]}", "not a mapping"),
        ("imageType:\n", "not a mapping"),
        ("featureClass: {texture: }", "knows firstorder"),
        ("featureClass: {glcm: Contrast}", "not a list of names"),
        ("setting: {binWidth: 5}\nextra: 1", "section 'extra'"),
        ("1: 2", "not a name"),
        ("setting: !!python/object/apply:os.system ['echo']", "not valid YAML"),
        ("bin_width: 2020-01-01", "is no setting"),
    ],
)
def test_a_fault_in_a_settings_file_is_a_sentence(tmp_path, text, said):
    assert said in refusal(written(tmp_path, text))


def test_files_that_are_no_text_too_large_or_blow_up_are_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "not text" in refusal(tmp_path / "binary.yaml")
    (tmp_path / "large.yaml").write_bytes(b"a: 1\n" * 100_000)
    assert "larger than" in refusal(tmp_path / "large.yaml")
    layers = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many values" in refusal(written(tmp_path, "\n".join(layers)))
    assert "too many values" in refusal(written(tmp_path, "a: &a [*a]"))
    assert "cannot be read" in refusal(tmp_path / "absent.yaml")
    assert "cannot be read" in refusal(tmp_path)
    assert "not valid JSON" in refusal(written(tmp_path, "[" * 100_000, "deep.json"))


KEYS = st.sampled_from([*SECTIONS, *IMAGE_TYPES, *FEATURE_CLASSES, "binWidth", "sigma", "interpolator", "bin_number",
                        "spacing", "normalisation", "label", "resampledPixelSpacing", "level"])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def _survives(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        found = read_settings(path)
    except InputError as error:
        refused = str(error)
        found = None
    if found is None:
        assert 10 < len(refused) < 600
        return
    assert len(found.sha256) == 64
    assert isinstance(found.pyradiomics(), dict)
    assert from_round_trip(found) == found


def from_round_trip(found: Settings) -> Settings:
    """The settings made from their own dictionary."""
    plain = json.loads(json.dumps(found.to_dict()))
    parameters = plain.pop("parameters")
    return from_mapping(plain) if parameters is None else from_parameters(parameters)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES, max_size=5))
@example({"setting": {"label": 10**30}})
@example({"setting": {"binWidth": 10**400}})
@example({"spacing": [1, 2, float("inf")]})
def test_any_mapping_is_settings_or_a_sentence(tmp_path, mapping):
    _survives(tmp_path / "fuzz.json", json.dumps(mapping))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="abc:{}[]&*!#-?|>'\"%@ \n\t0123456789.~<=", max_size=60))
@example("setting: {a: &x [*x]}")
@example("? {a: 1}\n: 2")
def test_any_text_is_settings_or_a_sentence(tmp_path, text):
    _survives(tmp_path / "fuzz.yaml", text)


def test_mirp_takes_a_parameter_file_where_it_has_a_counterpart_and_says_where_not():
    given_ = from_parameters({"setting": {"binCount": 16, "resampledPixelSpacing": [1, 1, 2]}})
    assert without_parameters(given_, "MIRP") == Settings(
        16, None, (1, 1, 2), minimum_voxels=2, minimum_grey_levels=1,
    )  # fmt: skip
    assert without_parameters(from_parameters({"setting": {}}), "MIRP").bin_width == 25
    for mapping in ({"imageType": {"Wavelet": {}}}, {"setting": {"normalize": True}}, {"setting": {"gldm_a": 1}}):
        with pytest.raises(InputError, match="no counterpart"):
            without_parameters(from_parameters(mapping), "MIRP")
