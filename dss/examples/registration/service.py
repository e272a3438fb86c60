"""RegistrationExample: register one image to another, and carry labels over."""

import numpy as np

from dss import Job, service
from dss.greedy import GREEDY


@service(name="RegistrationExample", tags=["Target", "Source", "SourceSeg"])
def register(job: Job) -> None:
    """Add the source and its labels as they lie on the target, and the way there."""
    target, source, labels = (job.workspace.layer(tag=t) for t in ("Target", "Source", "SourceSeg"))
    images = ("-m", "NCC", "2x2x2", "-n", "40x40x20", "-i", target.path, source.path)
    greedy = (*GREEDY, "-d", 3)
    np.savetxt("initial.mat", source.transform)

    with job.phase("Affine registration", 0.0, 0.4):
        start = ("-a", "-ia", "initial.mat")
        affine = job.run(*greedy, *start, *images, "-o", "affine.mat", makes="affine.mat")
        job.attach("Affine matrix", affine, "text/plain")
    with job.phase("Deformable registration", 0.4, 0.8):
        warp = job.run(*greedy, *images, "-it", affine, "-o", "warp.nii.gz", makes="warp.nii.gz")
    with job.phase("Reslicing", 0.8, 0.9):
        image = ("-rm", source.path, "image.nii.gz")
        segmentation = ("-ri", "LABEL", "0.2vox", "-rm", labels.path, "labels.nii.gz")
        both = (*image, *segmentation, "-rc", "field.nii.gz", "-r", warp, affine)
        job.run(*greedy, "-rf", target.path, *both, makes="field.nii.gz")

    job.workspace.add_overlay("image.nii.gz", nickname="Resliced source")
    field = job.workspace.add_overlay("field.nii.gz", nickname="Deformation field")
    field.display.color_map = "Jet"
    job.workspace.add_segmentation("labels.nii.gz", nickname="Resliced labels", tags={"Result"})
