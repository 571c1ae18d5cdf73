"""What handlers are lent by the application, by the names of their parameters."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from core.notify.services import Services

Lent = NamedDependency[SkipValidation[Services]]
"""The type of a parameter `services`."""

Call = Request[Any, Any, Any]
"""The type of a parameter `request`."""
