"""Keys of ids, and the sample that is drawn by them."""

from __future__ import annotations

import pyarrow as pa

from tabular_bento.monitoring.window.ids import Sample, key_pairs, keys_of
from tabular_bento.traffic.log import prediction_ids


def test_keys_depend_on_the_id_alone() -> None:
    ids = [*prediction_ids(1_000), "a", "b", "ab", "ba", "é", "", "a" * 64]
    together = keys_of(pa.array(ids))
    alone = [keys_of(pa.array([one]))[0] for one in ids]
    assert together.tolist() == alone
    assert len(set(alone)) == len(ids)


def test_pairs_depend_on_the_id_alone() -> None:
    ids = [*prediction_ids(1_000), "a", "b", "ab", "ba", "é", "", "a" * 64]
    first, second = key_pairs(pa.array(ids))
    assert first.tolist() == keys_of(pa.array(ids)).tolist()
    assert second.tolist() == [key_pairs(pa.array([one]))[1][0] for one in ids]
    assert len(set(second.tolist())) == len(ids)


def test_sample_does_not_depend_on_the_batches() -> None:
    ids = pa.array(prediction_ids(5_000))
    samples = []
    for size in (1, 64, 5_000):
        sample = Sample(100, seed=3)
        for start in range(0, 5_000, size):
            part = ids.slice(start, size)
            sample.add(keys_of(part), pa.record_batch([part], ["prediction_id"]))
        samples.append(sorted(sample.rows()["prediction_id"].to_pylist()))
    assert samples[0] == samples[1] == samples[2]
    assert len(set(samples[0])) == 100
