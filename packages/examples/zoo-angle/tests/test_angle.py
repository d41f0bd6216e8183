"""What zoo promises of every plugin, task, data set, metric, model and recipe, checked on these."""

from zoo_testkit import (
    DatasetContract,
    MetricContract,
    ModelContract,
    PluginContract,
    RecipeContract,
    TaskContract,
)


class TestPlugin(PluginContract):
    plugin = "angle"


class TestTask(TaskContract):
    task = "angle"


class TestDials(DatasetContract):
    dataset = "dials"


class TestError(MetricContract):
    metric = "angle-error"


class TestModel(ModelContract):
    model = "anglenet"


class TestRecipe(RecipeContract):
    recipe = "angle"
