"""The plugins that come with the runner. Like any other, they import ``runbus.plugin`` and nothing else of ours."""
