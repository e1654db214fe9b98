"""The two looks of `streets`: what differs between a rendered and a photographed street, in numbers.

`sim` follows SYNTHIA: clean and regular textures, strong colours, hard sun, clear air, no noise, a wide lens anywhere
between the eyes of a driver and the roof of a van. `real` follows Cityscapes: worn irregular surfaces, dull colours,
mostly overcast, haze, a soft and noisy sensor with a greenish cast, a narrower lens behind the windscreen.
"""

from __future__ import annotations

from dataclasses import dataclass

from vtadapt.synthetic.textures import Palette

Range = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Ranges are uniform; angles in degrees, lengths in metres, colours and powers in linear light."""

    palette: Palette
    fov: float  # horizontal
    height: Range  # of the camera above the road
    pitch: Range  # downwards
    yaw: float  # largest, to both sides
    roll: float  # largest, to both sides
    sun: Range  # power
    elevation: Range
    softness: float  # half width of the sun as shadows see it, degrees
    ambient: Range  # power
    warmth: Range  # of the sun, 0 = white
    blue: Range  # of the sky and of shadows, 0 = grey
    sky: Range  # brightness of the sky beside what it lights
    clouds: Range  # share of the sky
    haze: Range  # extinction per metre
    stains: Range  # strength of dirt, larger than any texture
    target: Range  # median luminance after exposure
    contrast: Range  # of the tone curve's middle
    vividness: Range  # factor on colour differences
    tint: Colour  # factor on the channels
    black: Range  # light in the shadows of the lens
    blur: Range  # share of a pixel's light that falls on its neighbours
    noise: Range  # of the sensor at full light
    vignette: Range


LOOKS: dict[str, Look] = {
    "sim": Look(
        palette=Palette((1.1, 4.2), (0.25, 0.95), 0.5, (1, 2, 7, 8, 9, 10), (0.4, 3.0), 0.5, (0.05, 0.4)),
        fov=74.0,
        height=(1.4, 2.3),
        pitch=(0.0, 7.0),
        yaw=10.0,
        roll=0.0,
        sun=(1.4, 3.0),
        elevation=(25, 65),
        softness=0.3,
        ambient=(0.6, 1.0),
        warmth=(0.0, 0.25),
        blue=(0.35, 0.6),
        sky=(0.55, 0.9),
        clouds=(0.0, 0.4),
        haze=(0.0, 0.001),
        stains=(0.0, 0.08),
        target=(0.19, 0.29),
        contrast=(1.0, 1.2),
        vividness=(1.0, 1.2),
        tint=(1.02, 1.0, 0.99),
        black=(0.0, 0.005),
        blur=(0.0, 0.0),
        noise=(0.0, 0.002),
        vignette=(0.0, 0.0),
    ),
    "real": Look(
        palette=Palette((1.0, 7.5), (0.15, 0.9), 0.25, (3, 4, 5, 6, 11), (0.3, 4.0), 0.4, (0.03, 0.25)),
        fov=60.0,
        height=(1.15, 1.35),
        pitch=(0.0, 3.5),
        yaw=7.0,
        roll=1.5,
        sun=(0.0, 1.8),
        elevation=(15, 50),
        softness=1.5,
        ambient=(0.8, 1.2),
        warmth=(0.05, 0.4),
        blue=(0.02, 0.25),
        sky=(0.6, 1.0),
        clouds=(0.4, 1.0),
        haze=(0.0005, 0.0055),
        stains=(0.2, 0.45),
        target=(0.11, 0.2),
        contrast=(0.95, 1.2),
        vividness=(0.8, 1.05),
        tint=(0.95, 1.02, 0.97),
        black=(0.003, 0.015),
        blur=(0.2, 0.45),
        noise=(0.01, 0.026),
        vignette=(0.15, 0.35),
    ),
}
