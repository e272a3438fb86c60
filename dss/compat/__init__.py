"""`DSSClient` and `WorkspaceWrapper` as of `itksnap-dss` 0.2.0, for scripts that use them.

Such a script changes one line, its import:

>>> from dss.compat import DSSClient, Registry, WorkspaceWrapper

Names, arguments and results are those of that package: tables are DataFrames of pandas, which the
extra `compat` installs (``pip install 'snapws[compat]'``). The docstring of each class lists the
differences. New scripts should use `dss.Provider` and `snapws.Workspace`, or be a service.
"""

from dss.compat.client import DSSClient
from dss.compat.registry import Registry, RegistryValue
from dss.compat.workspace import WorkspaceWrapper, load_color_label_file_to_registry

__all__ = [
    "DSSClient",
    "Registry",
    "RegistryValue",
    "WorkspaceWrapper",
    "load_color_label_file_to_registry",
]
