"""``nox`` runs the tests in a fresh environment."""

import nox


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, against the package as it is installed."""
    project = nox.project.load_toml("pyproject.toml")
    session.install(".", *nox.project.dependency_groups(project, "test"))
    session.run("pytest", *session.posargs)
