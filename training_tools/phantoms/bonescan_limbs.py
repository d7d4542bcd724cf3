"""Bones, joints, outline and sites of arms, legs, hands and feet, for whole-body and for spot views.

Lengths and joint places are of an average adult (our choice, from no patient). A hand or foot is laid out along its own
axes: v from the wrist or ankle to the tips, u towards the thumb or the great toe; a `Frame` puts it into the body. The
trunk is in `bonescan_anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .bonescan_shapes import Ball, Plate, Point, Shape, Tube

FINGERS = ("thumb", "index", "middle", "ring", "little")
TOES = ("great", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class Part:
    """A shape of one tissue. gain: its uptake relative to that tissue's usual one."""

    shape: Shape
    tissue: str
    gain: float = 1.0


@dataclass(frozen=True)
class Site:
    """Where disease may sit. word: of the task's vocabulary. place: in full. kind: joint, bone or soft.

    centre: mm; radius: of a lesion that fills it; end: for a long site, the other end of its axis.
    """

    word: str
    place: str
    side: str
    kind: str
    centre: Point
    radius: float
    end: Point | None = None


@dataclass
class Anatomy:
    """Parts inside the body, the shapes of its outline, and its sites."""

    parts: list[Part] = field(default_factory=list)
    outline: list[Shape] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)

    def add(self, tissue: str, *shapes: Shape, gain: float = 1.0) -> None:
        """Append shapes of one tissue."""
        self.parts.extend(Part(shape, tissue, gain) for shape in shapes)


@dataclass(frozen=True)
class Frame:
    """origin: (x, y, d) of the wrist or ankle. along, across: unit vectors (x, d) of v and u. stretch: of v alone."""

    origin: Point
    along: tuple[float, float]
    across: tuple[float, float]
    scale: float = 1.0
    stretch: float = 1.0

    def at(self, u: float, v: float, y: float = 0.0) -> Point:
        """The point (x, y, d) of (u, v) mm and y mm behind the limb's middle."""
        u, v = u * self.scale, v * self.scale * self.stretch
        return (
            self.origin[0] + u * self.across[0] + v * self.along[0],
            self.origin[1] + y * self.scale,
            self.origin[2] + u * self.across[1] + v * self.along[1],
        )


# For each ray: base, head and tip of metacarpal and finger (u, v), and its joints as shares of head to tip.
_HAND = {
    "thumb": ((17.0, 22.0), (45.0, 56.0), (66.0, 108.0), (0.0, 0.52)),
    "index": ((14.0, 31.0), (23.0, 92.0), (31.0, 170.0), (0.0, 0.46, 0.76)),
    "middle": ((4.0, 32.0), (6.0, 94.0), (7.0, 182.0), (0.0, 0.46, 0.76)),
    "ring": ((-6.0, 30.0), (-11.0, 88.0), (-17.0, 170.0), (0.0, 0.46, 0.76)),
    "little": ((-15.0, 27.0), (-27.0, 80.0), (-39.0, 141.0), (0.0, 0.45, 0.75)),
}
_CARPALS = ((10.0, 7.0), (1.0, 6.0), (-8.0, 7.0), (-13.0, 12.0), (15.0, 18.0), (7.0, 19.0), (-2.0, 20.0), (-11.0, 20.0))
_FOOT = {
    "great": ((15.0, 64.0), (25.0, 126.0), (30.0, 182.0), (0.0, 0.52)),
    "second": ((5.0, 66.0), (9.0, 131.0), (11.0, 176.0), (0.0, 0.55)),
    "third": ((-3.0, 64.0), (-4.0, 126.0), (-5.0, 168.0), (0.0, 0.55)),
    "fourth": ((-11.0, 60.0), (-17.0, 118.0), (-20.0, 156.0), (0.0, 0.55)),
    "fifth": ((-20.0, 53.0), (-29.0, 108.0), (-35.0, 141.0), (0.0, 0.55)),
}
_JOINTS = {"hand": ("MCP", "PIP", "DIP"), "foot": ("MTP", "IP", "")}


def hand(anatomy: Anatomy, frame: Frame, side: str) -> None:
    """Add a hand with 10 cm of forearm."""
    s = frame.scale
    _forearm(anatomy, frame, s)
    for u, v in _CARPALS:
        anatomy.add("joint", Ball(frame.at(u, v), (6.2 * s, 6.0 * s, 5.8 * s)), gain=0.85)
    for name, ray in _HAND.items():
        _ray(anatomy, frame, side, "hand", name, ray, radii=(4.3, 3.6), soft=10.5 if name == "thumb" else 9.5)
    palm = [(12.0, 20.0), (16.0, 80.0), (-18.0, 74.0), (-8.0, 20.0)]
    anatomy.outline += [
        Ball(frame.at(-1.0, 52.0), (39.0 * s, 13.0 * s, 46.0 * s * frame.stretch)),
        Tube(frame.at(14.0, 14.0), frame.at(34.0, 48.0), 15 * s, 13 * s, 0.8),
        *(Tube(frame.at(0.0, 4.0), frame.at(*corner), 24 * s, 15 * s, 0.7) for corner in palm),
    ]
    anatomy.sites += [
        Site("wrist", f"{side} wrist", side, "joint", frame.at(1.0, 8.0), 18 * s),
        Site("wrist", f"{side} distal radius", side, "bone", frame.at(11.0, -14.0), 11 * s),
        Site("wrist", f"{side} scaphoid", side, "bone", frame.at(11.0, 8.0), 8 * s),
        Site("hand", f"{side} dorsum of the hand", side, "soft", frame.at(0.0, 30.0), 26 * s, frame.at(0.0, 82.0)),
        Site("hand", f"{side} hand", side, "region", frame.at(0.0, 0.0), 30 * s, frame.at(0.0, 140.0)),
    ]


def foot(anatomy: Anatomy, frame: Frame, side: str) -> None:
    """Add a foot seen from above, with the end of the leg."""
    s, t = frame.scale, frame.scale * frame.stretch
    anatomy.add("joint", Ball(frame.at(0.0, 6.0), (20 * s, 18 * s, 17 * s * max(frame.stretch, 0.7))), gain=0.55)
    anatomy.add("joint", Ball(frame.at(-2.0, -22.0, 22.0), (17 * s, 18 * s, 30 * t)), gain=0.5)
    for u, v, r in ((9.0, 33.0, 12.0), (-13.0, 44.0, 12.0), (14.0, 52.0, 9.0), (5.0, 54.0, 8.0), (-3.0, 54.0, 8.0)):
        anatomy.add("joint", Ball(frame.at(u, v), (r * s, 11 * s, 0.85 * r * t)), gain=0.6)
    for name, ray in _FOOT.items():
        great = name == "great"
        _ray(
            anatomy,
            frame,
            side,
            "foot",
            name,
            ray,
            radii=(6.0, 5.0) if great else (4.0, 3.0),
            soft=14 if great else 9.5,
        )
    anatomy.outline += [
        Tube(frame.at(0.0, -38.0), frame.at(2.0, 20.0), 32 * s, 34 * s, 1.0),
        Tube(frame.at(2.0, 15.0), frame.at(4.0, 75.0), 33 * s, 38 * s, 0.75),
        Tube(frame.at(2.0, 75.0), frame.at(0.0, 115.0), 39 * s, 42 * s, 0.45),
    ]
    anatomy.sites += [
        Site("ankle", f"{side} ankle", side, "joint", frame.at(0.0, -2.0), 20 * s),
        Site("foot", f"{side} midfoot", side, "joint", frame.at(3.0, 48.0), 15 * s),
        Site("foot", f"{side} calcaneus", side, "bone", frame.at(-2.0, -26.0 * frame.stretch, 20.0), 18 * s),
        Site("foot", f"{side} dorsum of the foot", side, "soft", frame.at(0.0, 40.0), 26 * s, frame.at(0.0, 105.0)),
        Site("foot", f"{side} foot", side, "region", frame.at(0.0, -10.0), 32 * s, frame.at(0.0, 140.0)),
    ]


def arm(anatomy: Anatomy, s: float, g: float, m: float, side: str, away: float, gain: float, shafts: float) -> None:
    """Add shoulder girdle, arm and hand. s, g: size and girth; m: -1 right, 1 left; away: mm from the trunk."""

    def at(x: float, y: float, d: float, out: float = 0.0) -> tuple[float, float, float]:
        return (m * (x * s + out * (away + 60 * (g - 1))), y * s, d * s)

    elbow, wrist = at(214, 18, 566, 1), at(236, 10, 812, 1.2)
    anatomy.add(
        "flat",
        Tube(at(14, -84, 276), at(80, -72, 264), 8 * s, 7 * s),
        Tube(at(80, -72, 264), at(146, -8, 252), 7 * s, 7 * s),
        gain=0.95 * gain,
    )
    anatomy.add("joint", Ball(at(20, -86, 276), (12 * s, 9 * s, 10 * s)), gain=1.0 * gain)
    blade = ((66, 292), (136, 276), (140, 302), (118, 350), (92, 430), (80, 428), (70, 350))
    anatomy.add("flat", Plate(tuple((m * x * s, d * s) for x, d in blade), 78 * s, 4 * s), gain=0.9 * gain)
    anatomy.add(
        "flat",
        Tube(at(68, 84, 300), at(148, 50, 258), 6 * s, 8 * s),
        Tube(at(138, 66, 300), at(88, 80, 430), 5 * s, 5 * s),
        gain=gain,
    )
    anatomy.add(
        "flat",
        Tube(at(138, 30, 256), at(158, 5, 250), 9 * s, 9 * s),
        Tube(at(132, 25, 285), at(136, 20, 305), 10 * s, 9 * s),
        gain=1.1 * gain,
    )
    anatomy.add("joint", Ball(at(158, 4, 272), (25 * s, 24 * s, 25 * s)), gain=0.8 * gain)
    anatomy.add("shaft", Tube(at(166, 6, 290), elbow, 12 * s, 11 * s), gain=shafts)
    anatomy.add("joint", Ball(elbow, (27 * s, 13 * s, 13 * s)), gain=0.45)
    anatomy.add("shaft", Tube(elbow, at(240, 10, 800, 1.2), 7.5 * s, 8 * s), gain=1.1 * shafts)
    anatomy.add("shaft", Tube(at(206, 24, 575, 1), at(224, 12, 800, 1.2), 8 * s, 6 * s), gain=1.1 * shafts)
    hand(anatomy, Frame(wrist, (-m * 0.12, 0.993), (-m * 0.993, -0.12), 0.95 * s, 0.9), side)
    anatomy.outline += [
        Tube(at(160, 5, 285), elbow, 58 * s * g, 43 * s * g),
        Tube(elbow, wrist, 44 * s * g, 29 * s * g, 0.9),
    ]
    anatomy.sites += [
        Site("shoulder", f"{side} shoulder", side, "joint", at(152, 2, 268), 22 * s),
        Site("elbow", f"{side} elbow", side, "joint", elbow, 18 * s),
    ]


def leg(
    anatomy: Anatomy,
    s: float,
    g: float,
    m: float,
    side: str,
    pelvis: float,
    knee: float,
    shafts: float,
    spread: float = 0.0,
) -> None:
    """Add hip, leg and foot; arguments as for `arm`, with relative avidity of pelvis, knee and long bones.

    spread: mm by which the ankle lies further from the middle.
    """

    def at(x: float, y: float, d: float) -> tuple[float, float, float]:
        return (m * (x + spread * max(d - 780.0, 0.0) / 800.0) * s, y * s, d * s)

    calf = g**0.5  # fat sits on the thighs rather than the calves

    anatomy.add("joint", Ball(at(94, 0, 780), (23 * s, 23 * s, 23 * s)), gain=0.5 * pelvis)
    anatomy.add(
        "joint",
        Tube(at(98, 2, 786), at(124, 6, 815), 16 * s, 17 * s),
        Ball(at(138, 10, 812), (14 * s, 18 * s, 24 * s)),
        gain=0.55 * pelvis,
    )
    anatomy.add("shaft", Tube(at(129, 6, 830), at(102, 0, 1105), 15 * s, 14 * s), gain=shafts)
    anatomy.add("joint", Tube(at(101, 0, 1100), at(95, 0, 1150), 14 * s, 27 * s), gain=0.38 * knee)
    for x in (74, 114):
        anatomy.add("joint", Ball(at(x, 2, 1163), (20 * s, 26 * s, 18 * s)), gain=0.42 * knee)
    anatomy.add("joint", Ball(at(94, -44, 1148), (20 * s, 9 * s, 21 * s)), gain=0.6 * knee)
    anatomy.add(
        "joint",
        Ball(at(92, 2, 1196), (38 * s, 24 * s, 12 * s)),
        Tube(at(92, 0, 1200), at(88, -4, 1255), 29 * s, 14 * s),
        gain=0.34 * knee,
    )
    anatomy.add("shaft", Tube(at(88, -4, 1252), at(64, 0, 1540), 14 * s, 12 * s), gain=1.15 * shafts)
    anatomy.add("shaft", Tube(at(120, 16, 1215), at(86, 10, 1575), 6 * s, 6 * s), gain=1.1 * shafts)
    anatomy.add(
        "joint",
        Ball(at(119, 14, 1212), (10 * s, 9 * s, 11 * s)),
        Ball(at(85, 10, 1578), (9 * s, 9 * s, 13 * s)),
        gain=0.7,
    )
    anatomy.add("joint", Tube(at(64, 0, 1535), at(61, 2, 1570), 13 * s, 20 * s), gain=0.6)
    foot(anatomy, Frame(at(62, 6, 1580), (m * 0.15, 0.989), (-m * 0.989, 0.15), 0.97 * s, 0.62), side)
    anatomy.outline += [
        Tube(at(98, 5, 800), at(93, 4, 1140), 82 * s * g, 56 * s * calf),
        Tube(at(93, 2, 1140), at(92, 4, 1200), 55 * s * calf, 51 * s * calf),
        Tube(at(92, 8, 1200), at(86, 12, 1310), 51 * s * calf, 53 * s * calf),
        Tube(at(86, 12, 1310), at(63, 8, 1560), 53 * s * calf, 35 * s * calf),
    ]
    anatomy.sites += [
        Site("hip", f"{side} hip", side, "joint", at(95, 0, 780), 22 * s),
        Site("hip", f"{side} femoral neck", side, "bone", at(112, 4, 800), 16 * s),
        Site("knee", f"{side} knee", side, "joint", at(93, 0, 1180), 28 * s),
        Site("knee", f"{side} proximal tibia", side, "bone", at(90, 0, 1235), 15 * s, at(89, 0, 1262)),
        Site("ankle", f"{side} distal tibia", side, "bone", at(70, 0, 1470), 11 * s, at(66, 0, 1515)),
        Site("ankle", f"{side} lower leg", side, "soft", at(82, 10, 1380), 32 * s, at(72, 8, 1490)),
    ]


def _forearm(anatomy: Anatomy, frame: Frame, s: float) -> None:
    radius, ulna = (frame.at(9.0, -6.0), frame.at(7.0, -110.0)), (frame.at(-14.0, -6.0), frame.at(-11.0, -110.0))
    anatomy.add("shaft", Tube(*radius, 7.5 * s, 6 * s), Tube(*ulna, 6 * s, 5.5 * s))
    anatomy.add("joint", Ball(frame.at(10.0, -9.0), (11 * s, 8 * s, 10 * s)), gain=0.9)
    anatomy.add("joint", Ball(frame.at(-14.0, -8.0), (7 * s, 6 * s, 7 * s)), gain=0.8)
    anatomy.outline.append(Tube(frame.at(-1.0, 0.0), frame.at(-1.0, -110.0), 27 * s, 32 * s, 0.75))


def _ray(
    anatomy: Anatomy,
    frame: Frame,
    side: str,
    limb: str,
    name: str,
    ray: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, ...]],
    radii: tuple[float, float],
    soft: float,
) -> None:
    """One metacarpal or metatarsal with its finger or toe: shafts, periarticular ends, outline and sites."""
    base, head, tip, joints = ray
    s = frame.scale
    wide, narrow = radii[0] * s, radii[1] * s
    towards = (tip[0] - head[0], tip[1] - head[1])
    places = [(head[0] + share * towards[0], head[1] + share * towards[1]) for share in joints]
    anatomy.add("shaft", Tube(frame.at(*base), frame.at(*head), wide, wide * 0.95), gain=1.6)
    anatomy.add("joint", Ball(frame.at(*base), (1.35 * wide, wide, 1.2 * wide)), gain=0.8)
    for n, place in enumerate(places):
        following = places[n + 1] if n + 1 < len(places) else tip
        size = (wide if n == 0 else narrow) * (1.5 if n == 0 else 1.4)
        anatomy.add("shaft", Tube(frame.at(*place), frame.at(*following), narrow, 0.85 * narrow), gain=1.6)
        anatomy.add("joint", Ball(frame.at(*place), (size, 0.8 * size, size)), gain=1.0 if n == 0 else 0.9)
        kind = _JOINTS[limb][n] if not (name in ("thumb", "great") and n == 1) else "IP"
        if kind and (limb == "hand" or n == 0 or name == "great"):
            label = f"{side} {name} {'finger ' if limb == 'hand' and name != 'thumb' else ''}{kind}"
            label = label if limb == "hand" else f"{side} {name} toe {kind}"
            anatomy.sites.append(Site(limb, label, side, "joint", frame.at(*place), (6.5 if n == 0 else 5.5) * s))
    anatomy.outline += [
        Tube(frame.at(*head), frame.at(*tip), soft * s, 0.75 * soft * s, 0.9),
        Tube(frame.at(*base), frame.at(*head), 1.2 * soft * s, 1.1 * soft * s, 0.9),
    ]
    middle = frame.at(0.5 * (base[0] + head[0]), 0.5 * (base[1] + head[1]))
    bone = "metacarpal" if limb == "hand" else "metatarsal"
    anatomy.sites.append(Site(limb, f"{side} {name} {bone}", side, "bone", middle, 8.0 * s))
