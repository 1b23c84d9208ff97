"""Where a finding says that something was."""

from typing import Any

from forensics.model import Record


def coordinates(record: Record) -> tuple[float, float, float | None] | None:
    """Latitude and longitude (degrees, WGS 84) and altitude (metres) that a finding states under the names of the photo plugin."""
    data: dict[str, Any] = record.finding.data
    values = [data.get(name) for name in ("gps_latitude", "gps_longitude")]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    latitude, longitude = float(values[0] or 0), float(values[1] or 0)
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    altitude = data.get("gps_altitude")
    high = float(altitude) if isinstance(altitude, int | float) and abs(altitude) < 1e7 else None
    return latitude, longitude, high
