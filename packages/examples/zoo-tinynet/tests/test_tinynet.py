"""What zoo promises of every plugin, model and recipe, checked on these."""

from zoo_testkit import ModelContract, PluginContract, RecipeContract


class TestPlugin(PluginContract):
    plugin = "tinynet"


class TestModel(ModelContract):
    model = "tinynet"


class TestRecipe(RecipeContract):
    recipe = "tinynet"
