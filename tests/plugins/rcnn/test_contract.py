"""What zoo promises of every plugin and model, checked on these."""

from zoo_testkit import ModelContract, PluginContract


class TestPlugin(PluginContract):
    plugin = "rcnn"


class TestSPPClassifier(ModelContract):
    model = "spp_resnet18"
