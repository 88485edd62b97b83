"""The package for programs that use a tagwerk service: `tagwerk.client`. The distribution tagwerk-client owns it.

The distribution tagwerk installs `tagwerk.service` and `tagwerk.training`, perhaps into another folder of `sys.path`.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
