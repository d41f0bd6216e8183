"""What every plugin, model and recipe promises, of the ResNet family."""

from zoo_testkit import CardContract, ModelContract, PluginContract, RecipeContract


class TestPlugin(PluginContract):
    plugin = "resnet"


class TestCards(CardContract):
    model = "resnet:*"


class TestModel(ModelContract):
    model = "resnet20"


class TestRecipes(RecipeContract):
    recipe = "resnet:*"
