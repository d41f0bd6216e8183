"""Install, remove, start and check the distributions that plugins come in; no torch.

What could harm is done in processes of its own: installing by uv or pip, loading the plugins
afresh, running the test kit.
"""

from zoo.distributions._changes import (
    Outcome,
    Plan,
    carry_out,
    plan_install,
    plan_uninstall,
    plan_upgrade,
)
from zoo.distributions._checking import CheckResult, check_plugin
from zoo.distributions._diagnosis import Diagnosis, diagnose_plugins
from zoo.distributions._installed import plugin_distributions
from zoo.distributions._installer import pinned_versions
from zoo.distributions._scaffold import new_plugin

__all__ = [
    "CheckResult",
    "Diagnosis",
    "Outcome",
    "Plan",
    "carry_out",
    "check_plugin",
    "diagnose_plugins",
    "new_plugin",
    "pinned_versions",
    "plan_install",
    "plan_uninstall",
    "plan_upgrade",
    "plugin_distributions",
]
