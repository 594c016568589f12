from cli_projects import api, example, project  # noqa: F401
