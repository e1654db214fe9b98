"""What the catalogue says of encoders, held against timm."""

from __future__ import annotations

import pytest
import timm
import torch

from vtadapt.errors import UsageError
from vtadapt.models.backbones.catalogue import APACHE, CATALOGUE, COMMERCIAL, CONDITIONS, DINOV3, MIT, known
from vtadapt.models.backbones.load import load_backbone

LICENCES = {"apache-2.0": APACHE, "mit": MIT, "dinov3-license": DINOV3}  # timm's names -> ours
OF_TIMM = [each for each in CATALOGUE if not each.bundled]


@pytest.mark.parametrize("each", OF_TIMM, ids=lambda each: each.name)
def test_timm_knows_the_name_and_has_weights_of_this_licence(each):
    cfg = timm.get_pretrained_cfg(each.name)
    assert cfg is not None and cfg.hf_hub_id
    assert LICENCES[cfg.license] == each.licence


@pytest.mark.slow
@pytest.mark.parametrize("each", OF_TIMM, ids=lambda each: each.name)
def test_parameters_and_patch_are_those_of_timms_network(each):
    with torch.device("meta"):
        net = timm.create_model(each.name, num_classes=0)
    assert sum(p.numel() for p in net.parameters()) == each.parameters
    assert net.patch_embed.proj.kernel_size == (each.patch, each.patch)


def test_the_bundled_encoder_is_as_the_catalogue_says():
    bundled = [each for each in CATALOGUE if each.bundled]
    assert [each.name for each in bundled] == ["swin_lite", "swin_pico"]
    for each in bundled:
        assert sum(p.numel() for p in load_backbone(each.name).net.parameters()) == each.parameters
        assert each.line == f"vtadapt train rooms --backbone {each.name}"


def test_figures_have_a_source_and_stand_as_published():
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE)
    for each in CATALOGUE:
        assert each.licence in COMMERCIAL and (COMMERCIAL[each.licence] == "yes") == (each.licence not in CONDITIONS)
        assert all("github.com/" in figure.source and figure.protocol for figure in each.figures)
    # From the model cards that the entries name.
    published = {f"{each.name} {figure.data}": figure.value for each in CATALOGUE for figure in each.figures}
    assert published["vit_large_patch14_dinov2 ADE20K"] == 53.1
    assert published["vit_small_patch16_dinov3 NYU-Depth v2"] == 0.403
    assert published["vit_pe_spatial_small_patch16_512 ADE20K"] == 37.5


def test_an_unknown_name_has_near_matches():
    with pytest.raises(UsageError, match="vit_small_patch14_dinov2"):
        known("vit_small_patch14_dino2")
