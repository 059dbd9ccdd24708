"""The features that are more than a field as it is: one function each, over the look-ups that they share."""

from tabular_bento.features import FeatureSet, GroupMean, Vocabulary, derived, feature

DAY = 86_400

carrier_code = Vocabulary("carrier")
origin_code = Vocabulary("origin")


@derived(size=24)
def hour(row):
    return row.sched_dep % DAY // 3600


share_of_carrier_at_hour = GroupMean(of="target", by=("carrier", hour), smooth=50)
share_of_dest = GroupMean(of="target", by=("dest",), smooth=50)
share_of_origin_at_hour = GroupMean(of="target", by=("origin", hour), smooth=50)


@feature(unit="code")
def carrier(row):
    """Airline, as its code among those of the training rows."""
    return row.carrier_code


@feature(unit="code")
def origin(row):
    """Airport of departure, as its code among those of the training rows."""
    return row.origin_code


@feature(unit="minutes")
def minute_of_day(row):
    """Minute of the day of the scheduled departure, on the clock of origin."""
    return row.sched_dep % DAY / 60


@feature(unit="day")
def day_of_week(row):
    """Day of the week of the scheduled departure; Monday is 0."""
    return (row.sched_dep // DAY + 3) % 7


@feature(unit="share")
def share_carrier_hour(row):
    """Share of the carrier's flights of this hour that were disrupted in the training months."""
    return row.share_of_carrier_at_hour


@feature(unit="share")
def share_dest(row):
    """Share of the flights to this airport that were disrupted in the training months."""
    return row.share_of_dest


@feature(unit="share")
def share_origin_hour(row):
    """Share of the flights from this airport in this hour that were disrupted in the training months."""
    return row.share_of_origin_at_hour


FEATURES = FeatureSet.from_module(__name__)
