"""A transformer for the tests, registered as a third party's package would."""

from nexus_engine import Options, hookimpl


class ShoutOptions(Options):
    loud: bool = False


class Shout:
    options = ShoutOptions

    def __init__(self, options):
        self.options = options

    def sql(self, input: str) -> str:
        return f"SELECT * FROM {input}"


@hookimpl
def register_transformers(register):
    register("shout", Shout)
