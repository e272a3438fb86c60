#!/usr/bin/env bash
# SimpleITK 2.5.7: the median of the voxels under a label, by its two filters for statistics of labels.
#
# Expected: the median of the 27 numbers, 444, of both.
# Seen: two numbers, neither of them a value of the image: both read it off a histogram, each of its own bins. With one
# far value in the label the medians are off by tens. Mean and extremes are exact.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install --quiet SimpleITK==2.5.7 numpy==2.2.6
cat > try.py <<'PY'
import numpy as np
import SimpleITK as sitk

values = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
mask = np.zeros((10, 10, 10), np.uint8)
mask[3:6, 3:6, 3:6] = 1
outlier = values.copy()
outlier[3, 3, 3] = -20000
for name, held in (("plain", values), ("one far value", outlier)):
    image, label = sitk.GetImageFromArray(held), sitk.GetImageFromArray(mask)
    first, second = sitk.LabelStatisticsImageFilter(), sitk.LabelIntensityStatisticsImageFilter()
    first.Execute(image, label)
    second.Execute(label, image)
    print(name, f"NumPy: {np.median(held[mask == 1]):g}")
    print(name, f"LabelStatistics: {first.GetMedian(1):.1f} LabelIntensityStatistics: {second.GetMedian(1):.1f}")
PY
venv/bin/python try.py | tee seen.txt
diff seen.txt - <<'SEEN'
plain NumPy: 444
plain LabelStatistics: 442.9 LabelIntensityStatistics: 441.0
one far value NumPy: 444
one far value LabelStatistics: 465.8 LabelIntensityStatistics: 424.8
SEEN
