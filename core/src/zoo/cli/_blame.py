"""Whose code an exception came through: a plugin's fault is not to look like zoo's."""

from __future__ import annotations

from zoo.errors import PluginCodeError
from zoo.plugins import describe_fault, modules_of
from zoo.registry import default_registry


def blame(error: BaseException) -> PluginCodeError | None:
    """What to say of an exception that left a plugin's code; None if it came through none.

    Of several plugins it is the one nearest to where the exception was raised.
    """
    if not default_registry.cache_info().currsize or not _is_failure(error):
        return None
    owners = {
        plugin.package: plugin
        for plugin in default_registry().plugins
        if plugin.state == "loaded" and plugin.distribution != "zoo-core"
    }
    packages = [module.partition(".")[0] for module in modules_of(error)]
    package = next((package for package in reversed(packages) if package in owners), None)
    if package is None:
        return None
    plugin = owners[package]
    fault = describe_fault(error, distribution=plugin.distribution, package=package)
    return PluginCodeError(
        f"plugin {plugin.name} of {plugin.distribution} {plugin.version} failed: "
        f"{fault.reason} ({fault.location})",
        fault.cure,
    )


def _is_failure(error: BaseException) -> bool:
    """Whether an exception is a fault: a verb may exit, a model that is trained may not.

    What a device says is heard wherever the program happens to be.
    """
    if not isinstance(error, SystemExit):
        return type(error).__name__ not in ("OutOfMemoryError", "AcceleratorError")
    return any(
        module.startswith("zoo.") and not module.startswith("zoo.cli.")
        for module in modules_of(error)
    )
