"""Where the sun stands over a place at a time, and the time that a sundial there would show.

The low-precision series of Meeus, Astronomical Algorithms, 2nd edition (1998), chapters 22, 25 and 28, in the form of
NOAA's solar calculator (gml.noaa.gov/grad/solcalc). Good to about 0.01 degrees between 1900 and 2100; the difference of
a minute between dynamical and universal time, which is left out, is less.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import asin, atan2, cos, degrees, radians, sin, tan
from typing import Final

_J2000: Final = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sun:
    """The sun's centre as seen from a place: `elevation` in degrees above the horizon, without refraction (which lifts
    it by half a degree at the horizon and by less than 0.03 from 30 degrees on), `azimuth` in degrees clockwise from
    north; `solar_time` in hours 0..24, 12 when the sun crosses the meridian."""

    elevation: float
    azimuth: float
    solar_time: float


def sun(when: datetime, lon: float, lat: float) -> Sun:
    """The sun at an aware `when`, seen from degrees `lon` (east positive) and `lat`."""
    utc = when.astimezone(UTC)
    declination, equation = _declination_and_equation(utc)
    hours = utc.hour + utc.minute / 60 + (utc.second + utc.microsecond / 1e6) / 3600
    solar_time = (hours + lon / 15 + equation / 60) % 24
    hour_angle = radians(15 * (solar_time - 12))
    phi = radians(lat)
    height = sin(phi) * sin(declination) + cos(phi) * cos(declination) * cos(hour_angle)
    # From south, westwards: well-defined at the poles and with the sun in the zenith, unlike the arc cosine.
    from_south = atan2(sin(hour_angle), cos(hour_angle) * sin(phi) - tan(declination) * cos(phi))
    return Sun(degrees(asin(max(-1.0, min(1.0, height)))), (degrees(from_south) + 180) % 360, solar_time)


def _declination_and_equation(utc: datetime) -> tuple[float, float]:
    """(declination in radians, equation of time in minutes: solar minus mean time)."""
    t = (utc - _J2000).total_seconds() / 86_400 / 36_525
    mean_longitude = radians((280.46646 + t * (36_000.76983 + 0.0003032 * t)) % 360)
    anomaly = radians(357.52911 + t * (35_999.05029 - 0.0001537 * t))
    eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t)
    centre = (
        (1.914602 - t * (0.004817 + 0.000014 * t)) * sin(anomaly)
        + (0.019993 - 0.000101 * t) * sin(2 * anomaly)
        + 0.000289 * sin(3 * anomaly)
    )
    node = radians(125.04 - 1934.136 * t)
    longitude = mean_longitude + radians(centre - 0.00569 - 0.00478 * sin(node))
    obliquity = 23 + (26 + (21.448 - t * (46.815 + t * (0.00059 - 0.001813 * t))) / 60) / 60
    tilt = radians(obliquity + 0.00256 * cos(node))
    y = tan(tilt / 2) ** 2
    equation = (
        y * sin(2 * mean_longitude)
        - 2 * eccentricity * sin(anomaly)
        + 4 * eccentricity * y * sin(anomaly) * cos(2 * mean_longitude)
        - 0.5 * y * y * sin(4 * mean_longitude)
        - 1.25 * eccentricity**2 * sin(2 * anomaly)
    )
    return asin(sin(tilt) * sin(longitude)), 4 * degrees(equation)
