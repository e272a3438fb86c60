"""RegistrationExample: register one image to another, and propagate its labels."""

import numpy as np

from dss import Job, service
from dss.greedy import GREEDY


@service(name="RegistrationExample", tags=["Target", "Source", "SourceSeg"])
def register(job: Job) -> None:
    """Add the resliced source and labels on the grid of the target, and the deformation field."""
    target, source, labels = (job.workspace.layer(tag=t) for t in ("Target", "Source", "SourceSeg"))
    images = ("-m", "NCC", "2x2x2", "-n", "40x40x20", "-i", target.path, source.path, "-o")
    greedy = (*GREEDY, "-d", 3)
    np.savetxt("old.mat", source.transform)

    with job.phase("Affine registration", 0.0, 0.4):
        affine = job.run(*greedy, "-a", "-ia", "old.mat", *images, "affine.mat", makes="affine.mat")
        source.transform = labels.transform = np.loadtxt(affine)
        job.attach("Affine matrix", affine, "text/plain")
        job.attach_picture("After affine registration", layers=["M", source.number])
    with job.phase("Deformable registration", 0.4, 0.8):
        warp = job.run(*greedy, "-it", affine, *images, "warp.nii.gz", makes="warp.nii.gz")
        reslice = (*greedy, "-rf", target.path, "-r", warp, affine)
        job.run(*reslice, "-rm", source.path, "image.nii.gz", "-rc", "full.nii.gz")
        image = job.workspace.add_overlay("image.nii.gz", nickname="Resliced source")
        job.attach_picture("After deformable registration", layers=["M", image.number])
    with job.phase("Labels", 0.8, 0.9):
        job.run(*reslice, "-ri", "NN", "-rm", labels.path, "labels.nii.gz")
        job.workspace.add_segmentation("labels.nii.gz", nickname="Resliced labels", tags={"Result"})
        job.attach_picture("Labels on the target", layers=["M", "S"])
    job.workspace.add_overlay("full.nii.gz", nickname="Deformation field").display.color_map = "Jet"
