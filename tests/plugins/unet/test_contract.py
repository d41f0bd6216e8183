"""What zoo promises of every plugin, model and recipe, checked on these."""

from typing import Any, ClassVar

from zoo_testkit import CardContract, ModelContract, PluginContract, RecipeContract


class TestPlugin(PluginContract):
    plugin = "unet"


class TestUNet(ModelContract):
    model = "unet_small"


class TestPaper(ModelContract):
    model = "unet_paper"
    options: ClassVar[dict[str, Any]] = {"width": 8}


class TestOnEncoder(ModelContract):
    model = "unet"
    options: ClassVar[dict[str, Any]] = {"encoder": "resnet20"}


class TestCards(CardContract):
    model = "unet:*"


class TestRecipes(RecipeContract):
    recipe = "unet:*"
